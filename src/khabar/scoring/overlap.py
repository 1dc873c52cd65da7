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
from typing import Any

from khabar.document import Document, Mention
from khabar.scoring.alignment import align

__all__ = ["CATEGORIES", "Overlap"]

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
