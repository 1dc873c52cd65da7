"""Documents -> labelled documents, whatever computes the logits: PyTorch in `khabar.tagger`, or another runtime."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from copy import copy
from dataclasses import replace
from itertools import islice
from typing import Any, Self, overload

from khabar.batches import arrays, batches, features
from khabar.document import DataError, Document, Event, Mention
from khabar.edges import whole
from khabar.features import ARGUMENTS, ENTITIES, TRIGGERS, Floats, Instance, Reader, Reading
from khabar.plan import CHUNK

__all__ = ["BATCH_TOKENS", "Labeller"]

BATCH_TOKENS = 2048  # subwords in a batch: larger ones leave the processor's caches


Read = tuple[Reading, list[Instance]]  # a document, and the windows of its text


class Labeller(ABC):
    """Finds entities, events and arguments.

    ``temperatures`` divide the logits of each head before decoding: calibration (Guo et al. 2017). A mention whose
    score is below the ``thresholds`` of its head is left out. ``meta`` is passed through the folder (what it was
    trained on, scores).
    """

    reader: Reader
    temperatures: dict[str, float]
    thresholds: dict[str, float]
    meta: dict[str, Any]

    @property
    @abstractmethod
    def device_type(self) -> str:
        """``cpu`` or ``cuda``."""

    @property
    @abstractmethod
    def precision(self) -> str:
        """Number format of the arithmetic."""

    @abstractmethod
    def compute(self, batch: Mapping[str, Any]) -> Mapping[str, Floats]:
        """The arrays of a batch (`khabar.batches.arrays`) -> logits, (batch, words, tags) for each head."""

    def uncalibrated(self) -> Self:
        """The same labeller without temperatures and thresholds."""
        found = copy(self)
        found.temperatures, found.thresholds = {}, {}
        return found

    def logits(self, instances: Sequence[Instance], batch_tokens: int = BATCH_TOKENS) -> list[dict[str, Floats]]:
        """Calibrated logits of each instance, (words, tags) for each head."""
        result: list[dict[str, Floats]] = [{} for _ in instances]
        for rows, logits in self._run(instances, batch_tokens):
            for row, scores in zip(rows, logits, strict=True):
                result[row] = scores
        return result

    @overload  # a string is an iterable of strings, but here it is one text
    def label(self, texts: str) -> Document: ...  # type: ignore[overload-overlap]
    @overload
    def label(self, texts: Iterable[str]) -> list[Document]: ...
    def label(self, texts: str | Iterable[str]) -> Document | list[Document]:
        """Label a text, or each of several: a document, or a list of them whose ids are their numbers from 1.

        `tag` takes documents, and yields them one by one. Raises `DataError` where a text is not a string.
        """
        if isinstance(texts, str):
            return next(self.tag([Document("1", texts)]))
        documents = []
        for number, text in enumerate(texts, start=1):
            if not isinstance(text, str):
                raise DataError(f"text {number}: expected a string, got {type(text).__name__}; tag() takes documents")
            documents.append(Document(str(number), text))
        return list(self.tag(documents))

    def tag(
        self,
        documents: Iterable[Document],
        gold_triggers: bool = False,
        batch_tokens: int = BATCH_TOKENS,
        chunk: int = CHUNK,
        report: Counter[str] | None = None,
    ) -> Iterator[Document]:
        """Label documents, in order, with the layers this model answers; other layers become ``None``.

        With ``gold_triggers`` the triggers of each document's own events are kept and only their
        arguments are found. Documents are read in chunks (`stream`), whose counts ``report`` adds up.
        """
        pending, counts = iter(documents), Counter[str]() if report is None else report
        chunks = iter(lambda: list(islice(pending, chunk)), [])
        for found, read in self.stream(chunks, gold_triggers, batch_tokens):
            counts.update(read)
            yield from found

    def stream(
        self, chunks: Iterable[Sequence[Document]], gold_triggers: bool = False, batch_tokens: int = BATCH_TOKENS
    ) -> Iterator[tuple[list[Document], Counter[str]]]:
        """Label documents chunk by chunk: what stands in one chunk depends on nothing outside it.

        The windows of a chunk are batched together by length, and so are the argument passes of all its triggers.
        The next chunk is preprocessed and tokenised while the numbers of this one are worked out.
        Yields with each chunk what was read: documents, words, those labelled, those of which preprocessing
        leaves nothing, those cut short for their length, windows, triggers.
        """
        if gold_triggers and ARGUMENTS not in self.reader.heads:
            raise DataError("gold triggers are for a model that finds arguments, which this one does not")
        with ThreadPoolExecutor(1, thread_name_prefix="read") as ahead:
            waiting: Future[list[Read]] | None = None
            for chunk in chunks:
                coming = ahead.submit(self._read, chunk)
                if waiting is not None:
                    yield self._label(waiting.result(), gold_triggers, batch_tokens)
                waiting = coming
            if waiting is not None:
                yield self._label(waiting.result(), gold_triggers, batch_tokens)

    def _read(self, documents: Sequence[Document]) -> list[Read]:
        readings = [self.reader.read(document) for document in documents]
        return [(reading, self.reader.text_pass(reading)) for reading in readings]

    def _label(
        self, read: Sequence[Read], gold_triggers: bool, batch_tokens: int
    ) -> tuple[list[Document], Counter[str]]:
        heads = self.reader.heads
        readings, windows = [reading for reading, _ in read], [instances for _, instances in read]
        flat = [instance for instances in windows for instance in instances]
        asked = [head for head in (ENTITIES, TRIGGERS) if head in heads and not (gold_triggers and head == TRIGGERS)]
        found = iter(self._find(flat, asked, batch_tokens))
        layers: list[dict[str, list[Mention]]] = []
        for instances in windows:
            parts = [next(found) for _ in instances]
            layers.append({head: [mention for part in parts for mention in part[head]] for head in asked})
        if gold_triggers:
            for reading, layer in zip(readings, layers, strict=True):
                layer[TRIGGERS] = self._own_triggers(reading.document)
        calls = self._calls(readings, layers, batch_tokens)
        counts = Counter(
            {
                "documents": len(readings),
                "words": sum(len(reading.words) + reading.unread for reading in readings),
                "words labelled": sum(len(instance.words) for instance in flat),
                "words without a readable form": sum(reading.unread for reading in readings),
                "words cut short": sum(reading.shortened for reading in readings),
                "windows": len(flat),
                "triggers": sum(len(layer.get(TRIGGERS, ())) for layer in layers),
            }
        )
        return [
            replace(
                reading.document,
                entities=tuple(layer[ENTITIES]) if ENTITIES in layer else None,
                events=None
                if TRIGGERS not in layer or (gold_triggers and reading.document.events is None)
                else tuple(events),
            )
            for reading, layer, events in zip(readings, layers, calls, strict=True)
        ], counts

    def _own_triggers(self, document: Document) -> list[Mention]:
        found = list(dict.fromkeys(event.trigger for event in document.events or ()))
        if unknown := {trigger.label for trigger in found} - self.reader.ontology.events.keys():
            raise DataError(f"document {document.id!r}: the model has no event types {sorted(unknown)}")
        return found

    def _calls(
        self, readings: Sequence[Reading], layers: Sequence[Mapping[str, Sequence[Mention]]], batch_tokens: int
    ) -> list[list[Event]]:
        """The events of each document: its triggers, and the arguments that are found for them."""
        answers = ARGUMENTS in self.reader.heads
        primed = [
            (place, trigger, self.reader.argument_pass(reading, trigger) if answers else None)
            for place, (reading, layer) in enumerate(zip(readings, layers, strict=True))
            for trigger in layer.get(TRIGGERS, ())
        ]
        inputs = [instance for _, _, instance in primed if instance is not None]
        found = iter(self._find(inputs, [ARGUMENTS], batch_tokens))
        events: list[list[Event]] = [[] for _ in readings]
        for place, trigger, instance in primed:
            arguments = [] if instance is None else next(found)[ARGUMENTS]
            named = layers[place].get(ENTITIES, ())
            events[place].append(Event(trigger, tuple(dict.fromkeys(whole(a, named) for a in arguments))))
        return events

    def _find(
        self, instances: Sequence[Instance], heads: Sequence[str], batch_tokens: int
    ) -> list[dict[str, list[Mention]]]:
        """What each of the heads finds in each instance, as far as it is sure enough of it."""
        result: list[dict[str, list[Mention]]] = [{} for _ in instances]
        if not heads:
            return result
        for rows, logits in self._run(instances, batch_tokens):
            part = [instances[row] for row in rows]
            for head in heads:
                least = self.thresholds.get(head, 0.0)
                for row, found in zip(rows, self.reader.mentions(head, part, logits), strict=True):
                    result[row][head] = [mention for mention in found if (mention.score or 0.0) >= least]
        return result

    def _run(
        self, instances: Sequence[Instance], batch_tokens: int
    ) -> Iterator[tuple[list[int], list[dict[str, Floats]]]]:
        """Batches of instances of like length, at most ``batch_tokens`` subwords, padding counted: rows, logits."""
        lengths = [len(instance.input_ids) for instance in instances]
        order = sorted(range(len(instances)), key=lengths.__getitem__)
        for rows in batches(order, lengths, batch_tokens):
            output = self.compute(arrays(self.reader, [features(self.reader, instances[row]) for row in rows]))
            calibrated = {head: scores / self.temperatures.get(head, 1.0) for head, scores in output.items()}
            yield (
                rows,
                [
                    {head: scores[place, : len(instances[row].words)] for head, scores in calibrated.items()}
                    for place, row in enumerate(rows)
                ],
            )
