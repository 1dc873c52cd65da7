"""A gold document and its prediction beside each other: every mention with what is right or wrong about it.

What is shown is made for reading: mentions stand in the text with their mistakes, events stand in pairs. Numbers come
from `khabar.metrics`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from khabar.document import Document, Mention
from khabar.scoring.alignment import Pair, align

__all__ = ["KINDS", "Example", "Mark", "Piece", "Run", "Side", "example", "runs"]

# A kind of mark -> what a reader is told.
KINDS: Mapping[str, str] = {
    "correct": "correct",
    "missed": "missed",
    "spurious": "spurious",
    "type": "wrong type",
    "boundary": "wrong boundary",
}


@dataclass(frozen=True, slots=True)
class Mark:
    """A mention of one side. ``layer`` is entities, triggers or arguments; ``kind`` is one of `KINDS`.

    ``pair`` is a name that it shares with ``other``, the mention of the other side that it was compared with.
    """

    layer: str
    kind: str
    mention: Mention
    surface: str
    pair: str
    other: Mention | None = None

    @property
    def verdict(self) -> str:
        """What a reader is told about it."""
        if self.layer == "arguments" and self.kind == "type" and self.other:
            return "wrong role" if self.other.label != self.mention.label else "event of a wrong type"
        return KINDS[self.kind]


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of text under the same triggers; ``ended`` are those that end with it."""

    text: str
    triggers: tuple[Mark, ...] = ()
    ended: tuple[Mark, ...] = ()


@dataclass(frozen=True, slots=True)
class Run:
    """The pieces of one entity, or of the text between two."""

    entity: Mark | None
    pieces: tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class Side:
    """An event of one side: its trigger, and its arguments in text order."""

    trigger: Mark
    arguments: tuple[Mark, ...]


@dataclass(frozen=True, slots=True)
class Example:
    """One article: both texts, its events as pairs (gold, predicted), and how many units there are of each kind.

    ``counts`` counts a unit once where both sides hold it. A layer that gold does not have is on neither side.
    """

    id: str
    gold: tuple[Run, ...]
    predicted: tuple[Run, ...]
    events: tuple[tuple[Side | None, Side | None], ...]
    counts: Mapping[str, int]


# Of gold and of the prediction.
_Marks = tuple[Mark | None, Mark | None]


def _kind(gold: Mention | None, predicted: Mention | None) -> str:
    if predicted is None:
        return "missed"
    if gold is None:
        return "spurious"
    if gold.label != predicted.label:
        return "type"
    return "correct" if gold == predicted else "boundary"


def example(gold: Document, predicted: Document) -> Example:
    """Compare a document with its prediction.

    Entities and triggers are compared with each other in the whole text, arguments within a pair of events. Events
    of one side with the same trigger are one. An argument of two events whose types differ is of a wrong type too.
    """
    counts: Counter[str] = Counter()

    def marks(layer: str, pairs: Iterable[Pair], within: str = "", mistyped: bool = False) -> list[_Marks]:
        found: list[_Marks] = []
        for number, (left, right) in enumerate(pairs):
            kind, pair = _kind(left, right), f"{layer}-{within}{number}"
            if mistyped and kind == "correct":
                kind = "type"
            counts[kind] += 1
            found.append(
                (
                    Mark(layer, kind, left, gold.surface(left), pair, right) if left else None,
                    Mark(layer, kind, right, gold.surface(right), pair, left) if right else None,
                )
            )
        return found

    entities: list[_Marks] = []
    if gold.entities is not None:
        entities = marks("entities", align(gold.entities, predicted.entities or ()))
    triggers: list[_Marks] = []
    events: list[tuple[Side | None, Side | None]] = []
    if gold.events is not None:
        sides = _arguments(gold), _arguments(predicted)
        triggers = marks("triggers", align(*sides))
        for number, (left, right) in enumerate(triggers):
            pairs = align(sides[0][left.mention] if left else (), sides[1][right.mention] if right else ())
            mistyped = left is not None and left.kind == "type"
            arguments = marks("arguments", pairs, f"{number}-", mistyped)
            events.append(
                (
                    Side(left, tuple(a for a, _ in arguments if a)) if left else None,
                    Side(right, tuple(a for _, a in arguments if a)) if right else None,
                )
            )
    left_text, right_text = (
        runs(gold.text, [pair[side] for pair in entities], [pair[side] for pair in triggers]) for side in range(2)
    )
    return Example(gold.id, left_text, right_text, tuple(events), dict(counts))


def _arguments(document: Document) -> dict[Mention, set[Mention]]:
    """Each trigger with its arguments; a trigger keeps the score it was first given."""
    found: dict[Mention, set[Mention]] = {}
    for event in document.events or ():
        found.setdefault(event.trigger, set()).update(event.arguments)
    return found


def runs(text: str, entities: Sequence[Mark | None], triggers: Sequence[Mark | None]) -> tuple[Run, ...]:
    """Cut a text where mentions begin and end. Entities do not overlap; triggers may overlap everything."""
    by_start = {mark.mention.start: mark for mark in entities if mark}
    over = [mark for mark in triggers if mark]
    edges = {0, len(text)}.union(*((m.mention.start, m.mention.end) for m in (*by_start.values(), *over)))
    places = sorted(edges)
    found: list[tuple[Mark | None, list[Piece]]] = []
    entity = None
    for start, end in zip(places, places[1:], strict=False):
        entity = by_start.get(start, entity)
        if entity and entity.mention.end <= start:
            entity = None
        held = tuple(mark for mark in over if mark.mention.start <= start and end <= mark.mention.end)
        piece = Piece(text[start:end], held, tuple(mark for mark in held if mark.mention.end == end))
        if found and found[-1][0] is entity:
            found[-1][1].append(piece)
        else:
            found.append((entity, [piece]))
    return tuple(Run(entity, tuple(pieces)) for entity, pieces in found)
