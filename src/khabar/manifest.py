"""What a folder of shards holds and how far it has come: ``manifest.jsonl``, of which only lines at the end are added.

The first line holds the settings of the run, each line after it one shard that is whole and on the disk, and the last
one says that the run is complete. What a killed run leaves is thus a prefix of what it would have written.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from khabar.document import DataError
from khabar.formats import lines
from khabar.sources import ERRORS, MANIFEST

__all__ = ["MANIFEST", "Manifest", "ShardRecord", "errors_of", "hash_of"]

FORMAT = 2
_FIRST = b'{"manifest": '  # how a manifest begins
_WRITTEN = re.compile(r"part-(\d{5,})(?:\.errors)?\.(?:jsonl|jsonl\.gz|jsonl\.zst|parquet)")


@dataclass(frozen=True)
class ShardRecord:
    """A finished shard.

    ``records`` of the input are ``documents`` that were labelled and ``refused`` ones; ``counts`` is what the engine
    counted. ``sha256`` and ``errors`` are hashes of the shard's file and of its error records (`None`: there are none);
    ``input`` is the hash over ids, texts and metadata that it was made from.
    """

    file: str
    records: int
    documents: int
    refused: int
    words: int
    sha256: str
    errors: str | None
    input: str
    counts: dict[str, int] = field(default_factory=dict)


class Manifest:
    """The manifest of a folder, held by one process at a time.

    Args:
        folder: the folder of the shards; it is made where it is not there.
        settings: whatever decides the bytes of the shards.

    Raises `DataError` where the folder was begun with other settings, holds something else, or is being written to.

    """

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        self.folder = folder
        self.shards: list[ShardRecord] = []  # a few hundred bytes for each thousand articles
        self.complete = False
        path = folder / MANIFEST
        if folder.is_dir() and not path.is_file() and any(folder.iterdir()):
            raise DataError(
                f"{folder}: this folder is not empty, and no {MANIFEST} says that it holds labelled articles"
            )
        if folder.exists() and not folder.is_dir():
            raise DataError(f"{folder}: this is a file; the labelled articles need a folder, or a known suffix")
        folder.mkdir(parents=True, exist_ok=True)
        self._file = path.open("a+b", buffering=0)
        try:
            self._hold()
            self._resume({"manifest": FORMAT, **settings})
        except DataError:
            self._file.close()
            raise

    def _hold(self) -> None:
        """Keep other processes out, for as long as this one lives."""
        try:
            import fcntl
        except ImportError:  # where there are no such locks
            return
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DataError(f"{self.folder}: another process is labelling into it") from None

    def _resume(self, settings: dict[str, Any]) -> None:
        self._file.seek(0)
        whole, newline, torn = self._file.read().rpartition(b"\n")
        if not _FIRST.startswith((whole or torn)[: len(_FIRST)]):
            raise DataError(f"{self.folder / MANIFEST}: not the manifest of labelled articles: give another folder")
        self._file.truncate(len(whole) + len(newline))
        if not newline:
            self._append(settings)
            lines.sync(self.folder)
            return
        records = [self._record(line, number) for number, line in enumerate(whole.split(b"\n"), start=1)]
        if differing := sorted(key for key in records[0] | settings if records[0].get(key) != settings.get(key)):
            said = ", ".join(f"{key} was {records[0].get(key)!r} and is {settings.get(key)!r}" for key in differing)
            raise DataError(
                f"{self.folder}: its labelling was begun with other settings: {said}. Use those it was begun with, "
                "or remove the folder to begin again"
            )
        self.complete = "complete" in records[-1]
        try:
            self.shards = [ShardRecord(**record) for record in records[1 : -1 if self.complete else None]]
        except TypeError as error:
            raise DataError(f"{self.folder / MANIFEST}: not the manifest of labelled articles: {error}") from None

    def _record(self, line: bytes, number: int) -> dict[str, Any]:
        place = f"{self.folder / MANIFEST}: line {number}"
        try:
            record = json.loads(line)
        except ValueError as error:
            raise DataError(f"{place}: not JSON: {error}") from None
        if not isinstance(record, dict):
            raise DataError(f"{place}: expected a JSON object, got {type(record).__name__}")
        return record

    def _append(self, record: Mapping[str, Any]) -> None:
        line = json.dumps(record, ensure_ascii=False).encode() + b"\n"
        if self._file.write(line) != len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.folder / MANIFEST))
        os.fsync(self._file.fileno())

    def add(self, shard: ShardRecord) -> None:
        """Say that a shard is whole."""
        self._append(asdict(shard))
        self.shards.append(shard)

    def finish(self) -> None:
        """Say that the run is complete."""
        self._append({"complete": True, **self.totals()})
        self.complete = True

    def close(self) -> None:
        """Let other processes at the folder."""
        self._file.close()

    def totals(self) -> Counter[str]:
        """What the shards hold together: shards, records, documents, refused, words, and what the engine counted."""
        totals = Counter(shards=len(self.shards), records=0, documents=0, refused=0, words=0)
        for shard in self.shards:
            totals.update(records=shard.records, refused=shard.refused)
            totals.update({**shard.counts, "documents": shard.documents, "words": shard.words})
        return totals

    def check(self) -> None:
        """Raise `DataError` where a shard is not there or not as it was written; remove what no line speaks of."""
        kept = {MANIFEST}
        for shard in self.shards:
            for name, expected in ((shard.file, shard.sha256), (errors_of(shard.file), shard.errors)):
                if expected is None:
                    continue
                kept.add(name)
                path = self.folder / name
                if not path.is_file() or hash_of(path) != expected:
                    state = "was changed" if path.is_file() else "is missing"
                    raise DataError(
                        f"{path}: this shard {state} since it was written: put it back, or remove the folder "
                        "to begin again"
                    )
        for path in self.folder.glob(".*.partial"):
            path.unlink()
        for path in self.folder.glob("part-*"):
            if path.name in kept or not (written := _WRITTEN.fullmatch(path.name)):
                continue
            if int(written[1]) < len(self.shards):
                raise DataError(f"{path}: not of this labelling, but named like its shards: move it elsewhere")
            path.unlink()


def errors_of(file: str) -> str:
    """The name of the error records beside a shard's file."""
    return f"{file.partition('.')[0]}{ERRORS}"


def hash_of(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
