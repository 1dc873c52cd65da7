"""Articles of many requests are labelled together, by one thread that owns the labeller."""

from __future__ import annotations

import logging
import math
import threading
import time
import traceback
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future

from khabar.document import Document
from khabar.labeller import BATCH_TOKENS, Labeller

__all__ = ["Batcher", "Broken", "Busy", "Closed", "frames"]

log = logging.getLogger(__name__)
ARTICLES, CHARACTERS = 32, 1 << 15  # of a chunk, at most: no answer waits long for others; a longer article is alone
PAUSE = 0.005  # seconds that the first article of a chunk waits for others
_LONGEST_RETRY = 60  # seconds

Waiting = tuple[Document, "Future[Document]"]


class Busy(Exception):
    """As many articles wait as may wait; ``seconds`` says when to come back."""

    def __init__(self, seconds: int) -> None:
        super().__init__(f"too many articles wait: come back in {seconds} s")
        self.seconds = seconds


class Closed(Exception):
    """Nothing is accepted any more."""


class Broken(Exception):
    """The labeller failed on an article; the log says where."""


class Batcher:
    """A bounded queue of articles, and the thread that labels what stands in it, chunk by chunk.

    What has come while one chunk was labelled makes the next one, so that chunks grow with the load. An article whose
    future was cancelled before its turn is not labelled; one that breaks the labeller gets `Broken`, and the others of
    its chunk are labelled without it.
    """

    def __init__(self, labeller: Labeller, room: int = 256, batch_tokens: int = BATCH_TOKENS) -> None:
        self._labeller, self._room, self._batch_tokens = labeller, room, batch_tokens
        self._waiting: deque[Waiting] = deque()
        self._changed = threading.Condition()
        self._open = False
        self._pace = 0.0  # seconds an article, of late
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

    def check(self, count: int = 1) -> None:
        """Raise `Closed` or `Busy` where ``count`` more articles would not be accepted now."""
        with self._changed:
            self._check(count)

    def submit(self, documents: Sequence[Document]) -> list[Future[Document]]:
        """Accept all of these, or none: raises `Closed` or `Busy`."""
        with self._changed:
            self._check(len(documents))
            futures: list[Future[Document]] = [Future() for _ in documents]
            self._waiting.extend(zip(documents, futures, strict=True))
            self._changed.notify_all()
        return futures

    def _check(self, count: int) -> None:
        if not self.alive:
            raise Closed
        if len(self._waiting) + count > self._room:  # those whose client went away hold no place
            self._waiting = deque(one for one in self._waiting if not one[1].cancelled())
            if len(self._waiting) + count > self._room:
                raise Busy(min(max(1, math.ceil(self._pace * len(self._waiting))), _LONGEST_RETRY))

    def _work(self) -> None:
        begun: list[Waiting] = []
        try:
            while (chunk := self._take()) is not None:
                begun = chunk
                if chunk:
                    began = time.monotonic()
                    self._label(chunk)
                    took = (time.monotonic() - began) / len(chunk)
                    self._pace = took if not self._pace else 0.8 * self._pace + 0.2 * took
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
            while self._open and not self._waiting:
                self._changed.wait()
            if not self._waiting:
                return None
            until = time.monotonic() + PAUSE
            while self._open and len(self._waiting) < ARTICLES and (left := until - time.monotonic()) > 0:
                self._changed.wait(left)
            chunk: list[Waiting] = []
            size = 0
            while self._waiting and len(chunk) < ARTICLES:
                document, future = self._waiting[0]
                if chunk and size + len(document.text) > CHARACTERS:
                    break
                self._waiting.popleft()
                if future.set_running_or_notify_cancel():
                    chunk.append((document, future))
                    size += len(document.text)
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


def frames(error: BaseException) -> str:
    """Where an error was raised: the lines of code that led there, and nothing of what they worked on."""
    found = traceback.extract_tb(error.__traceback__)[-6:]
    return " < ".join(f"{frame.name} ({frame.filename.rsplit('/', 1)[-1]}:{frame.lineno})" for frame in reversed(found))
