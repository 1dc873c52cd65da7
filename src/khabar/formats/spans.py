"""Documents as labelled spans and links between them, which is what annotation tools keep.

An entity is a span; an event is a span, its trigger, with a link to each argument, whose label is the role. Where an
entity has the extent of the argument, the link leads to the entity. Elsewhere it leads to a span labelled
``Argument``, which stands for no entity: so arguments that are no entities come back as they were, and no entity is
invented.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from khabar.document import DataError, Document, Event, Mention

__all__ = [
    "ARGUMENT",
    "LAYERS",
    "Kind",
    "Link",
    "Span",
    "as_layer",
    "disjoint",
    "dumps",
    "gather",
    "layers_of",
    "lose",
    "of_layer",
    "records",
    "spread",
]

ARGUMENT = "Argument"
LAYERS = ("entities", "events")
Kind = Literal["entity", "trigger", "argument"]


@dataclass(frozen=True, slots=True)
class Span:
    """A labelled extent, in code points, and what it is."""

    kind: Kind
    start: int
    end: int
    label: str
    score: float | None = None


@dataclass(frozen=True, slots=True)
class Link:
    """A role: the numbers of the trigger's and the argument's span, counted from 0."""

    trigger: int
    argument: int
    role: str
    score: float | None = None


def spread(document: Document) -> tuple[list[Span], list[Link]]:
    """The spans and links of a document: entities, then each event's trigger and the spans its arguments need.

    Each event has a trigger span of its own, also where events share their trigger. Raises `DataError` for an entity
    type ``Argument``.
    """
    spans = [Span("entity", m.start, m.end, m.label, m.score) for m in document.entities or ()]
    if any(span.label == ARGUMENT for span in spans):
        raise DataError(f"document {document.id!r}: entity type {ARGUMENT!r}: the name stands for arguments here")
    links = []
    places = {(span.start, span.end): number for number, span in enumerate(spans)}
    for event in document.events or ():
        trigger, number = event.trigger, len(spans)
        spans.append(Span("trigger", trigger.start, trigger.end, trigger.label, trigger.score))
        for argument in event.arguments:
            extent = (argument.start, argument.end)
            if extent not in places:
                places[extent] = len(spans)
                spans.append(Span("argument", *extent, ARGUMENT))
            links.append(Link(number, places[extent], argument.label, argument.score))
    return spans, links


def gather(
    name: str,
    text: str,
    spans: Sequence[Span],
    links: Iterable[Link],
    *,
    place: str,
    layers: Collection[str] | None = None,
    meta: Mapping[str, Any] | None = None,
    report: Counter[str] | None = None,
) -> Document:
    """The document of spans and links; what it cannot hold is counted in ``report``.

    ``layers`` names what was annotated. Where nobody says, entities were, and events were if there is a trigger: a
    document without any would else teach that nothing happens in it. Raises `DataError` that names ``place``.
    """
    report = Counter() if report is None else report
    if layers is None:
        layers = LAYERS if any(span.kind == "trigger" for span in spans) else LAYERS[:1]
    elif unknown := set(layers) - set(LAYERS):
        raise DataError(f"{place}: unknown layers {sorted(unknown)}, expected some of {list(LAYERS)}")
    arguments: dict[int, list[Mention]] = defaultdict(list)
    linked = set()
    try:
        for span in spans:
            _check(span.label, span.score, span.start, span.end)
        for link in links:
            _check(link.role, link.score)
            target = spans[link.argument]
            linked.add(link.argument)
            if spans[link.trigger].kind != "trigger":
                report["relation dropped: it begins at no trigger"] += 1
            else:
                arguments[link.trigger].append(Mention(target.start, target.end, link.role, link.score))
        entities: list[Mention] = []
        events: list[Event] = []
        for number, span in enumerate(spans):
            mention = Mention(span.start, span.end, span.label, span.score)
            if span.kind == "entity":
                entities.append(mention)
            elif span.kind == "trigger":
                events.append(Event(mention, tuple(arguments[number])))
            elif number not in linked:
                report[f"span dropped: an {ARGUMENT} of no event"] += 1
        for layer, count in zip(LAYERS, (len(entities), len(events)), strict=True):
            if layer not in layers and count:
                report[f"{layer} dropped: not among the layers"] += count
        return Document(
            name,
            text,
            tuple(disjoint(entities, report)) if "entities" in layers else None,
            tuple(events) if "events" in layers else None,
            meta or {},
        )
    except DataError as error:
        raise DataError(f"{place}: {error}") from None


def _check(label: Any, score: Any, *offsets: Any) -> None:
    """Refuse what a tool's file may hold and a mention may not."""
    if not isinstance(label, str) or not label:
        raise DataError(f"expected a string as label, got {label!r}")
    if score is not None and (isinstance(score, bool) or not isinstance(score, int | float)):
        raise DataError(f"expected a number as score of {label!r}, got {score!r}")
    if any(type(offset) is not int for offset in offsets):
        raise DataError(f"expected integers as offsets of {label!r}, got {offsets}")


