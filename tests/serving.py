"""«الباب مفتوح»: a service on a free port of this machine, and a labeller that can be held, broken and overheard."""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from khabar.document import Document
from khabar.features import Floats
from khabar.labeller import BATCH_TOKENS, Labeller
from khabar.limits import Limits
from khabar.serve import server
from khabar.service import app

BREAKS = "مكسور"


class Held(Labeller):
    """Another labeller, which waits at its gate, keeps the ids of its chunks, and fails where a text says so."""

    def __init__(self, inner: Labeller) -> None:
        self.inner, self.reader, self.meta = inner, inner.reader, inner.meta
        self.temperatures, self.thresholds = inner.temperatures, inner.thresholds
        self.gate, self.entered = threading.Event(), threading.Event()
        self.chunks: list[list[str]] = []

    @property
    def device_type(self) -> str:
        return self.inner.device_type

    @property
    def precision(self) -> str:
        return self.inner.precision

    def compute(self, batch: Mapping[str, Any]) -> Mapping[str, Floats]:
        return self.inner.compute(batch)

    def stream(
        self, chunks: Iterable[Sequence[Document]], gold_triggers: bool = False, batch_tokens: int = BATCH_TOKENS
    ) -> Iterator[tuple[list[Document], Counter[str]]]:
        for chunk in chunks:
            self.chunks.append([document.id for document in chunk])
            self.entered.set()
            assert self.gate.wait(30)
            for document in chunk:
                if BREAKS in document.text:
                    raise ValueError(f"a message that quotes {document.text}")
            yield from self.inner.stream([chunk], gold_triggers, batch_tokens)


class Slow(Held):
    """One that takes a millisecond for each character, and for a hundred more of each article."""

    def stream(
        self, chunks: Iterable[Sequence[Document]], gold_triggers: bool = False, batch_tokens: int = BATCH_TOKENS
    ) -> Iterator[tuple[list[Document], Counter[str]]]:
        for chunk in chunks:
            time.sleep(sum(len(document.text) + 100 for document in chunk) / 1000)
            yield from self.inner.stream([chunk], gold_triggers, batch_tokens)


@contextmanager
def running(labeller: Labeller, limits: Limits | None = None, connections: int = 256) -> Iterator[int]:
    """Serve in a thread until the block ends; gives the port."""
    bounds = limits or Limits()
    running = server(app(labeller, bounds), bounds, connections)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=running.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        while not running.started:
            assert thread.is_alive()
            time.sleep(0.01)
        try:
            yield listening.getsockname()[1]
        finally:
            running.should_exit = True
            thread.join(60)
            assert not thread.is_alive()


def same(answer: Mapping[str, Any], expected: Document) -> bool:
    """Whether an answer is what offline prediction says; sums may differ in the last bits with the batch."""
    found = Document.from_json(answer)
    scores = zip(found.mentions(), expected.mentions(), strict=True)
    return found == expected and all(abs((a.score or 0) - (b.score or 0)) < 1e-3 for a, b in scores)
