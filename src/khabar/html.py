"""An evaluation as one page that people want to read: `page` turns a report and examples into a file of its own.

The page holds its styles, its script and its plots, and asks for nothing from a network. Texts and labels are data:
the templates escape everything, and the page's own policy lets no script run but the one that it was made with.
Needs the extra ``khabar[report]`` (matplotlib), which is imported by the first page.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from jinja2 import Environment

from khabar.document import DataError, Document, Mention
from khabar.examples import KINDS, Example, Mark, Run, example, runs
from khabar.markup import digest, environment, source

__all__ = ["ReportUnavailable", "layers", "page", "templates"]

# Layer -> kinds of unit with what each asks for; the first is the layer's headline.
_LAYERS: Mapping[str, Mapping[str, str]] = {
    "Entities": {"entities": "type and span", "entities_untyped": "span alone"},
    "Triggers": {"TC": "event type and span", "TI": "span alone"},
    "Arguments": {
        "AC": "event type, span and role",
        "AI": "event type and span",
        "AC+": "the same as AC, on the right trigger",
        "AI+": "the same as AI, on the right trigger",
    },
}
# Section -> what the page calls it.
_SECTIONS: Mapping[str, str] = {
    "scores": "Scores",
    "overlap": "Overlap",
    "sequences": "Sequences",
    "ceaf": "CEAF-REE",
    "calibration": "Calibration",
    "errors": "Errors",
    "worst": "Worst mistakes",
    "examples": "Examples",
}
# Keys of a report that are shown within a section, or not at all.
_WITHIN = ("schema", "scores_gold_triggers", "propagation_loss")
_GROUNDS = 8  # colours of types in report.css; types beyond them begin again


class ReportUnavailable(RuntimeError):
    """A page was asked for, and a package that draws it is missing."""


def page(report: Mapping[str, Any], examples: Iterable[tuple[Document, Document]] = ()) -> str:
    """One self-contained HTML page of an evaluation.

    Args:
        report: what `khabar.evaluate` writes as ``report.json``. A section that is missing is left out of the page,
            and one that this version does not know is shown as it is.
        examples: pairs of gold and predicted documents to be shown side by side; all of them are held in memory.

    Raises `ReportUnavailable` where matplotlib is missing, and `DataError` where an example's texts differ.

    """
    _drawable()
    template = templates().get_template("report.html.jinja")
    script, style = source("report.js"), source("base.css", "report.css")
    shown = [_example(gold, predicted) for gold, predicted in examples]
    scores = report.get("scores") or {}
    errors = report.get("errors") or {}
    plots = _plots(report.get("calibration") or {})
    worst = [(item, _context(item)) for item in errors.get("worst") or ()]
    held = {"scores": layers(scores), "calibration": plots, "worst": worst, "examples": shown}
    return template.render(
        report=report,
        title=" · ".join(str(report[key]) for key in ("corpus", "split") if report.get(key)) or "evaluation",
        facts=_facts(report),
        sections={name: text for name, text in _SECTIONS.items() if held.get(name, report.get(name))},
        layers=held["scores"],
        plots=plots,
        confusions=_confusions(errors.get("confusion") or {}),
        worst=worst,
        examples=shown,
        grounds=_grounds(shown),
        labels=_labels(shown),
        kinds=KINDS,
        script=script,
        style=style,
        digest=digest(script),
    )


def layers(scores: Mapping[str, Any]) -> list[tuple[str, list[tuple[str, str]]]]:
    """The layers that were scored (`khabar.metrics.Scores.to_json`), each with its units and what these ask for."""
    kinds = {title: [(k, about) for k, about in of.items() if scores.get(k)] for title, of in _LAYERS.items()}
    return [(title, held) for title, held in kinds.items() if held]


def templates() -> Environment:
    """The templates, with what they write scores with."""
    found = environment()
    found.filters.update(percent=_percent, width=_width, number=_number, by_support=_by_support)
    return found


def _drawable() -> None:
    try:
        import matplotlib  # noqa: F401 (asked for here, so that a page fails before its work and not in the middle)
    except ImportError as error:
        raise ReportUnavailable(f"report.html needs {error.name}: pip install 'khabar[report]'") from error


def _percent(score: Mapping[str, Any] | None, ratio: str = "f1", digits: int = 2) -> str:
    """A ratio of a score in percent, a dash where it is missing or has no denominator."""
    value = (score or {}).get(ratio)
    of = {"precision": ("predicted",), "recall": ("gold",), "f1": ("predicted", "gold")}.get(ratio, ())
    counts = [score[name] for name in of if name in score] if score else []
    if value is None or (counts and not any(counts)):
        return "–"
    return f"{100 * value:.{digits}f}"


def _width(value: float | None, whole: float = 1.0) -> str:
    """A part of a whole as a CSS length within 0 % and 100 %."""
    return f"{100 * min(max((value or 0) / whole, 0), 1):.2f}%" if whole else "0%"


def _by_support(scores: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, Mapping[str, Any]]]:
    """Labels with their scores, what gold has most of first."""
    return sorted(scores.items(), key=lambda item: (-item[1].get("gold", item[1].get("support", 0)), item[0]))


def _number(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"


def _facts(report: Mapping[str, Any]) -> list[tuple[str, str, bool]]:
    """What a report says beside its sections: name, text, and whether the text is JSON."""
    facts = []
    for name, value in report.items():
        if name in _SECTIONS or name in _WITHIN or value in (None, "", [], {}):
            continue
        if isinstance(value, Mapping) and all(not isinstance(v, Mapping | list) for v in value.values()):
            facts.append((name, " · ".join(f"{k} {_number(v)}" for k, v in value.items()), False))
        elif isinstance(value, list) and all(not isinstance(v, Mapping | list) for v in value):
            facts.append((name, " · ".join(map(_number, value)), False))
        elif isinstance(value, Mapping | list):
            facts.append((name, json.dumps(value, ensure_ascii=False, indent=2), True))
        else:
            facts.append((name, _number(value), False))
    return facts


def _plots(calibration: Mapping[str, Any]) -> list[dict[str, Any]]:
    """For each kind of mention its numbers before and after the temperature, and its two plots as SVG."""
    from markupsafe import Markup

    from khabar import plots

    found = []
    before = calibration.get("before") or {}
    for number, (kind, after) in enumerate((calibration.get("after") or {}).items()):
        found.append(
            {
                "kind": kind,
                "after": after,
                "before": before.get(kind),
                "reliability": after.get("bins")
                and Markup(plots.reliability(after, before.get(kind), f"reliability-{number}")),
                "thresholds": after.get("curve") and Markup(plots.thresholds(after["curve"], f"thresholds-{number}")),
                "best": max(after.get("curve") or (), key=lambda point: point["f1"], default=None),
            }
        )
    return found


def _confusions(confusion: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Each matrix with its columns, and its rows as cells of (count, share of the row, whether it is right)."""
    found = []
    for layer, matrix in confusion.items():
        labels = sorted({label for row in matrix.values() for label in row} | set(matrix) - {"spurious"} - {"missed"})
        columns = [label for label in labels if label != "missed"] + ["missed"]
        names = [name for name in columns if name in matrix and name != "spurious"] + ["spurious"] * (
            "spurious" in matrix
        )
        rows = []
        for name in names:
            row = matrix[name]
            total = sum(row.values())
            cells = [
                (row.get(column, 0), row.get(column, 0) / total if total else 0.0, name == column) for column in columns
            ]
            rows.append((name, cells, total))
        if rows:
            found.append({"layer": layer, "columns": columns, "rows": rows})
    return found


