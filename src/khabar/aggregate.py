"""Seeds, folds and sweeps to mean and standard deviation, read from the reports of their evaluations."""

from __future__ import annotations

import json
import logging
import re
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.table import Table
from rich.text import Text

from khabar.document import DataError
from khabar.formats import lines
from khabar.results import REPORT, find, natural, read_report

__all__ = ["aggregate", "group"]

log = logging.getLogger(__name__)
SCHEMA = 1
COLUMNS = {"scores": "", "scores_gold_triggers": "*"}
# In the name of a folder: seed-3, fold-0, and the seed=3 and data.fold=0 of learning_rate=1e-4,data.fold=0,seed=3.
_BETWEEN = ",_+-"
_PART = rf"(?:^|(?<=[{_BETWEEN}]))(?:\w+\.)*(?:{{}})[-=_]\d+(?:[{_BETWEEN}]|$)"


def aggregate(reports: Sequence[Path | str], output: Path | str) -> dict[str, Any]:
    """Average the micro F1 of runs that differ in nothing but seed or fold; print a table, write ``aggregate.json``.

    Args:
        reports: evaluation folders, reports, or folders above them, also as patterns (`khabar.results.find`).
            `group` says which belong together.
        output: the folder for ``aggregate.json``.

    Returns what it holds: for each group its reports and, under ``scores`` and ``scores_gold_triggers``, for each
    kind of unit the ``mean``, the standard deviation ``sd`` of the sample (n - 1; none for one value), ``n`` and
    all ``values`` in the order of the reports.

    Raises `DataError` where there is no report, where one cannot be read, and where seeds were not scored on the
    same data.

    """
    if not reports:
        raise DataError("reports: expected folders of evaluations, got none")
    groups: dict[str, dict[Path, dict[str, Any]]] = {}
    for path in find(reports, REPORT):
        groups.setdefault(group(path.parent), {})[path] = read_report(path)
    for files in groups.values():
        _check(files)
    result: dict[str, Any] = {
        "schema": SCHEMA,
        "groups": {
            name: {"reports": list(map(str, files)), **{key: _numbers(files, key) for key in COLUMNS}}
            for name, files in sorted(groups.items(), key=lambda item: natural(item[0]))
        },
    }
    path = Path(output) / "aggregate.json"
    lines.write(path, [json.dumps(result, ensure_ascii=False, indent=2)])
    Console().print(_table(result["groups"]))
    log.info("numbers in %s", path)
    return result


def group(folder: Path, parts: str = "seed|fold") -> str:
    """The name of the runs that an evaluation folder belongs with: its path without the parts that number a run.

    ``runs/anercorp/seed-3/evaluation-test`` belongs to ``runs/anercorp/evaluation-test``. A job of a sweep, whose
    folder is named by a number, is known by its overrides (``hydra/overrides.yaml``, as Hydra writes it): with them
    ``sweep/4/evaluation-test`` belongs to ``sweep/learning_rate=1e-4/evaluation-test``.
    """
    names = []
    for number, name in enumerate(folder.parts, start=1):
        overrides = _overrides(Path(*folder.parts[:number])) if name.isdecimal() else None
        names.append(_without(name if overrides is None else overrides, parts))
    return Path(*filter(None, names)).as_posix()


def _without(name: str, parts: str) -> str:
    rest = re.sub(_PART.format(parts), "", name)
    return name if rest == name else rest.rstrip(_BETWEEN)


def _overrides(job: Path) -> str | None:
    """The overrides of a job but for where it wrote, as one name; none where Hydra left none."""
    for path in (job / folder / "overrides.yaml" for folder in ("hydra", ".hydra")):
        if path.is_file():
            overrides = yaml.safe_load(path.read_text(encoding="utf-8")) or []
            return ",".join(str(override) for override in overrides if not str(override).startswith("output="))
    return None


def _check(files: Mapping[Path, Mapping[str, Any]]) -> None:
    """Folds are of different documents; seeds of one fold are not."""
    first: dict[str, tuple[Path, dict[str, Any]]] = {}
    for path, report in files.items():
        data = {key: report.get(key) for key in ("corpus", "data", "split", "gold")}
        expected_path, expected = first.setdefault(group(path.parent, "seed"), (path, data))
        if differing := [key for key in data if data[key] != expected[key]]:
            key = differing[0]
            raise DataError(f"{path}: expected {key} {expected[key]!r} as in {expected_path}, got {data[key]!r}")


def _numbers(files: Mapping[Path, Mapping[str, Any]], key: str) -> dict[str, Any]:
    """Mean, standard deviation, n and values of each kind of unit that a report has under ``key``."""
    values: dict[str, list[float]] = {}
    for path, report in files.items():
        try:
            for kind, score in (report.get(key) or {}).items():
                if kind != "documents":
                    values.setdefault(kind, []).append(float(score["micro"]["f1"]))
        except (AttributeError, KeyError, TypeError, ValueError):
            raise DataError(f"{path}: {key}: expected a micro f1 of each kind of unit") from None
    return {
        kind: {
            "mean": statistics.fmean(found),
            "sd": statistics.stdev(found) if len(found) > 1 else None,
            "n": len(found),
            "values": found,
        }
        for kind, found in values.items()
    }


def _table(groups: Mapping[str, Any]) -> Table:
    table = Table("", title="Micro F1 (%) over runs", caption="sd: of the sample (n - 1); * with gold triggers")
    for header in ("mean", "sd", "n", "values"):
        table.add_column(header, justify="right")
    for name, found in groups.items():
        table.add_row(Text(name, style="bold"))  # Text: a name is not console markup
        for key, mark in COLUMNS.items():
            for kind, numbers in found[key].items():
                sd = "–" if numbers["sd"] is None else f"{100 * numbers['sd']:.2f}"
                values = " ".join(f"{100 * value:.2f}" for value in numbers["values"])
                table.add_row(f"  {kind}{mark}", f"{100 * numbers['mean']:.2f}", sd, str(numbers["n"]), values)
        table.add_section()
    return table
