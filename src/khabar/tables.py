"""Scores as people read them: one table a layer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from khabar.document import DataError
from khabar.metrics import Score, Scores

__all__ = ["summary", "tables"]

_TABLES = {
    "Entities": {"micro": "entities", "untyped": "entities_untyped"},
    "Triggers": {"TC classified": "TC", "TI identified": "TI"},
    "Arguments": {"AC classified": "AC", "AI identified": "AI", "AC+ attached": "AC+", "AI+ attached": "AI+"},
}


def tables(
    scores: Scores, gold_triggers: Scores | None = None, intervals: Mapping[str, Sequence[float]] | None = None
) -> list[Table]:
    """One table a layer, in percent: precision, recall, F1 and support (units in gold), then types and roles.

    ``intervals``: lower and upper end of the F1 of a kind of unit. ``gold_triggers`` are the scores of predictions that
    were given the gold triggers. They stand beside the arguments, with the F1 that is lost by predicting triggers.
    What is undefined is a dash.

    Raises `DataError` when ``gold_triggers`` was scored against other gold.
    """
    if gold_triggers is not None:
        expected, got = (
            {kind: s.units[kind].micro.gold for kind in _TABLES["Arguments"].values() if kind in s.units}
            for s in (scores, gold_triggers)
        )
        if expected != got:
            raise DataError(f"gold triggers: expected scores against the same gold {expected}, got {got}")
    result = []
    for title, kinds in _TABLES.items():
        main = next(iter(kinds.values()))
        if main not in scores.units:
            continue
        beside = gold_triggers if title == "Arguments" else None
        table = Table("", title=f"{title} (%)")
        for header in ("P", "R", "F1", "support", *(["95 %"] if intervals else [])):
            table.add_column(header, justify="right")
        if beside:
            table.caption = "* with gold triggers; lost: the F1 that predicting the triggers costs"
            for header in ("P*", "R*", "F1*", "lost"):
                table.add_column(header, justify="right")
        for name, kind in kinds.items():
            other = beside.units[kind].micro if beside else None
            _add_row(table, name, scores.units[kind].micro, other, _range(intervals, kind))
        if scores.units[main].types:
            table.add_row("macro over types", "", "", f"{100 * scores.units[main].macro_f1:.2f}")
        for grouping in ("types", "roles"):
            table.add_section()
            by_label: Mapping[str, Score] = getattr(scores.units[main], grouping)
            others: Mapping[str, Score] = getattr(beside.units[main], grouping) if beside else {}
            for label in sorted(by_label.keys() | others.keys()):
                other = others.get(label, Score()) if beside else None
                _add_row(table, f"  {label}", by_label.get(label, Score()), other, [""] if intervals else [])
        result.append(table)
    return result


def summary(report: Mapping[str, Any]) -> Table:
    """What a report holds beside its scores, a line each; what it does not hold is left out."""
    table = Table("", "", title="Beside the strict scores", show_header=False)
    for name, value in _summary(report):
        table.add_row(name, Text(value))
    return table


def _summary(report: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if overlap := report.get("overlap"):
        yield "entities in gold and predicted", ", ".join(f"{name} {n}" for name, n in overlap["micro"].items())
    if sequences := report.get("sequences"):
        names = ("strict", "repair", "discard", "seqeval")
        scores = ", ".join(f"{name} {100 * sequences[name]['micro']['f1']:.2f}" for name in names if name in sequences)
        invalid = sequences["invalid_transitions"]
        yield "tags over words, F1", f"{scores} ({invalid['predicted']} invalid transitions predicted)"
    if ceaf := report.get("ceaf"):
        yield "CEAF-REE, F1", ", ".join(f"{name} {100 * part['micro']['f1']:.2f}" for name, part in ceaf.items())
    calibration = report.get("calibration", {})
    for kind, after in calibration.get("after", {}).items():
        if after["ece"] is not None:
            before = calibration.get("before", {}).get(kind, {}).get("ece")
            told = "" if before is None else f" (without temperature {100 * before:.2f})"
            yield f"calibration error of {kind}", f"{100 * after['ece']:.2f}{told}"


def _range(intervals: Mapping[str, Sequence[float]] | None, kind: str) -> list[str]:
    if not intervals:
        return []
    return [" to ".join(f"{100 * end:.2f}" for end in intervals[kind]) if kind in intervals else "–"]


def _add_row(table: Table, name: str, score: Score, other: Score | None, between: Sequence[str] = ()) -> None:
    cells = [*_percent(score), str(score.gold), *between]
    if other is not None:
        cells += [*_percent(other), f"{100 * (other.f1 - score.f1):.2f}"]
    table.add_row(Text(name), *cells)  # Text: a label is not console markup


def _percent(score: Score) -> list[str]:
    """Precision, recall and F1 in percent, a dash for a ratio that has no denominator."""
    ratios = (
        (score.precision, score.predicted),
        (score.recall, score.gold),
        (score.f1, score.predicted + score.gold),
    )
    return [f"{100 * ratio:.2f}" if denominator else "–" for ratio, denominator in ratios]
