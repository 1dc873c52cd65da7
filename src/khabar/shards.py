"""A stream of articles is labelled shard by shard, so that a run that was killed goes on where it stood.

A shard's labelled documents are one file (``part-00000.jsonl``) and, where articles were refused, its error records
another (``part-00000.errors.jsonl``). Each file appears whole, then a line of the manifest speaks of it.
"""

from __future__ import annotations

import logging
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from khabar.document import DataError, Document
from khabar.formats import jsonl, lines
from khabar.manifest import Manifest, ShardRecord, errors_of, hash_of
from khabar.plan import OTHER_INPUT, Chunk, End, Engine, Records, chunks

__all__ = ["FORMATS", "errors_beside", "label", "label_file", "read"]

log = logging.getLogger(__name__)
FORMATS = ("jsonl", "jsonl.gz", "jsonl.zst", "parquet")


def label(
    records: Records,
    engine: Engine,
    folder: Path,
    settings: Mapping[str, Any],
    shard: int = 1024,
    format: str = "jsonl",  # noqa: A002 (the key of the configuration)
    finish: Callable[[], None] | None = None,
) -> Counter[str]:
    """Label a stream into a folder of shards, going on where an earlier run of the same settings stood.

    Args:
        records: gives the input from its beginning; what is labelled already is read again and compared.
        engine: labels chunks.
        folder: where the shards and the manifest go.
        settings: what else decides the bytes of the output; shard and format are added.
        shard: input records in a shard.
        format: one of `FORMATS`.
        finish: what is done with the finished folder before other processes may have it.

    Returns the totals of `khabar.manifest.Manifest.totals`, of all shards. Memory is bounded by what the engine reads
    ahead. Raises `DataError` where the folder or the input is not what it was when the run began.

    """
    if shard < 1 or format not in FORMATS:
        raise DataError(f"shard={shard}, format={format!r}: expected a number from 1 and one of {', '.join(FORMATS)}")
    manifest = Manifest(folder, {**settings, "shard": shard, "format": format})
    try:
        manifest.check()
        totals = manifest.totals()
        plan = partial(chunks, records, shard, tuple(manifest.shards), str(folder))
        if manifest.complete:
            if next(plan(), None) is not None:  # less or other input is found by the plan itself
                raise DataError(f"{folder}: complete, but the input goes on: {OTHER_INPUT}")
            log.info("%s: complete: every shard is as it was written, nothing is left to do", folder)
        else:
            if manifest.shards:
                log.info("%s: going on after %d articles in %d shards", folder, totals["records"], totals["shards"])
            with closing(engine(plan)) as labelled:
                for first in labelled:
                    _write(manifest, f"part-{len(manifest.shards):05}.{format}", format, _to_end(first, labelled))
            manifest.finish()
        if finish:
            finish()
        return manifest.totals()
    finally:
        manifest.close()


def _to_end(first: Chunk, rest: Iterator[Chunk]) -> Iterator[Chunk]:
    """The chunks of a shard, and no further: it is written before the next one is waited for."""
    chunk: Chunk | None = first
    while chunk is not None and chunk.shard == first.shard:
        yield chunk
        if chunk.end:
            return
        chunk = next(rest, None)
    raise RuntimeError("the engine did not give back every chunk")


def _write(manifest: Manifest, name: str, kind: str, parts: Iterator[Chunk]) -> None:
    """Write the chunks of a shard as they come, then say in the manifest that it is there."""
    path = manifest.folder / name
    counts: Counter[str] = Counter()
    end = End(0, "", ())
    written = 0

    def documents() -> Iterator[Document]:
        nonlocal end, written
        for part in parts:
            yield from part.documents
            written += len(part.documents)
            counts.update(part.counts or {})
            end = part.end or end

    if kind == "parquet":
        from khabar.formats import parquet  # imports pyarrow

        parquet.write(path, documents())
    else:
        lines.write(path, map(jsonl.dumps, documents()))
    if written != end.records - len(end.refused):
        raise RuntimeError(f"the engine gave back {written} documents of {end.records - len(end.refused)}")
    errors = manifest.folder / errors_of(name)
    if end.refused:
        lines.write(errors, end.refused)
    manifest.add(
        ShardRecord(
            file=name,
            records=end.records,
            documents=written,
            refused=len(end.refused),
            words=counts["words"],
            sha256=hash_of(path),
            errors=hash_of(errors) if end.refused else None,
            input=end.input,
            counts={name: count for name, count in counts.items() if name not in ("documents", "words")},
        )
    )


def label_file(
    records: Records,
    engine: Engine,
    output: Path,
    settings: Mapping[str, Any],
    shard: int = 1024,
    format: str = "jsonl",  # noqa: A002
    finish: Callable[[], None] | None = None,
) -> Counter[str]:
    """Label a stream into one file, by way of shards in ``<output>.parts``; see `label`.

    What stands at ``output`` is replaced when everything is labelled. The error records go beside it (`errors_beside`).
    """
    if output.is_dir():
        raise DataError(f"{output}: expected a file to write, this is a folder")
    parts = output.with_name(f"{output.name}.parts")
    done = output.with_name(f".{parts.name}.done")
    shutil.rmtree(done, ignore_errors=True)  # where a run was killed while it removed its parts

    def assembled() -> None:
        _assemble(parts, output, format)
        if finish:
            finish()
        os.replace(parts, done)  # in one step: half of the parts would be taken for damage

    totals = label(records, engine, parts, settings, shard, format, assembled)
    shutil.rmtree(done, ignore_errors=True)
    return totals


def read(output: Path, format: str) -> Iterator[Document]:  # noqa: A002
    """The labelled documents of a file, or of a folder of shards, in order; ids may repeat, as they may in a stream."""
    for path in _in_order(output, format) if output.is_dir() else [output]:
        if format == "parquet":
            from khabar.formats import parquet

            for number, row in parquet.rows(path):
                yield Document.from_json(parquet.record(row, f"{path}: row {number}"))
        else:
            for number, line in lines.read(path):
                yield jsonl.loads(line, f"{path}: line {number}")


def errors_beside(output: Path, kind: str) -> Path:
    """The file of the error records of an output of this format, there only where an article was refused."""
    name = output.name.removesuffix(".jsonl") if kind == "jsonl" else output.name
    return output.with_name(f"{name}.errors.jsonl")


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
