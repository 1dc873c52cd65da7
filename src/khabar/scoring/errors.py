"""What goes wrong, and what it costs: confusions, edges, mistakes that propagate, the most expensive ones.

Gold and predicted mentions are paired one to one by their spans (`khabar.scoring.alignment`), triggers first and then
the arguments of each pair of triggers, so every gold and every predicted mention is accounted for exactly once.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from heapq import heappush, heapreplace
from typing import Any

from khabar.document import Document, Mention
from khabar.scoring.alignment import Pair, align
from khabar.scoring.boundaries import causes
from khabar.scoring.facets import Describe, Facets

__all__ = ["Errors"]

_WORST = 20
_CONTEXT = 60  # code points of text on each side of a mistake
_PROPAGATION = (
    "correct",
    "arguments lost with a missed trigger",
    "arguments lost with a mistyped trigger",
    "missed under a right trigger",
    "wrong span",
    "wrong role",
    "wrong span and role",
    "spurious under a right trigger",
    "arguments of spurious triggers",
    "arguments of mistyped triggers",
)


class Errors:
    """Collects mistakes; the memory it takes grows with labels and causes, not with documents.

    ``seen`` and ``describe`` are those of `khabar.scoring.facets.Facets`.
    """

    def __init__(self, seen: Mapping[str, Iterable[str]] | None = None, describe: Describe | None = None) -> None:
        self._facets = Facets(seen, describe)
        self._confusion: dict[str, defaultdict[str, Counter[str]]] = {}
        self._boundaries: dict[str, Counter[str]] = {"start": Counter(), "end": Counter()}
        self._propagation: Counter[str] = Counter()
        self._worst: list[tuple[tuple[int, float, int], dict[str, Any]]] = []  # a heap, the least of them first
        self._mistakes = 0

    def add(self, gold: Document, predicted: Document) -> None:
        """Count the mistakes of a document. A layer that is ``None`` in gold is left out."""
        self._facets.add(gold, predicted)
        pairs: list[Pair] = []
        if gold.entities is not None:
            entities = align(gold.entities, predicted.entities or ())
            self._confuse("entities", entities)
            for pair in entities:
                self._judge(gold, "entities", pair, sum(side is not None for side in pair))
            pairs.extend(entities)
        if gold.events is not None:
            pairs.extend(self._add_events(gold, predicted))
        # An edge that an entity and an argument share is one mistake.
        edges = {(g.start, g.end, p.start, p.end): (g, p) for g, p in pairs if g and p}
        for g, p in edges.values():
            for edge, cause in causes(gold.text, g, p):
                self._boundaries[edge][cause] += 1

    def _add_events(self, gold: Document, predicted: Document) -> list[Pair]:
        truth, found = _arguments(gold), _arguments(predicted)
        triggers = align(truth, found)
        self._confuse("triggers", triggers)
        self._confuse("roles", [])
        every = list(triggers)
        for pair in triggers:
            g, p = pair
            arguments = align(truth[g] if g else (), found[p] if p else ())
            every.extend(arguments)
            self._confuse("roles", arguments)
            own = sum(side is not None for side in pair)
            if g and p and g.label == p.label:
                self._judge(gold, "triggers", pair, own)
                for argument in arguments:
                    self._propagation[_verdict(argument)] += 1
                    self._judge(gold, "arguments", argument, sum(side is not None for side in argument))
                continue
            lost, made_up = len(truth[g]) if g else 0, len(found[p]) if p else 0
            self._judge(gold, "triggers", pair, own + lost + made_up)
            trigger = "mistyped" if g and p else "missed"
            self._propagation[f"arguments lost with a {trigger} trigger"] += lost
            self._propagation[f"arguments of {'mistyped' if g else 'spurious'} triggers"] += made_up
        return every

    def _confuse(self, layer: str, pairs: Iterable[Pair]) -> None:
        counts = self._confusion.setdefault(layer, defaultdict(Counter))
        for gold, predicted in pairs:
            counts[gold.label if gold else "spurious"][predicted.label if predicted else "missed"] += 1

    def _judge(self, document: Document, layer: str, pair: Pair, cost: int) -> None:
        """Keep a mistake if it is among the worst."""
        gold, predicted = pair
        if gold == predicted:
            return
        self._mistakes += 1
        confidence = (predicted.score or 0.0) if predicted else 0.0
        key = (cost, confidence, -self._mistakes)  # the earlier of equals stays
        if len(self._worst) == _WORST and key < self._worst[0][0]:
            return
        if gold is None or predicted is None:
            kind = "spurious" if predicted else "missed"
        else:
            kind = "boundary" if gold.label == predicted.label else "type"
        sides = [mention for mention in pair if mention]
        text = document.text
        start = _outwards(text, min(mention.start for mention in sides), -1)
        end = _outwards(text, max(mention.end for mention in sides), 1)
        record = {
            "id": document.id,
            "layer": layer,
            "kind": kind,
            "cost": cost,
            "gold": _shown(document, gold),
            "predicted": _shown(document, predicted),
            "context": text[start:end],
            "context_start": start,
        }
        (heappush if len(self._worst) < _WORST else heapreplace)(self._worst, (key, record))

    def to_json(self) -> dict[str, Any]:
        """What went wrong; only layers that gold has.

        ``confusion``: of ``entities``, ``triggers`` and ``roles``: gold label -> predicted label or ``missed`` -> how
        many mentions, and ``spurious`` -> predicted label -> how many that stand for none in gold. Of mentions with
        the same span or, failing that, overlapping ones. Roles are compared under triggers that stand for each other.

        ``boundaries``: of ``start`` and ``end``, how often they differ for which cause (`boundaries.causes`).

        ``facets``: see `khabar.scoring.facets.Facets.to_json`.

        ``propagation``: what became of arguments, attached to their triggers. A right trigger overlaps the gold one
        and has its type. What is correct, wrong or missed and what was lost with a trigger make up the arguments in
        gold; what is correct, wrong or spurious and the arguments of spurious and mistyped triggers make up those
        predicted.

        ``worst``: the twenty mistakes that cost most, in units lost or made up: a missed trigger costs itself and its
        arguments, a trigger of the wrong type those of both sides, a wrong edge two units. Of equal cost the more
        confident come first. ``context`` is the text around it, from code point ``context_start``.
        """
        record: dict[str, Any] = {
            "confusion": {
                layer: {gold: dict(sorted(row.items())) for gold, row in sorted(counts.items())}
                for layer, counts in self._confusion.items()
            },
            "boundaries": {edge: dict(counts.most_common()) for edge, counts in self._boundaries.items()},
            "facets": self._facets.to_json(),
        }
        if "triggers" in self._confusion:
            record["propagation"] = {name: self._propagation[name] for name in _PROPAGATION}
        return record | {"worst": [found for _, found in sorted(self._worst, key=lambda item: item[0], reverse=True)]}


def _arguments(document: Document) -> dict[Mention, list[Mention]]:
    """Triggers, each with the arguments of every event that it is the trigger of."""
    found: dict[Mention, dict[Mention, None]] = {}
    for event in document.events or ():
        found.setdefault(event.trigger, {}).update(dict.fromkeys(event.arguments))
    return {trigger: list(arguments) for trigger, arguments in found.items()}


def _verdict(pair: Pair) -> str:
    """What became of an argument under a right trigger."""
    gold, predicted = pair
    if gold is None or predicted is None:
        return "spurious under a right trigger" if predicted else "missed under a right trigger"
    if gold == predicted:
        return "correct"
    if (gold.start, gold.end) == (predicted.start, predicted.end):
        return "wrong role"
    return "wrong span" if gold.label == predicted.label else "wrong span and role"


def _outwards(text: str, offset: int, step: int) -> int:
    """``offset`` moved by the width of the context, and back to the nearest space so that no word is cut."""
    reached = min(max(offset + step * _CONTEXT, 0), len(text))
    if reached in (0, len(text)):
        return reached
    kept = text[reached:offset] if step < 0 else text[offset:reached]
    blank = [place for place, character in enumerate(kept) if character.isspace()]
    if not blank:
        return reached
    return reached + blank[0] + 1 if step < 0 else offset + blank[-1]


def _shown(document: Document, mention: Mention | None) -> dict[str, Any] | None:
    if mention is None:
        return None
    record: dict[str, Any] = {**mention.to_json("label"), "text": document.surface(mention)}
    return record
