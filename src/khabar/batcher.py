"""Articles of many requests are labelled together, by one thread that owns the labeller."""

from __future__ import annotations

import logging
import math
import statistics
import threading
import time
import traceback
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future

from khabar.document import Document
from khabar.labeller import BATCH_TOKENS, Labeller

__all__ = ["Batcher", "Broken", "Busy", "Closed", "Long", "frames"]

log = logging.getLogger(__name__)
ARTICLES = 32  # of a chunk, at most
PAUSE = 0.005  # seconds that the first article of a chunk waits for others
_PER_SUBWORD = 4  # characters: a chunk fills a batch, and no answer waits long for others; a longer article is alone
_EXTRA = 100  # characters in whose time an article is labelled beside its own
_SURE = 0.5  # of the time that an answer has beside its own: so long may it have to wait, as far as can be foreseen
_LONGEST_RETRY = 60  # seconds

Waiting = tuple[Document, "Future[Document]"]


class Busy(Exception):
    """As many articles wait as may wait, or as can be labelled in time; ``seconds`` says when to come back."""

    def __init__(self, seconds: int) -> None:
        super().__init__(f"too many articles wait: come back in {seconds} s")
        self.seconds = seconds


class Long(Exception):
    """Not even if nothing else waited would these be labelled in time."""


class Closed(Exception):
    """Nothing is accepted any more."""


class Broken(Exception):
    """The labeller failed on an article; the log says where."""


class Batcher:
    """A bounded queue of articles, and the thread that labels what stands in it, chunk by chunk.

    What has come while one chunk was labelled makes the next one, so that chunks grow with the load. An article whose
    future was cancelled before its turn is not labelled; one that breaks the labeller gets `Broken`, and the others of
    its chunk are labelled without it. What could not be labelled within ``seconds``, at the pace of the last chunks, is
    not accepted; before the first chunk nothing is known of that, and who comes when nothing waits is tried.
    """

    def __init__(
        self, labeller: Labeller, room: int = 256, batch_tokens: int = BATCH_TOKENS, seconds: float = math.inf
    ) -> None:
        self._labeller, self._room, self._batch_tokens, self._seconds = labeller, room, batch_tokens, seconds
        self._waiting: deque[Waiting] = deque()
        self._begun = 0  # characters of the chunk that is being labelled
        self._paces: deque[float] = deque(maxlen=5)  # seconds a character of the last chunks
        self._changed = threading.Condition()
        self._open = False
        self._thread = threading.Thread(target=self._work, name="labeller", daemon=True)

    def start(self) -> None:
        """Begin to label."""
        self._open = True
        self._thread.start()

    def close(self) -> None:
        """Accept nothing more, label what was accepted, end."""
        with self._changed:
            self._open = False
            self._changed.notify_all()
        if self._thread.is_alive():
            self._thread.join()

    @property
    def waiting(self) -> int:
        """How many articles wait."""
        return len(self._waiting)

    @property
    def alive(self) -> bool:
        """Whether what is accepted will be labelled."""
        return self._open and self._thread.is_alive()

    def check(self) -> None:
        """Raise `Closed` or `Busy` where not even one short article would be accepted now."""
        with self._changed:
            self._check(1, _EXTRA)

    def submit(self, documents: Sequence[Document]) -> list[Future[Document]]:
        """Accept all of these, or none: raises `Closed`, `Busy` or `Long`."""
        with self._changed:
            self._check(len(documents), sum(map(_size, documents)))
            futures: list[Future[Document]] = [Future() for _ in documents]
            self._waiting.extend(zip(documents, futures, strict=True))
            self._changed.notify_all()
        return futures

    def _check(self, count: int, size: int) -> None:
        if not self.alive:
            raise Closed
        # Those whose client went away hold no place.
        self._waiting = deque(one for one in self._waiting if not one[1].cancelled())
        pace = statistics.median(self._paces) if self._paces else 0.0
        alone = pace * size
        if size > self._most and alone > self._seconds:
            raise Long(f"this would take about {alone:.0f} s, longer than an answer may ({self._seconds:g} s)")
        ahead = pace * (self._begun + sum(_size(document) for document, _ in self._waiting))
        late = ahead - _SURE * (self._seconds - alone) if ahead else 0.0
        full = len(self._waiting) + count > self._room
        if full or late > 0:
            # Others are told to come back too: not at the first moment, but when half of what waits is labelled.
            raise Busy(min(max(1, math.ceil(max(late, ahead / 2))), _LONGEST_RETRY))

    @property
    def _most(self) -> int:
        """Characters of a chunk."""
        return _PER_SUBWORD * self._batch_tokens

    def _work(self) -> None:
        begun: list[Waiting] = []
        try:
            while (chunk := self._take()) is not None:
                begun = chunk
                if chunk:
                    began = time.monotonic()
                    self._label(chunk)
                    self._paces.append((time.monotonic() - began) / self._begun)
        finally:  # whatever ends this thread, nobody waits for it in vain
            with self._changed:
                self._open = False
                left, self._waiting = self._waiting, deque()
            unanswered = [future for _, future in begun if not future.done()]
            unanswered += [future for _, future in left if future.set_running_or_notify_cancel()]
            for future in unanswered:
                future.set_exception(Closed())

    def _take(self) -> list[Waiting] | None:
        """The next chunk, in the order of arrival; ``None`` where all is done and no more comes."""
        with self._changed:
            self._begun = 0
            while self._open and not self._waiting:
                self._changed.wait()
            if not self._waiting:
                return None
            until = time.monotonic() + PAUSE
            while self._open and len(self._waiting) < ARTICLES and (left := until - time.monotonic()) > 0:
                self._changed.wait(left)
            chunk: list[Waiting] = []
            while self._waiting and len(chunk) < ARTICLES:
                document, future = self._waiting[0]
                if chunk and self._begun + _size(document) > self._most:
                    break
                self._waiting.popleft()
                if future.set_running_or_notify_cancel():
                    chunk.append((document, future))
                    self._begun += _size(document)
            return chunk

    def _label(self, chunk: Sequence[Waiting]) -> None:
        try:
            given = [document for document, _ in chunk]
            found = [one for part, _ in self._labeller.stream([given], batch_tokens=self._batch_tokens) for one in part]
            if len(found) != len(given):
                raise RuntimeError("the labeller gave back another number of documents")
        except Exception as error:
            if len(chunk) > 1:
                for one in chunk:
                    self._label([one])
                return
            document, future = chunk[0]
            # The message of an error may quote the text.
            log.error(
                "article %s of %d characters: %s at %s",
                ascii(document.id),
                len(document.text),
                type(error).__name__,
                frames(error),
            )
            future.set_exception(Broken(document.id))
            return
        for (_, future), document in zip(chunk, found, strict=True):
            future.set_result(document)


def _size(document: Document) -> int:
    """Characters in whose time a document is labelled."""
    return len(document.text) + _EXTRA


def frames(error: BaseException) -> str:
    """Where an error was raised: the lines of code that led there, and nothing of what they worked on."""
    found = traceback.extract_tb(error.__traceback__)[-6:]
    return " < ".join(f"{frame.name} ({frame.filename.rsplit('/', 1)[-1]}:{frame.lineno})" for frame in reversed(found))
