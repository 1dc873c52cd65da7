"""The report of an evaluation, from gold and predicted documents alone: no model, no logits, one pass.

Everything that is counted is a collector: ``add(gold, predicted)`` for each document, ``to_json()`` at the end.
Documents go by as a stream; what stays in memory is counts.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from heapq import heappushpop
from pathlib import Path
from typing import Any, Protocol

from rich.console import Console

from khabar.document import Document
from khabar.formats import lines
from khabar.html import ReportUnavailable, page
from khabar.metrics import Scorer, Scores, pairs
from khabar.results import COUNTS, REPORT, read_counts, write_counts
from khabar.scoring.ceaf import Ceaf
from khabar.scoring.errors import Errors
from khabar.scoring.facets import Describe
from khabar.scoring.overlap import Overlap
from khabar.scoring.reliability import Reliability
from khabar.scoring.sequences import Sequences
from khabar.significance import interval
from khabar.tables import summary, tables

__all__ = ["SCHEMA", "Evidence", "write"]

log = logging.getLogger(__name__)
SCHEMA = 2  # of report.json


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is judged. Each part can be read more than once, and holds the same documents.

    ``gold`` and ``predicted``; ``given``: predictions that were given the gold triggers; ``uncalibrated``: the
    predictions with the scores they have without temperatures.
    """

    gold: Iterable[Document]
    predicted: Iterable[Document]
    given: Iterable[Document] | None = None
    uncalibrated: Iterable[Document] | None = None


class Collector(Protocol):
    """What sees every pair of documents once."""

    def add(self, gold: Document, predicted: Document) -> Any:
        """Count a pair."""

    def to_json(self) -> dict[str, Any]:
        """What was counted."""


@dataclass
class _Examples:
    """The pairs with the most mistakes, a limited number of them."""

    limit: int
    _kept: list[tuple[int, int, Document, Document]] = field(default_factory=list)
    _number: int = 0

    def add(self, mistakes: int, gold: Document, predicted: Document) -> None:
        self._number += 1
        row = (mistakes, -self._number, gold, predicted)  # the number is unique: documents are never compared
        if len(self._kept) < self.limit:
            self._kept.append(row)
            if len(self._kept) == self.limit:
                self._kept.sort()  # a sorted list is a heap
        elif self.limit:
            heappushpop(self._kept, row)

    def pairs(self) -> list[tuple[Document, Document]]:
        return [(gold, predicted) for _, _, gold, predicted in sorted(self._kept, key=lambda row: (-row[0], -row[1]))]


def write(
    output: Path | str,
    about: Mapping[str, Any],
    evidence: Evidence,
    seen: Mapping[str, Iterable[str]] | None = None,
    describe: Describe | None = None,
    draws: int = 10_000,
    examples: int = 50,
) -> dict[str, Any]:
    """Judge predictions and write ``report.json``, ``counts.jsonl`` and ``report.html``; print the scores.

    Args:
        output: the folder to write.
        about: what is judged: goes into the report as it is.
        evidence: gold and predictions.
        seen: folded surfaces of the training data, by layer (`khabar.scoring.facets.surfaces`).
        describe: facets of mentions that take a tokenizer (`khabar.scoring.facets.subword_facets`).
        draws: bootstrap draws behind each interval; 0 leaves intervals out.
        examples: how many articles the page shows, those with the most mistakes.

    Returns the report. Raises `DataError` where the documents do not match.

    """
    output = Path(output)
    scorer, shown = Scorer(), _Examples(examples)
    calibration = {"after": Reliability()}
    collectors: dict[str, Collector] = {"overlap": Overlap(), "sequences": Sequences(), "ceaf": Ceaf()}
    errors = Errors(seen, describe)

    def counted() -> Iterator[tuple[str, Mapping[str, tuple[int, int, int]]]]:
        for gold, predicted in pairs(evidence.gold, evidence.predicted):
            counts = scorer.add(gold, predicted)
            for collector in (*collectors.values(), *calibration.values(), errors):
                collector.add(gold, predicted)
            wrong = sum(
                sum(counts[kind][1:]) - 2 * counts[kind][0] for kind in ("entities", "TC", "AC") if kind in counts
            )
            shown.add(wrong, gold, predicted)
            yield gold.id, counts

    write_counts(output / COUNTS, counted())
    if evidence.uncalibrated is not None:
        calibration["before"] = Reliability()
        for gold, predicted in pairs(evidence.gold, evidence.uncalibrated):
            calibration["before"].add(gold, predicted)
    scores = scorer.scores()
    given = _scored(evidence.gold, evidence.given) if evidence.given is not None else None
    layers = {"overlap": "entities", "sequences": "entities", "ceaf": "events"}  # a part is of a layer that gold has
    report: dict[str, Any] = {
        "schema": SCHEMA,
        **about,
        "scores": _with_intervals(scores.to_json(), output / COUNTS, draws),
        **_beside(scores, given),
        **{name: part.to_json() for name, part in collectors.items() if layers[name] in scores.documents},
        "calibration": {name: part.to_json() for name, part in calibration.items()},
        "errors": errors.to_json(),
    }
    lines.write(output / REPORT, [json.dumps(report, ensure_ascii=False, indent=2)])
    try:
        lines.write(output / "report.html", [page(report, shown.pairs())])
    except ReportUnavailable as error:
        log.warning("no report.html: %s", error)
    console = Console()
    intervals = {
        kind: part["micro"]["interval"]
        for kind, part in report["scores"].items()
        if "interval" in part.get("micro", {})
    }
    for table in tables(scores, given, intervals):
        console.print(table)
    console.print(summary(report))
    log.info("report in %s", output)
    return report


def _scored(gold: Iterable[Document], predicted: Iterable[Document]) -> Scores:
    scorer = Scorer()
    for pair in pairs(gold, predicted):
        scorer.add(*pair)
    return scorer.scores()


def _with_intervals(scores: dict[str, Any], counts: Path, draws: int) -> dict[str, Any]:
    """Beside each micro score the 95 % interval of its F1, documents resampled."""
    if draws:
        for kind, unit in read_counts(counts).items():
            scores[kind]["micro"]["interval"] = list(interval(unit.counts, draws))
    return scores


def _beside(scores: Scores, given: Scores | None) -> dict[str, Any]:
    """Arguments of gold triggers, and the F1 that predicting the triggers loses."""
    if given is None:
        return {}
    kinds = [kind for kind in given.units if kind.startswith("A")]
    every = given.to_json()
    return {
        "scores_gold_triggers": {kind: every[kind] for kind in kinds},
        "propagation_loss": {kind: given.units[kind].micro.f1 - scores.units[kind].micro.f1 for kind in kinds},
    }
