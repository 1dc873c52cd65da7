"""A prepared corpus: a folder with a JSONL file for each split and a manifest that says what is in them."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from khabar.document import DataError, Document
from khabar.formats import jsonl, lines
from khabar.ontology import Ontology

__all__ = ["MANIFEST", "VERSION", "Corpus", "Shard", "count", "write"]

MANIFEST = "manifest.json"
VERSION = 1


@dataclass(frozen=True)
class Shard:
    """Documents of a split that follow one another, from byte ``offset`` of a file, which is on line ``line``."""

    file: str
    offset: int
    line: int
    documents: int

    def read(self) -> Iterator[Document]:
        """Yield the documents; that no id comes twice was seen to when the corpus was prepared."""
        left = self.documents
        with lines.opened(self.file) as stream:
            stream.seek(self.offset)
            for number, line in lines.numbered(stream, first=self.line):
                place = f"{self.file}: line {number}"
                if not left:
                    return
                if text := lines.decode(line or b"", place).strip():
                    yield jsonl.loads(text, place)
                    left -= 1


@dataclass(frozen=True)
class Corpus:
    """A folder written by `write`; every split is checked against the manifest when it is read."""

    path: Path | str

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """What `write` returned. Raises `DataError` where there is no manifest, or one of another version."""
        file = Path(self.path) / MANIFEST
        try:
            manifest = json.loads(file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise DataError(
                f"{self.path}: no prepared corpus here ({MANIFEST} is missing); "
                "prepare it: python scripts/prepare_data.py data=… source=…"
            ) from None
        except ValueError as error:
            raise DataError(f"{file}: not JSON: {error}") from None
        version = manifest.get("version") if isinstance(manifest, dict) else None
        if version != VERSION:
            raise DataError(f"{file}: expected version {VERSION}, got {version!r}; prepare the corpus again")
        return dict(manifest)

    @property
    def name(self) -> str:
        """The name of the corpus."""
        return str(self.manifest["name"])

    @property
    def splits(self) -> tuple[str, ...]:
        """The names of the splits, in the order they were prepared in."""
        return tuple(self.manifest["splits"])

    @property
    def hash(self) -> str:
        """sha256 over the splits' names and contents: equal for the same documents in the same splits."""
        return str(self.manifest["hash"])

    @property
    def licence(self) -> str | None:
        """The terms that the corpus may be used under, as its manifest says; none where it does not."""
        found = self.manifest.get("licence")
        return None if found is None else str(found)

    @cached_property
    def ontology(self) -> Ontology:
        """The types that the corpus is annotated with."""
        return Ontology.from_json(**self.manifest["ontology"])

    def split(self, name: str) -> list[Document]:
        """Return the documents of a split.

        Raises `DataError` where there is no such split, or where its file is not the one that was prepared.
        """
        self.shards(name)
        return list(jsonl.read(Path(self.path) / f"{name}.jsonl"))

    def shards(self, name: str, size: int = 1024, limit: int | None = None) -> list[Shard]:
        """Where every ``size`` documents of a split begin, so that several processes can read it.

        Only the first ``limit`` documents are in them; the whole file is checked, before anything of it is read.
        Raises `DataError` as `split` does.
        """
        if name not in self.splits:
            raise DataError(f"{self.path}: no split {name!r}, expected one of {list(self.splits)}")
        file = Path(self.path) / f"{name}.jsonl"
        if not file.is_file():
            raise DataError(f"{file}: the manifest has this split, but the file is missing")
        begins: list[tuple[int, int]] = []  # the byte and the line that each shard begins with
        digest, place, count = hashlib.sha256(), 0, 0
        with lines.opened(file) as stream:
            for number, line in enumerate(stream, start=1):
                digest.update(line)
                if (limit is None or count < limit) and line.strip():
                    if count % size == 0:
                        begins.append((place, number))
                    count += 1
                place += len(line)
        if (whole := digest.hexdigest()) != (expected := self.manifest["splits"][name]["sha256"]):
            raise DataError(f"{file}: changed since it was prepared (sha256 {whole[:12]}…, expected {expected[:12]}…)")
        return [
            Shard(str(file), offset, first, min(size, count - number * size))
            for number, (offset, first) in enumerate(begins)
        ]


def write(
    path: Path | str,
    name: str,
    ontology: Ontology,
    splits: Mapping[str, Sequence[Document]],
    report: Mapping[str, Mapping[str, int]] | None = None,
    licence: str | None = None,
) -> dict[str, Any]:
    """Write a corpus and return its manifest; ``report`` (split to message to count) and ``licence`` are kept in it.

    Other files of the folder stay. The manifest goes first and comes back last, so a folder that holds one is
    complete. Raises `DataError` where a document cannot be written.
    """
    path = Path(path)
    records: dict[str, dict[str, Any]] = {}
    content = hashlib.sha256()
    (path / MANIFEST).unlink(missing_ok=True)
    for split, documents in splits.items():
        file = path / f"{split}.jsonl"
        jsonl.write(file, documents)
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        records[split] = {**count(documents), "sha256": digest}
    for split in sorted(records):
        content.update(f"{split} {records[split]['sha256']}\n".encode())
    manifest: dict[str, Any] = {
        "name": name,
        "version": VERSION,
        "hash": content.hexdigest(),
        "splits": records,
        "report": {split: dict(sorted(counts.items())) for split, counts in (report or {}).items() if counts},
        "ontology": ontology.to_json(),
        **({} if licence is None else {"licence": licence}),
    }
    lines.write(path / MANIFEST, [json.dumps(manifest, ensure_ascii=False, indent=2)])
    return manifest


def count(documents: Iterable[Document]) -> dict[str, int]:
    """How many documents, words (by white space), entities, events and arguments there are."""
    counts = Counter(dict.fromkeys(("documents", "words", "entities", "events", "arguments"), 0))
    for document in documents:
        counts["documents"] += 1
        counts["words"] += len(document.text.split())
        counts["entities"] += len(document.entities or ())
        counts["events"] += len(document.events or ())
        counts["arguments"] += sum(len(event.arguments) for event in document.events or ())
    return dict(counts)
