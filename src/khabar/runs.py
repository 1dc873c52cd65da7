"""The folder of a training run: whose run it is, whether it is finished, and where an interrupted one goes on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from khabar.checkpoints import SEAL
from khabar.document import DataError
from khabar.formats import lines

__all__ = ["is_finished"]


def is_finished(output: Path, settings: Mapping[str, Any], overwrite: bool) -> bool:
    """Whether the run is there already; keeps its settings beside the checkpoints, so that only they resume it."""
    kept = output / "settings.json"
    if overwrite:
        for name in ("checkpoints", "model", "plots", "tensorboard"):
            shutil.rmtree(output / name, ignore_errors=True)
        for name in ("run.json", "settings.json", "summary.html"):
            (output / name).unlink(missing_ok=True)
    wanted = json.loads(json.dumps(settings))
    begun = (output / "run.json").is_file() or any((output / "checkpoints").glob(f"checkpoint-*/{SEAL}"))
    if begun and kept.is_file():
        found = json.loads(kept.read_text(encoding="utf-8"))
        if found != wanted:
            keys = [key for key in wanted["config"] if wanted["config"][key] != found["config"].get(key)]
            raise DataError(
                f"{output} holds a run with other {keys or 'data, types or seed'}; give another output=…, "
                "or overwrite=true to replace it"
            )
        finished = (output / "run.json").is_file()
        if finished:
            shutil.rmtree(output / "checkpoints", ignore_errors=True)  # where a kill was faster
        return finished
    lines.write(kept, [json.dumps(wanted, ensure_ascii=False, indent=2)])
    return False
