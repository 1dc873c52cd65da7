"""Compare systems on the same documents: which differences in F1 are more than chance."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from rich.text import Text

from khabar.document import DataError
from khabar.formats import lines
from khabar.metrics import Score
from khabar.results import COUNTS, UnitCounts, find, read_counts
from khabar.significance import difference, holm, interval

__all__ = ["HEADLINE", "compare"]

log = logging.getLogger(__name__)
SCHEMA = 1
HEADLINE = ("entities", "TC", "AC")

Paths = Path | str | Sequence[Path | str]
Seeds = Mapping[Path, Mapping[str, UnitCounts]]  # file, kind of unit
Counts = NDArray[np.int64]  # (documents, 3) correct, predicted and gold


def compare(
    systems: Mapping[str, Paths] | Sequence[Path | str],
    output: Path | str,
    units: Sequence[str] | None = None,
    draws: int = 10_000,
    level: float = 0.95,
    seed: int = 0,
) -> dict[str, Any]:
    """Compare every pair of systems on each kind of unit that both have; print tables, write ``comparison.json``.

    Args:
        systems: names, each with the evaluation folders of one system (or patterns of them, see
            `khabar.results.find`); or a list of folders, each a system of its own. Several folders of a system are
            its seeds: their counts are added up document by document, so that its F1 is the micro F1 over all of
            them. A system with fewer seeds weighs as much as one with more.
        output: the folder for ``comparison.json``.
        units: kinds of units (the table of `khabar.metrics`); those of ``HEADLINE`` that occur in gold if not given.
        draws, level, seed: see `khabar.significance`. Holm's adjustment is over the pairs of a kind of unit.

    Returns what ``comparison.json`` holds. Raises `DataError` where documents or gold counts are not the same in
    every folder, and where there is nothing to compare.

    """
    folders = _folders(systems)
    read = {name: _read(paths) for name, paths in folders.items()}
    held = {unit for seeds in read.values() for unit in _kinds(seeds)}
    if units is not None and (unknown := [unit for unit in units if unit not in held]):
        raise DataError(f"units: no system has counts of {unknown}, expected some of {sorted(held)}")
    result: dict[str, Any] = {}
    for unit in HEADLINE if units is None else units:
        having = {name: seeds for name, seeds in read.items() if unit in _kinds(seeds)}
        if units is None:  # a model that does not answer a unit was given none of its gold
            having = {name: s for name, s in having.items() if any(one[unit].counts[:, 2].any() for one in s.values())}
        if len(counts := _aligned(unit, having)) > 1:
            result[unit] = _compared(counts, draws, level, seed)
    if not result:
        raise DataError(f"no two of {list(folders)} have counts of the same units")
    report = {
        "schema": SCHEMA,
        "draws": draws,
        "level": level,
        "seed": seed,
        "systems": {name: [str(path.parent) for path in paths] for name, paths in folders.items()},
        "units": result,
    }
    path = Path(output) / "comparison.json"
    lines.write(path, [json.dumps(report, ensure_ascii=False, indent=2)])
    console = Console()
    for table in (_systems_table(report), _pairs_table(report)):
        console.print(table)
    log.info("comparison in %s", path)
    return report


def _folders(systems: Mapping[str, Paths] | Sequence[Path | str]) -> dict[str, list[Path]]:
    """The files of counts of each system."""
    if isinstance(systems, Mapping):
        named = {
            str(name): [paths] if isinstance(paths, str | Path) else list(paths) for name, paths in systems.items()
        }
    else:
        named = {name: [path] for name, path in zip(_short(systems), systems, strict=True)}
    if len(named) < 2 or (not isinstance(systems, Mapping) and len(named) < len(systems)):
        raise DataError(f"systems: expected at least two different ones, got {list(named)}")
    if empty := [name for name, paths in named.items() if not paths]:
        raise DataError(f"systems: {empty[0]!r} has no folder")
    return {name: find(paths, COUNTS) for name, paths in named.items()}


def _short(paths: Sequence[Path | str]) -> list[str]:
    """Paths without the parts at their heads and ends that all have, where that leaves each a name."""
    parts = [PurePath(path).parts for path in paths]
    head, end = (
        next((n for n, same in enumerate(zip(*side, strict=False)) if len(set(same)) > 1), 0)
        for side in (parts, [each[::-1] for each in parts])
    )
    names = ["/".join(each[head : len(each) - end]) for each in parts]
    return names if all(names) and len(set(names)) == len(names) else [str(path) for path in paths]


def _read(paths: Sequence[Path]) -> Seeds:
    """The counts of a system's seeds, which must have the same kinds of units."""
    seeds = {path: read_counts(path) for path in paths}
    for path, kinds in seeds.items():
        if kinds.keys() != seeds[paths[0]].keys():
            expected, got = sorted(seeds[paths[0]]), sorted(kinds)
            raise DataError(f"{path}: expected counts of {expected} as in {paths[0]}, got {got}")
    return seeds


