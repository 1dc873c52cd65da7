"""The values everything else passes around: mentions, events, documents, and their JSON.

Every offset is a half-open range of Unicode code points into the raw text, so
``document.text[mention.start:mention.end]`` is the mention. Values are frozen;
``dataclasses.replace(document, events=events)`` makes the next one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from khabar.frames import Frames

__all__ = ["DataError", "Document", "Event", "Mention"]


class DataError(ValueError):
    """Input that cannot be used; the message names the file, line or id and what was expected."""


@dataclass(frozen=True, slots=True, order=True)
class Mention:
    """A labelled stretch of text.

    ``start`` and ``end`` are code points into the raw text; ``label`` is the entity type, the event
    type or the role, by the field that holds the mention. ``score`` is the probability the model
    gave it (``None`` for gold) and takes no part in equality, so gold and predicted compare as sets.
    """

    start: int
    end: int
    label: str
    score: float | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.end:
            raise DataError(f"mention {self.label!r}: expected 0 <= start < end, got {self.start}..{self.end}")

    def to_json(self, key: str) -> dict[str, Any]:
        """The mention as JSON, its label under ``key`` (``type`` or ``role``)."""
        record: dict[str, Any] = {"start": self.start, "end": self.end, key: self.label}
        if self.score is not None:
            record["score"] = round(self.score, 4)
        return record

    @classmethod
    def from_json(cls, record: Mapping[str, Any], key: str) -> Mention:
        """Read what `to_json` wrote; raises `DataError` where a field is missing or of another type."""
        start, end, label = (record.get(name) for name in ("start", "end", key))
        if type(start) is not int or type(end) is not int or not isinstance(label, str):
            raise DataError(f"expected a mention with integers start, end and a string {key}, got {record!r}")
        score = record.get("score")
        if score is not None and not isinstance(score, int | float):
            raise DataError(f"expected a number as score of a mention, got {score!r}")
        return cls(start, end, label, score)


@dataclass(frozen=True, slots=True, order=True)
class Event:
    """A trigger, whose label is the event type, and its arguments, whose labels are roles."""

    trigger: Mention
    arguments: tuple[Mention, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "arguments", tuple(sorted(self.arguments)))

    @property
    def type(self) -> str:
        """The event type."""
        return self.trigger.label


@dataclass(frozen=True, slots=True)
class Document:
    """An article and what is annotated in it.

    ``entities`` and ``events`` are ``None`` where the layer was not annotated and ``()`` where it was
    and nothing is there: one model can so train on corpora that carry different layers. Both are kept
    in text order. Entities do not overlap; events may share triggers and arguments.

    Raises `DataError` when an offset lies outside the text, when entities overlap, or when the text
    cannot be written as UTF-8.
    """

    id: str
    text: str
    entities: tuple[Mention, ...] | None = None
    events: tuple[Event, ...] | None = None
    meta: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if self.entities is not None:
            object.__setattr__(self, "entities", tuple(sorted(self.entities)))
        if self.events is not None:
            object.__setattr__(self, "events", tuple(sorted(self.events)))
        try:
            self.text.encode()
        except UnicodeEncodeError as error:
            raise DataError(f"document {self.id!r}: lone surrogate at {error.start}") from None
        for mention in self.mentions():
            if mention.end > len(self.text):
                raise DataError(
                    f"document {self.id!r}: {mention.label} {mention.start}..{mention.end} "
                    f"ends after the text ({len(self.text)} code points)"
                )
        entities = self.entities or ()
        for left, right in zip(entities, entities[1:], strict=False):
            if right.start < left.end:
                raise DataError(f"document {self.id!r}: entities overlap: {left} and {right}")

    def mentions(self) -> Iterable[Mention]:
        """Every mention of every layer: entities, then each event's trigger and arguments."""
        yield from self.entities or ()
        for event in self.events or ():
            yield event.trigger
            yield from event.arguments

    def surface(self, mention: Mention) -> str:
        """The words of a mention as they stand in the text."""
        return self.text[mention.start : mention.end]

    def to_frame(self) -> Frames:
        """Its entities and its events as pandas tables (`khabar.frames.frames` makes them of many documents)."""
        from khabar.frames import frames

        return frames([self])

    def to_spacy(self, vocabulary: Any = None) -> Any:
        """Its ``spacy.tokens.Doc``, as `khabar.formats.doc.convert` makes it; needs ``khabar[spacy]``."""
        from khabar.formats.doc import convert

        return convert(self, vocabulary)

    def _repr_html_(self) -> str:
        """How a notebook shows it: the page of `khabar.viewer`."""
        from khabar.viewer import embedded

        return embedded([self])

    def to_json(self) -> dict[str, Any]:
        """The record of the native format; a layer that was not annotated is left out."""
        record: dict[str, Any] = {"id": self.id, "text": self.text}
        if self.entities is not None:
            record["entities"] = [mention.to_json("type") for mention in self.entities]
        if self.events is not None:
            record["events"] = [
                {
                    "trigger": event.trigger.to_json("type"),
                    "arguments": [mention.to_json("role") for mention in event.arguments],
                }
                for event in self.events
            ]
        if self.meta:
            record["meta"] = dict(self.meta)
        return record

    @classmethod
    def from_json(cls, record: Mapping[str, Any]) -> Document:
        """Read what `to_json` wrote. Raises `DataError` that names the document and the field."""
        if not isinstance(record, Mapping):
            raise DataError(f"expected an object with id and text, got {type(record).__name__}")
        name, prefix = record.get("id"), f"document {record.get('id')!r}: "
        if not isinstance(name, str) or not isinstance(record.get("text"), str):
            raise DataError(f"expected a record with strings id and text, got id {name!r}")
        known = {"id", "text", "entities", "events", "meta"}
        if unknown := record.keys() - known:
            raise DataError(f"{prefix}unknown keys {sorted(unknown)}, expected {sorted(known)}")
        try:
            entities, events, meta = record.get("entities"), record.get("events"), record.get("meta", {})
            if not isinstance(meta, Mapping):
                raise DataError(f"expected an object as meta, got {meta!r}")
            return cls(
                id=name,
                text=record["text"],
                entities=None if entities is None else tuple(Mention.from_json(m, "type") for m in entities),
                events=None if events is None else tuple(_event(event) for event in events),
                meta=meta,
            )
        except DataError as error:
            message = str(error)
            raise DataError(message if message.startswith(prefix) else prefix + message) from None
        except (TypeError, AttributeError, KeyError) as error:
            raise DataError(f"{prefix}entities and events must be lists of objects ({error})") from None


def _event(record: Mapping[str, Any]) -> Event:
    # A misspelt "arguments" would otherwise lose them without a word.
    if unknown := record.keys() - {"trigger", "arguments"}:
        raise DataError(f"unknown keys {sorted(unknown)} of an event, expected trigger and arguments")
    trigger = Mention.from_json(record["trigger"], "type")
    return Event(trigger, tuple(Mention.from_json(m, "role") for m in record.get("arguments", ())))
