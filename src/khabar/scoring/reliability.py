"""Whether probabilities can be believed: calibration, and precision and recall over a threshold of the score.

A unit is what strict scoring counts: an entity (type, span), a trigger (event type, span: TC), an argument (event
type, span, role: AC). It is correct where it is in gold. Several mentions that are one unit (two attacks with the
same victim) have the best of their scores. Scores are held as ten-thousandths, as predictions are written.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from khabar.document import DataError, Document
from khabar.metrics import Score

__all__ = ["Reliability"]

_STEPS = 10_000  # a score is a whole number of these parts
_BINS = 15  # equal in width, closed above: (0, 1/15], … as Guo et al. (2017) draw them; 0 is in the first
_GRID = 51  # thresholds 0.00, 0.02, … 1.00 of a curve
_QUANTILES = 50  # and such that keep evenly more mentions: most scores of a good model are near 1


@dataclass
class _Histogram:
    """Units of one kind: ``counts[s]`` are (predicted, correct) with a score of s ten-thousandths."""

    counts: NDArray[np.int64] = field(default_factory=lambda: np.zeros((_STEPS + 1, 2), dtype=np.int64))
    gold: int = 0
    unscored: int = 0


class Reliability:
    """Collects the scores of predicted units and which of them are correct; the memory it takes is constant."""

    def __init__(self) -> None:
        self._kinds: dict[str, _Histogram] = {}

    def add(self, gold: Document, predicted: Document) -> None:
        """Count a document. A layer that is ``None`` in gold is left out.

        Raises `DataError` that names the document where a score is no probability.
        """
        for kind, layer in (("entities", "entities"), ("triggers", "events"), ("arguments", "events")):
            if getattr(gold, layer) is None:
                continue
            histogram = self._kinds.setdefault(kind, _Histogram())
            truth = {unit for unit, _ in _units(kind, gold)}
            histogram.gold += len(truth)
            best: dict[Hashable, float | None] = {}
            for unit, score in _units(kind, predicted):
                if score is not None and not 0 <= score <= 1:
                    raise DataError(f"document {predicted.id!r}: expected a score of 0 to 1, got {score!r}")
                known = best.get(unit)
                best[unit] = known if score is None or (known is not None and known >= score) else score
            for unit, score in best.items():
                if score is None:
                    histogram.unscored += 1
                else:
                    histogram.counts[round(score * _STEPS)] += (1, unit in truth)

    def to_json(self) -> dict[str, Any]:
        """Of each kind that has scores (a gold trigger has none): how well they are calibrated.

        ``mentions`` and ``gold``: predicted units with a score, and units in gold; ``unscored``: predicted units
        without one, which take no part. ``ece``: expected calibration error (Naeini et al. 2015), the mean
        distance, 0 to 1, of confidence (mean score) and accuracy (part that is correct) of ``bins``, weighted by
        their ``count``; empty bins are left out. ``curve``: precision, recall and F1 of what scores at least
        ``threshold``, in ascending order, at most 101 points and each with something left.
        """
        return {kind: _summary(found) for kind, found in self._kinds.items() if found.counts[:, 0].any()}


def _units(kind: str, document: Document) -> Iterator[tuple[Hashable, float | None]]:
    """The units of a document, and the score of the mention that each comes from."""
    if kind == "entities":
        yield from ((mention, mention.score) for mention in document.entities or ())
    for event in document.events or ():
        if kind == "triggers":
            yield event.trigger, event.trigger.score
        elif kind == "arguments":
            yield from (((event.type, argument), argument.score) for argument in event.arguments)


def _summary(found: _Histogram) -> dict[str, Any]:
    predicted, correct = found.counts[:, 0], found.counts[:, 1]
    steps = np.arange(_STEPS + 1)
    total = int(predicted.sum())
    number = np.maximum((steps * _BINS + _STEPS - 1) // _STEPS - 1, 0)  # the bin of each step
    bins, error = [], 0.0
    for place in range(_BINS):
        inside = number == place
        count = int(predicted[inside].sum())
        if count:
            confidence = float((predicted * steps)[inside].sum()) / (_STEPS * count)
            accuracy = int(correct[inside].sum()) / count
            error += count / total * abs(confidence - accuracy)
            bins.append(
                {
                    "low": place / _BINS,
                    "high": (place + 1) / _BINS,
                    "count": count,
                    "confidence": confidence,
                    "accuracy": accuracy,
                }
            )
    kept, right = (np.cumsum(column[::-1])[::-1] for column in (predicted, correct))  # of this score or better
    curve = []
    for step in _thresholds(kept):
        point = Score(int(right[step]), int(kept[step]), found.gold)
        ratios = {"precision": point.precision, "recall": point.recall, "f1": point.f1}
        curve.append({"threshold": step / _STEPS, **ratios})
    return {
        "mentions": total,
        "gold": found.gold,
        "unscored": found.unscored,
        "ece": error,
        "bins": bins,
        "curve": curve,
    }


def _thresholds(kept: NDArray[np.int64]) -> list[int]:
    """Steps to draw a curve at: a grid, and the scores that one mention, some, and all of them reach.

    ``kept[s]``: mentions that score at least s steps.
    """
    grid = np.linspace(0, _STEPS, _GRID).round().astype(np.int64)
    wanted = np.linspace(1, kept[0], _QUANTILES).round()  # mentions, from the surest alone to all of them
    # The highest score that keeps so many: `kept` falls, so it is searched from its end.
    quantiles = _STEPS - np.searchsorted(kept[::-1], wanted)
    return [int(step) for step in np.union1d(grid, quantiles) if kept[step]]