def _kinds(seeds: Seeds) -> set[str]:
    return set(next(iter(seeds.values())))


def _aligned(unit: str, systems: Mapping[str, Seeds]) -> dict[str, list[Counts]]:
    """The counts of each seed of each system, their documents in the order of the first; checked to be the same."""
    result: dict[str, list[Counts]] = {name: [] for name in systems}
    every = [(name, path, kinds[unit]) for name, seeds in systems.items() for path, kinds in seeds.items()]
    for name, path, found in every:
        _, first, expected = every[0]
        try:
            counts = found.ordered(expected.ids).counts
        except DataError as error:
            raise DataError(f"{path}: {unit}: expected the documents of {first}: {error}") from None
        for place in np.flatnonzero(counts[:, 2] != expected.counts[:, 2])[:1]:
            here, there = counts[place, 2], expected.counts[place, 2]
            raise DataError(
                f"{path}: {unit}: document {expected.ids[place]!r}: {here} units in gold, {there} in {first}"
            )
        result[name].append(counts)
    return result


def _compared(seeds: Mapping[str, Sequence[Counts]], draws: int, level: float, seed: int) -> dict[str, Any]:
    """The scores of systems and the differences of their pairs, for one kind of unit."""
    chance = (draws, level, seed)
    pooled = {name: np.sum(counts, axis=0) for name, counts in seeds.items()}
    # As many times each that all have the same gold counts; F1 stays what it is.
    common = math.lcm(*(len(counts) for counts in seeds.values()))
    weighed = {name: counts * (common // len(seeds[name])) for name, counts in pooled.items()}
    pairs = list(combinations(seeds, 2))
    found = [difference(weighed[a], weighed[b], *chance) for a, b in pairs]
    return {
        "documents": len(next(iter(pooled.values()))),
        "systems": {
            name: {
                **_score(counts).to_json(),
                "interval": list(interval(counts, *chance)),
                "seeds": [_score(each).f1 for each in seeds[name]],
            }
            for name, counts in pooled.items()
        },
        "pairs": [
            {"a": a, "b": b, **each.to_json(), "p_holm": adjusted}
            for (a, b), each, adjusted in zip(pairs, found, holm([each.p for each in found]), strict=True)
        ],
    }


def _score(counts: Counts) -> Score:
    return Score(*map(int, counts.sum(axis=0)))


def _range(ends: Sequence[float], sign: str = "") -> str:
    return " … ".join(f"{100 * end:{sign}.2f}" for end in ends)


def _systems_table(report: Mapping[str, Any]) -> Table:
    table = Table("", "system", title=f"Micro F1 (%) and its {100 * report['level']:g} % interval over documents")
    for header in ("F1", "interval", "seeds"):
        table.add_column(header, justify="right")
    for unit, found in report["units"].items():
        for name, score in found["systems"].items():
            # Text: a name is not console markup
            table.add_row(
                unit, Text(name), f"{100 * score['f1']:.2f}", _range(score["interval"]), str(len(score["seeds"]))
            )
        table.add_section()
    return table


def _pairs_table(report: Mapping[str, Any]) -> Table:
    table = Table("", "first", "second", title="Differences in F1, first minus second (points)")
    table.caption = f"paired randomisation by document, {report['draws']:,} draws; Holm over the pairs"
    for header in ("difference", "interval", "p", "p (Holm)"):
        table.add_column(header, justify="right")
    for unit, found in report["units"].items():
        for pair in found["pairs"]:
            chance = [f"{pair['p']:.4f}", f"{pair['p_holm']:.4f}"]
            gap = [f"{100 * pair['difference']:+.2f}", _range(pair["interval"], "+")]
            table.add_row(unit, Text(pair["a"]), Text(pair["b"]), *gap, *chance)
        table.add_section()
    return table
