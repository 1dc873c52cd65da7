"""A document becomes windows that own every word exactly once and read their neighbours as context."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

__all__ = ["Window", "centred", "windows"]


@dataclass(frozen=True, slots=True)
class Window:
    """Words ``first`` up to ``last`` are labelled here; words ``start`` up to ``end`` are read."""

    start: int
    first: int
    last: int
    end: int


def windows(sentences: Sequence[range], lengths: Sequence[int], budget: int, context: int) -> list[Window]:
    """Pack whole sentences into windows.

    Args:
        sentences: word ranges that follow one another and cover every word.
        lengths: subwords of each word, none above ``budget``.
        budget: subwords a window may read.
        context: subwords a window may read beyond its own words on each side, where the budget allows.

    A sentence longer than the budget is divided between words. Windows come in text order; each
    word is owned by exactly one.

    """
    total = [0, *accumulate(lengths)]
    owned: list[tuple[int, int]] = []
    for sentence in sentences:
        for first, last in _pieces(sentence, total, budget):
            if owned and total[last] - total[owned[-1][0]] <= budget:
                owned[-1] = (owned[-1][0], last)
            else:
                owned.append((first, last))
    return [_with_context(first, last, total, budget, context) for first, last in owned]


def centred(first: int, last: int, lengths: Sequence[int], budget: int) -> range:
    """The words around words ``first`` up to ``last`` that fit ``budget`` subwords, as even as the text allows."""
    left, right = first, last
    spare = budget - sum(lengths[first:last])
    before = after = 0
    while True:
        can_left = left > 0 and lengths[left - 1] <= spare
        can_right = right < len(lengths) and lengths[right] <= spare
        if not (can_left or can_right):
            return range(left, right)
        if can_left and (before <= after or not can_right):
            left -= 1
            before += lengths[left]
            spare -= lengths[left]
        else:
            after += lengths[right]
            spare -= lengths[right]
            right += 1


def _pieces(sentence: range, total: Sequence[int], budget: int) -> list[tuple[int, int]]:
    pieces: list[tuple[int, int]] = []
    first = sentence.start
    for word in sentence:
        if total[word + 1] - total[first] > budget:
            pieces.append((first, word))
            first = word
    return [*pieces, (first, sentence.stop)] if len(sentence) else []


def _with_context(first: int, last: int, total: Sequence[int], budget: int, context: int) -> Window:
    spare = budget - (total[last] - total[first])
    start, end = first, last
    # The left side is given at most half, so that a window in mid-article reads both neighbours.
    left = min(context, spare // 2 if last < len(total) - 1 else spare)
    while start > 0 and total[first] - total[start - 1] <= left:
        start -= 1
    right = min(context, spare - (total[first] - total[start]))
    while end < len(total) - 1 and total[end + 1] - total[last] <= right:
        end += 1
    return Window(start, first, last, end)
