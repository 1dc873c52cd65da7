"""Entities by degrees: right, of another type, at other boundaries, missed, made up.

Strict scores (`khabar.metrics`) say how much is right; this says how the rest is wrong. The entities of a document
are aligned one to one, those of the same span first, then those that share most code points, and each is then in
one category:

| category | in gold | predicted |
|---|---|---|
| `correct` | an entity | the same span and type |
| `incorrect` | an entity | aligned with it, of another type |
| `partial` | an entity | aligned with it, of its type, another span |
| `missed` | an entity | nothing aligned with it |
| `spurious` | nothing aligned with it | an entity |

The categories are those of MUC-5 (Chinchor and Sundheim 1993) and of SemEval-2013 task 9 (Segura-Bedmar, Martínez and
Herrero-Zazo 2013). Entities in gold = correct + incorrect + partial + missed; predicted ones = correct + incorrect +
partial + spurious.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

from khabar.document import Document, Mention

__all__ = ["Overlap", "align"]

CATEGORIES = ("correct", "incorrect", "partial", "missed", "spurious")


class Overlap:
    """Counts the categories, pair of documents after pair; what it holds grows with types only.

    A document whose gold has no layer of entities is skipped; a prediction without one is an empty one.
    """

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()  # (type, category)

    def add(self, gold: Document, predicted: Document) -> None:
        """Count the entities of one document."""
        if gold.entities is None:
            return
        for left, right in align(gold.entities, predicted.entities or ()):
            self._counts[_category(left, right)] += 1

    def to_json(self) -> dict[str, Any]:
        """``micro`` and, under ``types``, every type: how many entities are in each category.

        An entity counts under its type in gold, a spurious one under the type that was predicted.
        """
        names = sorted({label for label, _ in self._counts})
        types = {label: {category: self._counts[label, category] for category in CATEGORIES} for label in names}
        micro = {category: sum(counts[category] for counts in types.values()) for category in CATEGORIES}
        return {"micro": micro, "types": types}


def align(gold: Sequence[Mention], predicted: Sequence[Mention]) -> Iterator[tuple[Mention | None, Mention | None]]:
    """Pair mentions one to one; ``None`` stands beside what is left alone. Neither side overlaps within itself.

    The same span goes before the most code points shared, the same type and then the earlier mention before others.
    """
    candidates = sorted(
        _overlaps(gold, predicted),
        key=lambda pair: (
            (pair[0].start, pair[0].end) != (pair[1].start, pair[1].end),
            max(pair[0].start, pair[1].start) - min(pair[0].end, pair[1].end),  # code points shared, negative
            pair[0].label != pair[1].label,
            pair,
        ),
    )
    alone_gold, alone_predicted = dict.fromkeys(gold), dict.fromkeys(predicted)
    for left, right in candidates:
        if left in alone_gold and right in alone_predicted:
            del alone_gold[left], alone_predicted[right]
            yield left, right
    yield from ((left, None) for left in alone_gold)
    yield from ((None, right) for right in alone_predicted)


def _overlaps(gold: Sequence[Mention], predicted: Sequence[Mention]) -> Iterator[tuple[Mention, Mention]]:
    """Every pair that shares a code point."""
    left, right = sorted(gold), sorted(predicted)
    i = j = 0
    while i < len(left) and j < len(right):
        if left[i].start < right[j].end and right[j].start < left[i].end:
            yield left[i], right[j]
        if left[i].end <= right[j].end:
            i += 1
        else:
            j += 1


def _category(gold: Mention | None, predicted: Mention | None) -> tuple[str, str]:
    """The type that a pair counts under, and its category."""
    if gold is None:
        assert predicted is not None
        return predicted.label, "spurious"
    if predicted is None:
        return gold.label, "missed"
    if gold.label != predicted.label:
        return gold.label, "incorrect"
    return gold.label, "correct" if gold == predicted else "partial"
