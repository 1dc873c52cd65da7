"""A stream of articles is labelled shard by shard, so that a run that was killed goes on where it stood.

A shard is a fixed number of input records: its labelled documents in one file (``part-00000.jsonl``) and, where
articles were refused, its error records in another (``part-00000.errors.jsonl``). Each file appears whole, then
a line of the manifest speaks of it. Within a shard the documents are cut into chunks that never reach over its edge: an
engine is given the same chunks after a restart as without one, so it makes the same batches and the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Any

from khabar.document import DataError, Document
from khabar.formats import jsonl, lines
from khabar.manifest import Manifest, ShardRecord, errors_of, hash_of
from khabar.sources import Refused

__all__ = ["FORMATS", "Engine", "errors_beside", "label", "label_file"]

# Maps chunks to labelled chunks with what was counted, one for one and in order. It may read a few chunks ahead.
Engine = Callable[[Iterable[Sequence[Document]]], Iterator[tuple[Sequence[Document], Counter[str]]]]

log = logging.getLogger(__name__)
FORMATS = ("jsonl", "jsonl.gz", "jsonl.zst", "parquet")
CHUNK, CHARACTERS = 64, 1 << 20  # documents and characters of a chunk, at most; a longer article is one alone


def label(
    records: Iterator[Document | Refused],
    engine: Engine,
    folder: Path,
    settings: Mapping[str, Any],
    shard: int = 1024,
    format: str = "jsonl",  # noqa: A002 (the key of the configuration)
) -> Counter[str]:
    """Label a stream into a folder of shards, going on where an earlier run of the same settings stood.

    Args:
        records: the input, from its beginning; what is labelled already is read again and compared.
        engine: labels chunks.
        folder: where the shards and the manifest go.
        settings: what else decides the bytes of the output; shard and format are added.
        shard: input records in a shard.
        format: one of `FORMATS`.

    Returns the totals of `khabar.manifest.Manifest.totals`, of all shards. Memory is bounded by what the engine reads
    ahead. Raises `DataError` where the folder or the input is not what it was when the run began.

    """
    if shard < 1 or format not in FORMATS:
        raise DataError(f"shard={shard}, format={format!r}: expected a number from 1 and one of {', '.join(FORMATS)}")
    manifest = Manifest(folder, {**settings, "shard": shard, "format": format})
    try:
        manifest.check()
        if manifest.complete:
            log.info("%s: complete: every shard is as it was written, nothing is left to do", folder)
            return manifest.totals()
        _pass_over(records, manifest)
        _Run(manifest, shard, format).label(records, engine)
        manifest.finish()
        return manifest.totals()
    finally:
        manifest.close()


def _pass_over(records: Iterator[Document | Refused], manifest: Manifest) -> None:
    """Read what the finished shards were made from; raises `DataError` where it is not the same."""
    for done in manifest.shards:
        share = _Share()
        for record in islice(records, done.records):
            share.add(record)
        if (share.records, share.digest.hexdigest()) != (done.records, done.input):
            raise DataError(
                f"{manifest.folder / done.file}: the input is not what this shard was made from: give the same "
                "sources in the same order, or remove the folder to begin again"
            )
    if manifest.shards:
        totals = manifest.totals()
        log.info("%s: going on after %d articles in %d shards", manifest.folder, totals["records"], totals["shards"])


@dataclass
class _Share:
    """What was read of the input for one shard; ``given`` documents went to the engine, ``written`` came back."""

    number: int = 0
    records: int = 0
    given: int = 0
    written: int = 0
    refused: int = 0
    closed: bool = False
    digest: Any = field(default_factory=hashlib.sha256)
    counts: Counter[str] = field(default_factory=Counter)

    def add(self, record: Document | Refused) -> None:
        self.records += 1
        kind, content = ("", record.text) if isinstance(record, Document) else ("refused", record.reason)
        # As JSON it cannot be that two records differ and their hashed form does not.
        self.digest.update(json.dumps([kind, record.id, content], ensure_ascii=False).encode())

    @property
    def finished(self) -> bool:
        return self.closed and self.written == self.given


class _Run:
    """What stands between the input, which the engine reads ahead of what it gives, and the shards."""

    def __init__(self, manifest: Manifest, shard: int, kind: str) -> None:
        self.manifest, self.shard, self.kind = manifest, shard, kind
        self.shares: deque[_Share] = deque()  # read, but not written; the first is the one being written
        self.given: deque[tuple[str, ...]] = deque()  # the ids of the chunks that the engine has
        self.ended = False
        self.held: tuple[Sequence[Document], Counter[str]] | None = None

    def label(self, records: Iterator[Document | Refused], engine: Engine) -> None:
        labelled = iter(engine(self._chunks(records)))
        while True:
            if not self.shares:
                self._advance(labelled)  # which makes the engine read on
            if not self.shares:
                break
            self._write(self.shares[0], labelled)
            self.shares.popleft()
        if self.given or not self.ended:
            raise RuntimeError("the engine did not give back every chunk")

    def _chunks(self, records: Iterator[Document | Refused]) -> Iterator[Sequence[Document]]:
        """Cut the input into chunks; a share is closed before its last chunk goes out."""
        number, read = len(self.manifest.shards), self.manifest.totals()["records"]
        while first := next(records, None):
            share = _Share(number)
            self.shares.append(share)
            chunk: list[Document] = []
            errors: list[str] = []
            size = 0
            for record in chain((first,), islice(records, self.shard - 1)):
                share.add(record)
                if isinstance(record, Refused):
                    errors.append(json.dumps({**asdict(record), "record": read + share.records}, ensure_ascii=False))
                    continue
                if chunk and (len(chunk) == CHUNK or size + len(record.text) > CHARACTERS):
                    yield self._give(share, chunk)
                    chunk, size = [], 0
                chunk.append(record)
                size += len(record.text)
            if errors:
                # Nothing speaks of it until the shard is written, and then it is there.
                share.refused = len(errors)
                lines.write(self.manifest.folder / errors_of(self._name(number)), errors)
            read += share.records
            number += 1
            last = self._give(share, chunk) if chunk else None
            share.closed = True
            if last:
                yield last
        self.ended = True

    def _name(self, number: int) -> str:
        return f"part-{number:05}.{self.kind}"

    def _give(self, share: _Share, chunk: Sequence[Document]) -> Sequence[Document]:
        share.given += len(chunk)
        self.given.append(tuple(document.id for document in chunk))
        return chunk

    def _advance(self, labelled: Iterator[tuple[Sequence[Document], Counter[str]]]) -> None:
        if self.held is None and (chunk := next(labelled, None)) is not None:
            if not self.given or self.given.popleft() != tuple(document.id for document in chunk[0]):
                raise RuntimeError("the engine gave back another chunk than the next one it was given")
            self.held = chunk

    def _write(self, share: _Share, labelled: Iterator[tuple[Sequence[Document], Counter[str]]]) -> None:
        path = self.manifest.folder / self._name(share.number)
        documents = self._documents(share, labelled)
        if self.kind == "parquet":
            from khabar.formats import parquet  # imports pyarrow

            parquet.write(path, documents)
        else:
            lines.write(path, map(jsonl.dumps, documents))
        errors = self.manifest.folder / errors_of(path.name)
        self.manifest.add(
            ShardRecord(
                file=path.name,
                records=share.records,
                documents=share.written,
                refused=share.refused,
                words=share.counts["words"],
                sha256=hash_of(path),
                errors=hash_of(errors) if share.refused else None,
                input=share.digest.hexdigest(),
                counts={name: count for name, count in share.counts.items() if name not in ("documents", "words")},
            )
        )

    def _documents(
        self, share: _Share, labelled: Iterator[tuple[Sequence[Document], Counter[str]]]
    ) -> Iterator[Document]:
        """The labelled documents of a share; a chunk of the next one, which the engine gives first, is held."""
        while not share.finished:
            self._advance(labelled)
            if share.finished:  # it was nothing but refused articles, which the engine had to read past
                break
            if self.held is None:
                raise RuntimeError("the engine did not give back every chunk")
            (documents, counts), self.held = self.held, None
            share.written += len(documents)
            share.counts.update(counts)
            yield from documents


def label_file(
    records: Iterator[Document | Refused],
    engine: Engine,
    output: Path,
    settings: Mapping[str, Any],
    shard: int = 1024,
    format: str = "jsonl",  # noqa: A002
) -> Counter[str]:
    """Label a stream into one file, by way of shards in ``<output>.parts``; see `label`.

    What stands at ``output`` is replaced when everything is labelled. The error records go beside it (`errors_beside`).
    """
    if output.is_dir():
        raise DataError(f"{output}: expected a file to write, this is a folder")
    parts = output.with_name(f"{output.name}.parts")
    done = output.with_name(f".{parts.name}.done")
    if done.exists():  # a run was killed while it removed its parts
        shutil.rmtree(done)
    totals = label(records, engine, parts, settings, shard, format)
    _assemble(parts, output, format)
    os.replace(parts, done)  # in one step: half of the parts would be taken for damage
    shutil.rmtree(done)
    return totals


def errors_beside(output: Path, kind: str) -> Path:
    """The file of the error records of an output of this format, there only where an article was refused."""
    return output.with_name(f"{output.name.removesuffix(f'.{kind}')}.errors.jsonl")


def _assemble(folder: Path, output: Path, kind: str) -> None:
    """Put the shards together, in constant memory. A kill in between leaves them, to be put together again."""
    errors = errors_beside(output, kind)
    refused, parts = _in_order(folder, "errors.jsonl"), _in_order(folder, kind)
    if not refused:
        errors.unlink(missing_ok=True)  # of an earlier run
    for target, files, how in ((errors, refused, "jsonl"), (output, parts, kind)):
        if target == errors and not files:
            continue
        partial = folder / f".{target.name}.partial"  # there, so that what a kill leaves of it goes with the folder
        if how == "parquet":
            from khabar.formats import parquet

            parquet.join(files, partial)
        else:
            with partial.open("wb") as file:  # packed shards too: members and frames may follow each other
                for part in files:
                    with part.open("rb") as source:
                        shutil.copyfileobj(source, file, 1 << 20)
        lines.sync(partial)
        os.replace(partial, target)
        lines.sync(target.parent)


def _in_order(folder: Path, kind: str) -> list[Path]:
    """The files ``part-<number>.<kind>`` by number, which has more than five digits after 100,000 shards."""
    files = [path for path in folder.glob("part-*") if path.name.partition(".")[2] == kind]
    return sorted(files, key=lambda path: (len(path.name), path.name))
