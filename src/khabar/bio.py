"""Mentions <-> IOB2 tags over words, and decoding under the IOB2 constraint.

Tags are numbered O = 0, then B = 1 + 2k and I = 2 + 2k for the k-th label. The only constraint is that
I-x follows B-x or I-x, so every recursion needs no transition matrix: O and B may follow anything.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from khabar.arabic import Word
from khabar.document import Mention

__all__ = ["Span", "covering", "decode", "encode", "is_valid", "tag_names", "tags"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Span:
    """A decoded mention: words ``first`` to ``last`` (inclusive), the label's number, its probability."""

    first: int
    last: int
    label: int
    score: float


def tag_names(labels: Sequence[str]) -> tuple[str, ...]:
    """The tags of these labels, in the order of a head's outputs."""
    return ("O", *(f"{prefix}-{label}" for label in labels for prefix in "BI"))


def covering(words: Sequence[Word], mention: Mention) -> range:
    """The words that share a character with the mention; empty where it covers white space only."""
    first = bisect_right(words, mention.start, key=lambda word: word.end)
    last = bisect_left(words, mention.end, lo=first, key=lambda word: word.start)
    return range(first, last)


def encode(words: Sequence[Word], mentions: Iterable[Mention], labels: Sequence[str]) -> list[int]:
    """Tag numbers over words. Where mentions share a word the first in text order keeps it."""
    numbers = {label: number for number, label in enumerate(labels)}
    result = [0] * len(words)
    for mention in sorted(mentions):
        covered = covering(words, mention)
        if covered and not any(result[index] for index in covered):
            inside = 2 + 2 * numbers[mention.label]
            result[covered[0]] = inside - 1
            for index in covered[1:]:
                result[index] = inside
    return result


def tags(words: Sequence[Word], mentions: Sequence[Mention]) -> list[str]:
    """IOB2 tags over words, for scorers that read tags."""
    labels = sorted({mention.label for mention in mentions})
    names = tag_names(labels)
    return [names[number] for number in encode(words, mentions, labels)]


def is_valid(numbers: Integers) -> NDArray[np.bool_]:
    """Whether each row of tag numbers, (batch, words), starts no mention with an I tag."""
    before = np.pad(numbers, ((0, 0), (1, 0)))[:, :-1]
    inside = (numbers > 0) & (numbers % 2 == 0)
    return np.asarray(~(inside & (before != numbers) & (before != numbers - 1)).any(axis=1))


def decode(
    logits: NDArray[np.float32], lengths: Sequence[int], admitted: NDArray[np.bool_] | None = None
) -> list[list[Span]]:
    """The most probable valid tag sequence of each row, as spans with their probabilities.

    Args:
        logits: (batch, words, tags), calibrated; what stands beyond a row's length is ignored.
        lengths: words of each row.
        admitted: (batch, tags) or ``None``: tags that a row may use (the roles its event type has).

    A span's score is its probability in the distribution over valid tag sequences, summed over every
    sequence that contains exactly this span (forward-backward; Rabiner 1989).

    """
    scores = logits.astype(np.float64)
    batch, width = scores.shape[:2]
    if width == 0:
        return [[] for _ in range(batch)]
    if admitted is not None:
        scores = np.where(admitted[:, None, :], scores, -np.inf)
    scores -= np.logaddexp.reduce(scores, axis=2, keepdims=True)
    # Beyond a row's end only O is possible, at no cost: padding changes neither paths nor sums.
    beyond = np.arange(width)[None, :] >= np.asarray(lengths)[:, None]
    scores[beyond] = -np.inf
    scores[beyond, 0] = 0.0

    best = scores.argmax(axis=2)
    broken = ~is_valid(best)  # an unconstrained optimum that is valid is the constrained one
    if broken.any():
        best[broken] = _viterbi(scores[broken])
    found = [_spans(row) for row in best]
    rows = [index for index, spans in enumerate(found) if spans]
    result: list[list[Span]] = [[] for _ in range(batch)]
    if not rows:
        return result
    before, after, total = _sums(scores[rows])
    for place, row in enumerate(rows):
        for first, last, label in found[row]:
            inside = scores[row, first, 1 + 2 * label] + scores[row, first + 1 : last + 1, 2 + 2 * label].sum()
            log_probability = before[place, first] + inside + after[place, last + 1] - total[place]
            result[row].append(Span(first, last, label, float(min(1.0, np.exp(log_probability)))))
    return result


def _spans(row: Integers) -> list[tuple[int, int, int]]:
    """(first, last, label) of each mention in one valid row of tag numbers."""
    starts = np.flatnonzero(row % 2 == 1)
    ends = np.flatnonzero((row > 0) & ((np.append(row[1:], 0) == 0) | (np.append(row[1:], 0) % 2 == 1)))
    return [(int(s), int(e), int((row[s] - 1) // 2)) for s, e in zip(starts, ends, strict=True)]


def _viterbi(scores: Floats) -> Integers:
    """Best valid tag numbers, (batch, words), of log-probabilities (batch, words, tags)."""
    batch, width, count = scores.shape
    back = np.zeros((batch, width, count), dtype=np.int64)
    rows, begin = np.arange(batch), np.arange(1, count, 2)
    alpha = scores[:, 0].copy()
    alpha[:, 2::2] = -np.inf
    for step in range(1, width):
        top = alpha.argmax(axis=1)
        back[:, step, :] = top[:, None]
        stay = alpha[:, 2::2] > alpha[:, 1::2]
        back[:, step, 2::2] = begin + stay
        previous = np.repeat(alpha[rows, top][:, None], count, axis=1)
        previous[:, 2::2] = np.maximum(alpha[:, 1::2], alpha[:, 2::2])
        alpha = previous + scores[:, step]
    best = np.empty((batch, width), dtype=np.int64)
    best[:, -1] = alpha.argmax(axis=1)
    for step in range(width - 1, 0, -1):
        best[:, step - 1] = back[rows, step, best[:, step]]
    return best


def _sums(scores: Floats) -> tuple[Floats, Floats, Floats]:
    """Log-sums over valid sequences.

    Returns ``before[:, i]``, all prefixes of words 0..i-1; ``after[:, i]``, all suffixes of words i.. that
    do not continue a mention; and the total: (batch, words), (batch, words + 1), (batch,).
    """
    batch, width, count = scores.shape
    outer = [0, *range(1, count, 2)]  # O and every B: tags that may follow anything
    before = np.zeros((batch, width))
    alpha = np.where(np.arange(count) % 2 == 0, -np.inf, scores[:, 0])
    alpha[:, 0] = scores[:, 0, 0]
    for step in range(1, width):
        before[:, step] = np.logaddexp.reduce(alpha, axis=1)
        previous = np.repeat(before[:, step, None], count, axis=1)
        previous[:, 2::2] = np.logaddexp(alpha[:, 1::2], alpha[:, 2::2])
        alpha = previous + scores[:, step]
    total = np.logaddexp.reduce(alpha, axis=1)
    after = np.zeros((batch, width + 1))
    beta = np.zeros((batch, count))  # of the suffix behind each tag
    for step in range(width - 1, -1, -1):
        ahead = scores[:, step] + beta
        after[:, step] = np.logaddexp.reduce(ahead[:, outer], axis=1)
        beta = np.repeat(after[:, step, None], count, axis=1)
        beta[:, 1::2] = np.logaddexp(after[:, step, None], ahead[:, 2::2])
        beta[:, 2::2] = beta[:, 1::2]
    return before, after, total
