"""A stream of articles, cut into what is labelled together.

A shard is a fixed number of input records. Within it the documents are cut into chunks that never reach over its edge:
an engine is given the same chunks after a restart as without one, so it makes the same batches and the same bytes.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

from khabar.document import DataError, Document
from khabar.manifest import ShardRecord
from khabar.sources import Refused

__all__ = ["CHUNK", "OTHER_INPUT", "Chunk", "End", "Engine", "Label", "Plan", "Records", "chunks", "in_order"]

CHARACTERS = 1 << 20  # of a chunk, at most; a longer article is one alone
CHUNK = 64  # documents of a chunk, at most: their windows are batched together
OTHER_INPUT = "give the same sources in the same order, or remove the folder to begin again"


@dataclass(frozen=True, slots=True)
class End:
    """What was read of the input for a shard: records, a hash over what they hold, those refused as JSON."""

    records: int
    input: str
    refused: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Chunk:
    """Documents that are labelled together, of one shard; its last chunk brings the end of it.

    ``counts`` is what the engine counted. A chunk without documents is one of a shard that has none at all.
    """

    shard: int
    documents: Sequence[Document]
    end: End | None = None
    counts: Counter[str] | None = None


Records = Callable[[], Iterator[Document | Refused]]  # the input, from its beginning
Plan = Callable[[], Iterator[Chunk]]  # what is still to be labelled; called again, it begins again
Engine = Callable[[Plan], Generator[Chunk]]  # gives back the same chunks in the same order, labelled
Label = Callable[[Iterable[Sequence[Document]]], Iterator[tuple[Sequence[Document], Counter[str]]]]


def in_order(label: Label) -> Engine:
    """The engine of a function that labels documents chunk by chunk and in order. It may read ahead."""

    def engine(plan: Plan) -> Generator[Chunk]:
        given: deque[Chunk] = deque()

        def documents() -> Iterator[Sequence[Document]]:
            for chunk in plan():
                given.append(chunk)
                yield chunk.documents

        asked = documents()
        for found, counts in label(asked):
            chunk = given.popleft() if given else None
            if chunk is None or [document.id for document in chunk.documents] != [document.id for document in found]:
                raise RuntimeError("the engine gave back another chunk than the next one it was given")
            yield replace(chunk, documents=found, counts=counts)
        if given or next(asked, None) is not None:
            raise RuntimeError("the engine did not give back every chunk")

    return engine


def chunks(records: Records, shard: int, finished: Sequence[ShardRecord], folder: str) -> Iterator[Chunk]:
    """Cut the input behind the finished shards into chunks.

    Raises `DataError` where what the finished ones were made from is not there any more.
    """
    stream = records()
    for done in finished:
        share = _Share()
        for record in islice(stream, done.records):
            share.add(record)
        if share.end() != (done.records, done.input):
            raise DataError(
                f"{Path(folder) / done.file}: the input is not what this shard was made from: {OTHER_INPUT}"
            )
    if finished and finished[-1].records < shard and (further := next(stream, None)):
        raise DataError(
            f"{Path(folder) / finished[-1].file}: the input ended with this shard, and now goes on with "
            f"{further.id!r}: {OTHER_INPUT}"
        )
    number, read = len(finished), sum(done.records for done in finished)
    while (first := next(stream, None)) is not None:
        share = _Share()
        waiting: list[Document] = []
        refused: list[str] = []
        size = 0
        for record in _after(first, islice(stream, shard - 1)):
            share.add(record)
            if isinstance(record, Refused):
                error = {**asdict(record), "record": read + share.records}
                refused.append(json.dumps(error, ensure_ascii=False))
                continue
            if waiting and (len(waiting) == CHUNK or size + len(record.text) > CHARACTERS):
                yield Chunk(number, waiting)
                waiting, size = [], 0
            waiting.append(record)
            size += len(record.text)
        yield Chunk(number, waiting, End(*share.end(), tuple(refused)))
        read += share.records
        number += 1


class _Share:
    """Counts and hashes what is read for a shard."""

    def __init__(self) -> None:
        self.records, self._digest = 0, hashlib.sha256()

    def add(self, record: Document | Refused) -> None:
        self.records += 1
        content: list[Any]
        if isinstance(record, Document):
            content = ["", record.id, record.text, dict(record.meta)]
        else:
            content = ["refused", record.id, record.reason]
        # As JSON it cannot be that two records differ and their hashed form does not.
        self._digest.update(json.dumps(content).encode())

    def end(self) -> tuple[int, str]:
        return self.records, self._digest.hexdigest()


def _after(first: Document | Refused, rest: Iterator[Document | Refused]) -> Iterator[Document | Refused]:
    yield first
    yield from rest
