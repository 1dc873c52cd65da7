"""Gold mentions and the predicted ones that stand for them, paired one to one."""

from __future__ import annotations

from collections.abc import Iterable

from khabar.document import Mention

__all__ = ["Pair", "align"]

Pair = tuple[Mention | None, Mention | None]
"""A gold mention and a predicted one; ``None`` stands beside what has no counterpart."""


def align(gold: Iterable[Mention], predicted: Iterable[Mention]) -> list[Pair]:
    """Pair mentions one to one, whatever their labels, in text order. Those of one side may overlap each other.

    The same span goes first, then the largest overlap; between equals the same label, then text order. Equal mentions
    are one, with the best of their scores.
    """
    truth, found = _unique(gold), _unique(predicted)
    pairs: list[Pair] = [(mention, found.pop(mention)) for mention in truth if mention in found]
    for mention, _ in pairs:
        if mention is not None:
            del truth[mention]
    options = []
    for left in truth:
        for right in found:
            if right.start >= left.end:
                break
            if (overlap := min(left.end, right.end) - max(left.start, right.start)) > 0:
                exact = (left.start, left.end) == (right.start, right.end)
                options.append((not exact, -overlap, left.label != right.label, left, right))
    for *_, left, right in sorted(options):
        if left in truth and right in found:
            pairs.append((left, right))
            del truth[left], found[right]
    pairs.extend((mention, None) for mention in truth)
    pairs.extend((None, mention) for mention in found)
    return sorted(pairs, key=lambda pair: min(mention for mention in pair if mention is not None))


def _unique(mentions: Iterable[Mention]) -> dict[Mention, Mention]:
    """Mentions in text order, each under itself: a mention equals another of any score."""
    ordered = sorted(mentions, key=lambda m: (m.start, m.end, m.label, -(m.score or 0.0)))
    unique: dict[Mention, Mention] = {}
    for mention in ordered:
        unique.setdefault(mention, mention)
    return unique
