"""The folder of a training run: whose run it is, whether it is finished, and where an interrupted one goes on."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from khabar.document import DataError
from khabar.formats import lines

__all__ = ["is_finished", "last_checkpoint"]


def last_checkpoint(folder: Path) -> str | None:
    """The newest checkpoint that was written to its end: the trainer's state is its last file."""
    found = [path for path in folder.glob("checkpoint-*") if (path / "trainer_state.json").is_file()]
    return str(max(found, key=lambda path: int(path.name.rpartition("-")[2]))) if found else None


def is_finished(output: Path, settings: Mapping[str, Any], overwrite: bool) -> bool:
    """Whether the run is there already; keeps its settings beside the checkpoints, so that only they resume it."""
    kept = output / "settings.json"
    if overwrite:
        for name in ("checkpoints", "model", "plots", "tensorboard"):
            shutil.rmtree(output / name, ignore_errors=True)
        for name in ("run.json", "settings.json", "summary.html"):
            (output / name).unlink(missing_ok=True)
    wanted = json.loads(json.dumps(settings))
    begun = (output / "run.json").is_file() or last_checkpoint(output / "checkpoints") is not None
    if begun and kept.is_file():
        found = json.loads(kept.read_text(encoding="utf-8"))
        if found != wanted:
            keys = [key for key in wanted["config"] if wanted["config"][key] != found["config"].get(key)]
            raise DataError(
                f"{output} holds a run with other {keys or 'data or seed'}; give another output=…, "
                "or overwrite=true to replace it"
            )
        return (output / "run.json").is_file()
    lines.write(kept, [json.dumps(wanted, ensure_ascii=False, indent=2)])
    return False
