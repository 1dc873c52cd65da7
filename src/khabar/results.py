"""What an evaluation leaves in its folder: ``report.json``, and the counts of each document in ``counts.jsonl``.

A line of counts is ``{"id": "…", "counts": {"entities": [correct, predicted, gold], "TC": […], …}}``, one a
document in gold order; a kind of unit (`khabar.metrics`) that is not scored for a document is absent there.
"""

from __future__ import annotations

import glob
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from khabar.document import DataError
from khabar.formats import lines

__all__ = ["COUNTS", "REPORT", "UnitCounts", "find", "natural", "read_counts", "read_report", "write_counts"]

REPORT, COUNTS = "report.json", "counts.jsonl"


@dataclass(frozen=True, slots=True)
class UnitCounts:
    """The counts of one kind of unit.

    ``ids``: the documents for which it is scored. ``counts``: (documents, 3) correct, predicted and gold.
    """

    ids: tuple[str, ...]
    counts: NDArray[np.int64]

    def ordered(self, ids: tuple[str, ...]) -> UnitCounts:
        """The same counts in the order of ``ids``, which must be the same documents: `DataError` where not."""
        if ids == self.ids:
            return self
        places = {name: place for place, name in enumerate(self.ids)}
        if missing := [name for name in ids if name not in places]:
            raise DataError(f"document {missing[0]!r} is missing ({len(missing)} of {len(ids)} are)")
        if extra := places.keys() - set(ids):
            raise DataError(f"document {min(extra)!r} is only here ({len(extra)} of {len(places)} are)")
        return UnitCounts(ids, self.counts[[places[name] for name in ids]])


def find(patterns: Iterable[Path | str], name: str) -> list[Path]:
    """The files called ``name`` that patterns lead to, each once, runs with numbers in the order of the numbers.

    A pattern is a folder or a file, with ``*``, ``?`` and ``**`` as in the shell. A folder stands for the file in
    it or, where it has none, for all that lie anywhere below it.

    Raises `DataError` for a pattern that leads to none.
    """
    found: dict[Path, Path] = {}
    for pattern in patterns:
        # What is there is meant as it is written, even where its name has brackets. Path.glob takes nothing absolute.
        there = Path(pattern).exists()
        matches = [str(pattern)] if there else glob.glob(str(pattern), recursive=True)  # noqa: PTH207
        files = [file for match in matches for file in _files(Path(match), name)]
        if not files:
            raise DataError(f"{pattern}: no {name} here or below: expected a folder that scripts/evaluate.py wrote")
        for file in sorted(files, key=natural):
            found.setdefault(file.resolve(), file)
    return list(found.values())


def _files(path: Path, name: str) -> Iterator[Path]:
    if path.is_file():
        yield path
    elif (path / name).is_file():
        yield path / name
    else:
        yield from path.rglob(name)


def natural(path: Path | str) -> list[tuple[int, str]]:
    """A sort key by which seed-2 comes before seed-10."""
    parts = re.split(r"([0-9]+)", str(path))
    return [(int(part), "") if place % 2 else (0, part) for place, part in enumerate(parts)]


def read_counts(path: Path | str) -> dict[str, UnitCounts]:
    """The counts of each kind of unit in a file that `write_counts` wrote.

    Raises `DataError` that names file, line and id for what is not such a record, and for an id that comes twice.
    """
    seen: set[str] = set()
    ids: dict[str, list[str]] = {}
    counts: dict[str, list[Sequence[int]]] = {}
    for number, line in lines.read(path):
        place = f"{path}: line {number}"
        record = _json(line, place)
        name, kinds = record.get("id"), record.get("counts")
        if not isinstance(name, str) or not isinstance(kinds, dict):
            raise DataError(f"{place}: expected a record with a string id and an object counts, got id {name!r}")
        if name in seen:
            raise DataError(f"{place}: document {name!r} is there twice")
        seen.add(name)
        for kind, row in kinds.items():
            if not _is_row(row):
                raise DataError(f"{place}: document {name!r}: {kind}: expected [correct, predicted, gold], got {row!r}")
            ids.setdefault(kind, []).append(name)
            counts.setdefault(kind, []).append(row)
    return {kind: UnitCounts(tuple(ids[kind]), np.array(counts[kind], dtype=np.int64)) for kind in ids}


def _is_row(row: Any) -> bool:
    if not isinstance(row, list) or len(row) != 3 or any(type(count) is not int for count in row):
        return False
    correct, predicted, gold = row
    return bool(0 <= correct <= min(predicted, gold))


def write_counts(path: Path | str, rows: Iterable[tuple[str, Mapping[str, Sequence[int]]]]) -> None:
    """Write the counts of documents, each an id and (correct, predicted, gold) of each kind of unit, as they come."""
    lines.write(
        path,
        (
            json.dumps({"id": name, "counts": {kind: list(row) for kind, row in counts.items()}}, ensure_ascii=False)
            for name, counts in rows
        ),
    )


def read_report(path: Path | str) -> dict[str, Any]:
    """The report in a file. Raises `DataError` that names it where it is not JSON or holds no scores."""
    report = _json("\n".join(line for _, line in lines.read(path)), str(path))
    if not isinstance(report.get("scores"), dict):
        raise DataError(f"{path}: expected a report with scores, got the keys {sorted(report)}")
    return report


def _json(text: str, place: str) -> dict[str, Any]:
    try:
        record = json.loads(text)
    except json.JSONDecodeError as error:
        raise DataError(f"{place}: not JSON: {error.msg} at character {error.pos}") from None
    if not isinstance(record, dict):
        raise DataError(f"{place}: expected a JSON object, got {type(record).__name__}")
    return record
