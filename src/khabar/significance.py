"""How sure a score is: intervals and paired tests of micro F1 whose unit of chance is the document.

Counts are integers of shape (documents, 3): correct, predicted and gold units of each document, from which the
micro F1 of any set of documents follows by adding up. Mentions of one article stand and fall together, so
documents are drawn, not mentions. What is tested is the systems as they are, on other documents like these; how
much training itself varies is another question, which several seeds answer (`khabar.aggregate`).

Documents with the same counts are interchangeable. So a draw does not pick documents one by one but draws how
often each different row of counts is picked: the same distribution, and 100,000 documents cost little more than
their few hundred different rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from khabar.document import DataError

__all__ = ["Difference", "difference", "holm", "interval"]

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]

CELLS = 1 << 20  # numbers drawn at a time: 8 MB
# Differences closer than this are ties: the same counts added up in another order differ in the last bits, and
# a tie counts against the difference.
TIE = 1e-12


@dataclass(frozen=True, slots=True)
class Difference:
    """By how much the micro F1 of one system exceeds another's.

    ``value``: first minus second, -1 to 1. ``interval``: its bootstrap interval. ``p``: how probable a difference
    at least as large, in either direction, is where it does not matter which of the two answered a document.
    """

    value: float
    interval: tuple[float, float]
    p: float

    def to_json(self) -> dict[str, Any]:
        """``difference``, ``interval`` and ``p``."""
        return {"difference": self.value, "interval": list(self.interval), "p": self.p}


def interval(counts: ArrayLike, draws: int = 10_000, level: float = 0.95, seed: int = 0) -> tuple[float, float]:
    """The percentile bootstrap interval of micro F1 (Efron and Tibshirani 1993, chapter 13).

    Args:
        counts: (documents, 3) correct, predicted and gold.
        draws: how many times as many documents are drawn from these with replacement.
        level: the share of the draws that lies in the interval, half of the rest on each side.
        seed: the same seed and counts give the same interval.

    Returns its ends, 0 to 1. A draw without any unit has F1 0, as `khabar.metrics.Score` has it. A single document
    has an interval of width 0, which says nothing. Raises `DataError` where ``counts`` are no such counts.

    """
    _check(draws, level)
    sums = _drawn(_totals(counts), draws, np.random.default_rng(seed))
    return _middle(_f1(sums[:, 0], sums[:, 1]), level)


def difference(a: ArrayLike, b: ArrayLike, draws: int = 10_000, level: float = 0.95, seed: int = 0) -> Difference:
    """Compare two systems on the same documents.

    The p-value is that of paired approximate randomisation (Noreen 1989; Yeh, COLING 2000): in each draw every
    document's answers change sides with probability 1/2, and with k draws whose difference is at least as large as
    the one observed, p = (k + 1) / (draws + 1), so it is never 0. The interval is that of `interval`, with the same
    documents drawn for both. Taking ``b`` for ``a`` changes the signs and nothing else.

    Args:
        a, b: (documents, 3) correct, predicted and gold of the same documents in the same order.
        draws, level, seed: as in `interval`; ``draws`` is the number of both kinds of draws.

    Raises `DataError` where these are no such counts, or the two have not the same gold counts.

    """
    _check(draws, level)
    first, second = _totals(a), _totals(b)
    golds = [np.asarray(counts)[:, 2] for counts in (a, b)]
    if not np.array_equal(golds[0], golds[1]):
        held = " and ".join(f"{len(gold)} documents with {gold.sum()} units" for gold in golds)
        raise DataError(f"expected the same gold counts of both, got {held}")
    for_test, for_interval = np.random.default_rng(seed).spawn(2)
    both = _drawn(np.hstack([first, second]), draws, for_interval)
    observed = float(np.subtract(*(_f1(*counts.sum(axis=0)) for counts in (first, second))))
    swapped = _swapped(first, second, draws, for_test)
    as_large = int(np.count_nonzero(np.abs(swapped) >= abs(observed) - TIE))
    return Difference(
        observed,
        _middle(_f1(both[:, 0], both[:, 1]) - _f1(both[:, 2], both[:, 3]), level),
        (as_large + 1) / (draws + 1),
    )


def holm(p: Sequence[float]) -> list[float]:
    """Adjust the p-values of several tests for there being several (Holm 1979), in the order given.

    Whoever rejects what is adjusted to at most alpha errs anywhere with a probability of at most alpha.
    """
    if any(not 0 <= value <= 1 for value in p):
        raise DataError(f"expected p-values from 0 to 1, got {list(p)}")
    adjusted, greatest = [0.0] * len(p), 0.0
    for rank, index in enumerate(sorted(range(len(p)), key=p.__getitem__)):
        greatest = max(greatest, min(1.0, (len(p) - rank) * p[index]))
        adjusted[index] = greatest
    return adjusted


def _check(draws: int, level: float) -> None:
    if draws < 1:
        raise DataError(f"draws: expected at least 1, got {draws}")
    if not 0 < level < 1:
        raise DataError(f"level: expected a share between 0 and 1 such as 0.95, got {level}")


def _totals(counts: ArrayLike) -> Integers:
    """What F1 needs of the counts: (documents, 2) correct, and predicted + gold."""
    found = np.asarray(counts)
    if found.ndim != 2 or found.shape[1] != 3 or not len(found) or not np.issubdtype(found.dtype, np.integer):
        raise DataError(f"expected integers of shape (documents, 3), got {found.dtype} of shape {found.shape}")
    if (found < 0).any() or (found[:, :1] > found[:, 1:]).any():
        raise DataError("expected counts from 0 on, and no more correct units than predicted or gold ones")
    return np.stack([found[:, 0], found[:, 1] + found[:, 2]], axis=1).astype(np.int64)


def _f1(correct: Any, total: Any) -> Floats:
    """Micro F1, 0 where there is nothing; ``total`` is predicted + gold."""
    return np.asarray(2 * correct / np.maximum(total, 1), dtype=np.float64)


def _middle(values: Floats, level: float) -> tuple[float, float]:
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _different(rows: Integers) -> tuple[Integers, Integers]:
    """The different rows, in the order in which they first occur, and how often each is there.

    That order, unlike a sorted one, is the same whichever of two systems comes first.
    """
    _, places, times = np.unique(rows, axis=0, return_index=True, return_counts=True)
    order = np.argsort(places)
    return rows[places[order]], times[order]


def _sizes(draws: int, width: int) -> Iterator[int]:
    """Cut the draws into chunks of at most ``CELLS`` numbers."""
    size = max(1, CELLS // max(1, width))
    for start in range(0, draws, size):
        yield min(size, draws - start)


def _drawn(rows: Integers, draws: int, random: np.random.Generator) -> Integers:
    """(draws, columns) the sums of as many rows as there are, drawn with replacement."""
    different, times = _different(rows)
    share = times / len(rows)
    chunks = (random.multinomial(len(rows), share, size=size) for size in _sizes(draws, len(times)))
    return np.concatenate([chunk @ different for chunk in chunks])


def _swapped(first: Integers, second: Integers, draws: int, random: np.random.Generator) -> Floats:
    """(draws,) the difference in F1 after documents changed sides at random.

    Where a document differs by d, the sums of the two sides are (both together ± the sum of all ±d) / 2, so only d
    matters, and not its sign: of m documents that differ by ±d, Binomial(m, 1/2) count as +d.
    """
    apart = first - second
    apart = apart[apart.any(axis=1)]
    signs = np.sign(np.where(apart[:, :1] != 0, apart[:, :1], apart[:, 1:]))
    different, times = _different(apart * signs)
    both = (first + second).sum(axis=0)
    result = []
    for size in _sizes(draws, len(times)):
        moved = (2 * random.binomial(times, 0.5, size=(size, len(times))) - times) @ different
        left, right = both + moved, both - moved  # each twice the sum of its side
        result.append(_f1(left[:, 0], left[:, 1]) - _f1(right[:, 0], right[:, 1]))
    return np.concatenate(result)