def disjoint(mentions: Iterable[Mention], report: Counter[str]) -> list[Mention]:
    """Mentions that do not overlap: of those that do, the longer stays, and of equals the earlier."""
    kept: list[Mention] = []
    for mention in sorted(mentions, key=lambda m: (m.start - m.end, m)):
        if any(mention.start < other.end and other.start < mention.end for other in kept):
            report["entity dropped: it overlaps a longer one"] += 1
        else:
            kept.append(mention)
    return sorted(kept)


def layers_of(document: Document) -> list[str]:
    """The names of the layers that were annotated."""
    return [layer for layer in LAYERS if getattr(document, layer) is not None]


def lose(document: Document, report: Counter[str], *features: str) -> None:
    """Count what a format does not hold: ``ids``, ``meta``, ``scores``, ``layers``, ``events``, ``arguments``."""
    mentions = list(document.mentions())
    events = document.events or ()
    numbers = {
        "ids": 1,
        "meta": 1 if document.meta else 0,
        "scores": sum(mention.score is not None for mention in mentions),
        "layers": len(LAYERS) - len(layers_of(document)),
        "events": len(events),
        "arguments": sum(len(event.arguments) for event in events),
        "entities": len(document.entities or ()),
    }
    names = {
        "ids": "document id",
        "meta": "metadata of a document",
        "layers": "layer that was not annotated, now empty",
    }
    for feature in features:
        if numbers[feature]:
            report[f"{names.get(feature, feature.removesuffix('s'))} lost"] += numbers[feature]


def as_layer(document: Document, layer: str, report: Counter[str]) -> Document:
    """The document with one layer of spans as its entities: ``entities``, or ``triggers`` with their event types."""
    if layer not in ("entities", "triggers"):
        raise DataError(f"expected layer as entities or triggers, got {layer!r}")
    if layer == "entities":
        lose(document, report, "events", "arguments")
        return replace(document, events=None)
    lose(document, report, "entities", "arguments")
    events = document.events
    triggers = None if events is None else tuple(disjoint([event.trigger for event in events], report))
    return replace(document, entities=triggers, events=None)


def of_layer(document: Document, layer: str) -> Document:
    """The document whose entities are a layer, as `as_layer` made it."""
    if layer != "triggers":
        return document
    events = None if document.entities is None else tuple(Event(trigger) for trigger in document.entities)
    return replace(document, entities=None, events=events)


def dumps(document: Document, record: Any) -> str:
    """A record of a document as JSON; raises `DataError` that names it where its metadata is not JSON."""
    try:
        line = json.dumps(record, ensure_ascii=False, allow_nan=False)
        line.encode()
    except (TypeError, ValueError) as error:  # UnicodeEncodeError is a ValueError
        raise DataError(f"document {document.id!r} cannot be written as JSON: {error}") from None
    return line


def records(content: str, place: str) -> Any:
    """JSON of a file as plain data; raises `DataError` that names ``place`` and the line."""
    try:
        return json.loads(content)
    except json.JSONDecodeError as error:
        raise DataError(f"{place}: line {error.lineno}: not JSON: {error.msg} at character {error.colno}") from None
    except RecursionError:
        raise DataError(f"{place}: JSON that is nested too deeply") from None