def _context(item: Mapping[str, Any]) -> Sequence[Run]:
    """The text around a mistake, cut where its gold mention (as a trigger) and its predicted one begin and end."""
    text, shift = item.get("context") or "", item.get("context_start") or 0

    def marks(side: str) -> list[Mark | None]:
        given = item.get(side)
        if not given:
            return []
        start, end = max(given["start"] - shift, 0), min(given["end"] - shift, len(text))
        return [Mark(item["layer"], "", Mention(start, end, given["label"]), "", "")] if start < end else []

    return runs(text, marks("predicted"), marks("gold"))


def _example(gold: Document, predicted: Document) -> Example:
    if gold.text != predicted.text:
        raise DataError(f"document {gold.id!r}: gold and predicted text differ")
    return example(gold, predicted)


def _marks(shown: Iterable[Example]) -> Iterable[Mark]:
    for one in shown:
        yield from (run.entity for side in (one.gold, one.predicted) for run in side if run.entity)
        for side in (side for pair in one.events for side in pair if side):
            yield side.trigger
            yield from side.arguments


def _labels(shown: Iterable[Example]) -> dict[str, list[str]]:
    """Layer -> the labels that occur in the examples."""
    found: dict[str, set[str]] = {}
    for mark in _marks(shown):
        found.setdefault(mark.layer, set()).add(mark.mention.label)
    return {layer: sorted(found[layer]) for layer in ("entities", "triggers", "arguments") if layer in found}


def _grounds(shown: Iterable[Example]) -> dict[str, int]:
    """Entity type -> number of its colour."""
    return {label: number % _GROUNDS for number, label in enumerate(_labels(shown).get("entities", ()))}
