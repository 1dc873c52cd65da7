"""The contract of a model folder: what its weights are for, and how the folder is replaced as a whole."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from khabar.encoder import CONTRACT, WEIGHTS, ModelError

__all__ = ["FORMAT", "fingerprint", "read", "replaced", "write"]

FORMAT = 1  # a folder of another format is refused


def read(folder: Path) -> dict[str, Any]:
    """Read the contract; raises `ModelError` where there is none, or one that this version cannot honour."""
    path = folder / CONTRACT
    if not path.is_file():
        raise ModelError(f"{folder}: no {CONTRACT}: this is not a folder that khabar saved")
    try:
        contract: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelError(f"{path}: not JSON: {error}") from None
    found = contract.get("format") if isinstance(contract, dict) else None
    if found != FORMAT:
        raise ModelError(f"{path}: format {found}, this version of khabar reads format {FORMAT}")
    needed = {"heads", "ontology", "reader", "vocabulary", "dropout", "temperatures", "meta"}
    if missing := needed - contract.keys():
        raise ModelError(f"{path}: lacks {sorted(missing)}")
    return contract


def fingerprint(folder: Path) -> str:
    """SHA-256 over contract, tokenizer and weights, which decide the labels. Raises `ModelError` without one."""
    digest = hashlib.sha256()
    for name in (CONTRACT, "tokenizer.json", WEIGHTS):
        try:
            with (folder / name).open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        except OSError as error:
            raise ModelError(f"{folder / name}: cannot be read: {error.strerror}") from None
    return digest.hexdigest()


def write(folder: Path, record: Mapping[str, Any]) -> None:
    """Write the contract into a folder that is being made (`replaced`)."""
    text = json.dumps({"format": FORMAT, **record}, ensure_ascii=False, indent=2)
    (folder / CONTRACT).write_text(text + "\n", encoding="utf-8")


@contextmanager
def replaced(folder: Path) -> Iterator[Path]:
    """A new folder to fill, which takes the place of ``folder`` when everything is in it."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}-"))
    try:
        yield staging
        staging.chmod(0o755)
        if folder.exists():
            shutil.rmtree(folder)
        os.replace(staging, folder)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
