"""«عُثر على النتائج في مجلد التقييم»: the files of an evaluation are found, read, written and checked."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from khabar.document import DataError
from khabar.results import COUNTS, UnitCounts, find, natural, read_counts, read_report, write_counts


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_what_is_written_is_read(tmp_path: Path) -> None:
    rows = [("خبر ١", {"entities": (2, 3, 4), "TC": (0, 0, 1)}), ("خبر ٢", {"entities": (0, 0, 0)}), ("٣", {})]
    write_counts(tmp_path / COUNTS, rows)
    assert (tmp_path / COUNTS).read_text(encoding="utf-8").splitlines()[1] == (
        '{"id": "خبر ٢", "counts": {"entities": [0, 0, 0]}}'
    )
    found = read_counts(tmp_path / COUNTS)
    assert list(found) == ["entities", "TC"]
    assert found["entities"].ids == ("خبر ١", "خبر ٢")
    assert found["entities"].counts.tolist() == [[2, 3, 4], [0, 0, 0]]
    assert found["TC"].ids == ("خبر ١",)  # the others have no events annotated


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), unique=True, min_size=1, max_size=5))
def test_any_id_survives(tmp_path_factory: pytest.TempPathFactory, names: list[str]) -> None:
    path = tmp_path_factory.getbasetemp() / COUNTS
    write_counts(path, ((name, {"TI": (0, 1, place)}) for place, name in enumerate(names)))
    found = read_counts(path)["TI"]
    assert found.ids == tuple(names)
    backwards = found.ordered(found.ids[::-1])
    assert backwards.counts[:, 2].tolist() == list(range(len(names)))[::-1]


def test_an_order_needs_the_same_documents() -> None:
    counts = UnitCounts(("أ", "ب"), np.zeros((2, 3), dtype=np.int64))
    with pytest.raises(DataError, match=r"document 'ج' is missing \(1 of 3 are\)"):
        counts.ordered(("أ", "ب", "ج"))
    with pytest.raises(DataError, match=r"document 'ب' is only here \(1 of 2 are\)"):
        counts.ordered(("أ",))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 2: not JSON"),
        ("", "line 2: not JSON"),
        ("[]", "line 2: expected a JSON object, got list"),
        ('{"counts": {}}', "line 2: expected a record with a string id and an object counts, got id None"),
        ('{"id": "ب", "counts": []}', "line 2: expected a record .* got id 'ب'"),
        ('{"id": "أ", "counts": {}}', "line 2: document 'أ' is there twice"),
        *(
            (f'{{"id": "ب", "counts": {{"TC": {row}}}}}', r"line 2: document 'ب': TC: expected \[correct, predicted, g")
            for row in ("[1, 2]", "[1, 2, 3, 4]", "3", "null", "[1.0, 2, 3]", "[true, 2, 3]", "[-1, 2, 3]", "[3, 2, 3]")
        ),
    ],
)
def test_what_is_no_record_of_counts_is_named(line: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / COUNTS
    path.write_text('{"id": "أ", "counts": {"TC": [1, 1, 1]}}\n' + line + "\n", encoding="utf-8")
    with pytest.raises(DataError, match=f"^{path}: {message}"):
        read_counts(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "not JSON"), ("3", "got int"), ("{}", "a report with scores"), ('{"scores": 1}', r"the keys \['scores'\]")],
)
def test_what_is_no_report_is_named(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=f"report.json: .*{message}"):
        read_report(tmp_path / "report.json")


RUNS = [f"seed-{seed}/evaluation-{split}/{COUNTS}" for split in ("dev", "test") for seed in (1, 2, 10)]


@pytest.mark.parametrize(
    ("patterns", "found"),
    [
        (["seed-2/evaluation-test"], RUNS[4:5]),  # a folder
        ([RUNS[4]], RUNS[4:5]),  # a file
        (["seed-*/evaluation-test"], RUNS[3:]),  # 10 comes after 2
        (["**/evaluation-test"], RUNS[3:]),
        (["seed-2", "seed-?"], [RUNS[1], RUNS[4], RUNS[0], RUNS[3]]),  # all that lie below, each once
        ([f"./{RUNS[0]}", RUNS[0]], RUNS[:1]),
        (["[draft]"], [f"[draft]/{COUNTS}"]),  # no pattern where it is there as it is written
    ],
)
@pytest.mark.parametrize("absolute", [False, True])
def test_files_are_found(
    patterns: list[str], found: list[str], absolute: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(*(tmp_path / run for run in RUNS), tmp_path / "[draft]" / COUNTS, tmp_path / "d" / "other.txt")
    monkeypatch.chdir(tmp_path)
    prefix = f"{tmp_path}{os.sep}" if absolute else ""
    assert find([prefix + pattern for pattern in patterns], COUNTS) == [Path(prefix + path) for path in found]


@pytest.mark.parametrize("pattern", ["d", "gone", "e*", "seed-*/evaluation-train"])
def test_a_pattern_that_leads_nowhere_is_named(pattern: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path / RUNS[0], tmp_path / "d" / "other.txt")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"no counts.jsonl here or below"):
        find([RUNS[0], pattern], COUNTS)


@pytest.mark.parametrize(
    "ordered", [["seed-2", "seed-10"], ["a1", "a1b", "a01c"], ["1", "9a", "10", "a"], ["x/2/y", "x/2/z", "x/11/y"]]
)
def test_numbers_are_sorted_as_numbers(ordered: list[Any]) -> None:
    assert sorted(ordered[1:] + ordered[:1], key=natural) == ordered
