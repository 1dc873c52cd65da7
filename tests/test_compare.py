"""«أيّ النظامين أدقّ في نشرة المساء؟»: systems are compared document by document, their seeds pooled."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from khabar.compare import compare
from khabar.document import DataError
from khabar.metrics import Score
from khabar.results import COUNTS, read_counts, write_counts
from khabar.significance import difference, holm, interval

ROOT = Path(__file__).parents[1]
GOLD = [int(gold) for gold in np.random.default_rng(0).poisson(8, 40)]
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Write the counts of a system that finds so much of gold; gives their folder. The current folder is empty."""
    monkeypatch.chdir(tmp_path)

    def make(folder: str, recall: float = 0.7, seed: int = 0, kinds: Sequence[str] = ("entities",)) -> Path:
        random = np.random.default_rng(seed)
        correct = {kind: random.binomial(GOLD, recall).tolist() for kind in kinds}
        rows = (
            (f"خبر {place}", {kind: (correct[kind][place], correct[kind][place] + 1, gold) for kind in kinds})
            for place, gold in enumerate(GOLD)
        )
        write_counts(Path(folder) / COUNTS, rows)
        return Path(folder)

    return make


def counts(folder: Path, kind: str = "entities") -> Any:
    return read_counts(folder / COUNTS)[kind].counts


def compared(systems: Any, **settings: Any) -> dict[str, Any]:
    report = compare(systems, "out", draws=200, **settings)
    assert json.loads(Path("out/comparison.json").read_text(encoding="utf-8")) == report
    return report


def test_two_folders_are_two_systems(write: Write) -> None:
    a, b = write("runs/a/seed-1/evaluation-test", 0.6), write("runs/b/seed-1/evaluation-test", 0.8)
    report = compared([a, b])
    assert report["systems"] == {"a": [str(a)], "b": [str(b)]}  # named by what sets them apart
    entities = report["units"].pop("entities")
    assert not report["units"]
    assert entities["documents"] == 40
    correct, predicted, gold = counts(a).sum(axis=0).tolist()
    assert entities["systems"]["a"] == {
        **Score(correct, predicted, gold).to_json(),
        "interval": list(interval(counts(a), 200)),
        "seeds": [Score(correct, predicted, gold).f1],
    }
    found = difference(counts(a), counts(b), 200)
    assert entities["pairs"] == [{"a": "a", "b": "b", **found.to_json(), "p_holm": found.p}]
    assert found.value < 0
    assert found.p == 1 / 201


def test_seeds_are_pooled_document_by_document(write: Write) -> None:
    first, second = write("a/seed-1", 0.6, 1), write("a/seed-2", 0.6, 2)
    b = write("b/seed-1", 0.65, 3)
    report = compared({"عارٍ": "a/seed-*", "مضبوط": ["b/seed-1"]})["units"]["entities"]
    seeds = [Score(*counts(folder).sum(axis=0)) for folder in (first, second)]
    assert report["systems"]["عارٍ"]["seeds"] == [seed.f1 for seed in seeds]
    assert report["systems"]["عارٍ"]["f1"] == (seeds[0] + seeds[1]).f1
    assert report["systems"]["عارٍ"]["gold"] == 2 * sum(GOLD)
    # One seed against two weighs as much.
    expected = difference(counts(first) + counts(second), 2 * counts(b), 200)
    assert report["pairs"][0].items() >= expected.to_json().items()


def test_pairs_of_a_unit_are_adjusted_together(write: Write) -> None:
    for number, recall in enumerate((0.6, 0.66, 0.7)):
        write(f"{number}", recall, number, ["entities", "TC"])
    report = compared({f"نظام {number}": f"{number}" for number in range(3)})
    for unit in ("entities", "TC"):
        pairs = report["units"][unit]["pairs"]
        assert [(pair["a"][-1], pair["b"][-1]) for pair in pairs] == [("0", "1"), ("0", "2"), ("1", "2")]
        assert [pair["p_holm"] for pair in pairs] == holm([pair["p"] for pair in pairs])
        assert any(pair["p_holm"] > pair["p"] for pair in pairs)


@pytest.mark.parametrize(
    ("units", "compared_units"),
    [(None, {"entities": 3, "TC": 1}), (["AC+", "TC"], {"AC+": 1, "TC": 1}), (["entities"], {"entities": 3})],
)
def test_a_unit_is_compared_where_two_have_it(
    units: list[str] | None, compared_units: dict[str, int], write: Write
) -> None:
    write("entities", 0.6, 0, ["entities"])
    write("events", 0.6, 1, ["entities", "TC", "AC+"])
    write("all", 0.6, 2, ["entities", "TC", "AC+"])
    found = compared(["entities", "events", "all"], units=units)["units"]
    assert {unit: len(value["pairs"]) for unit, value in found.items()} == compared_units


def test_a_headline_unit_that_gold_does_not_hold_is_left_out(write: Write) -> None:
    for name in ("a", "b"):
        write_counts(Path(name) / COUNTS, [("خبر", {"TC": (1, 1, 1), "AC": (0, 2, 0)})])
    assert list(compared(["a", "b"])["units"]) == ["TC"]
    assert list(compared(["a", "b"], units=["AC"])["units"]) == ["AC"]


def test_documents_may_come_in_any_order(write: Write) -> None:
    a, b = write("a", 0.6, 1), write("b", 0.7, 2)
    expected = compared([a, b])["units"]
    path = b / COUNTS
    path.write_text("\n".join(path.read_text(encoding="utf-8").splitlines()[::-1]) + "\n", encoding="utf-8")
    assert compared([a, b])["units"]["entities"]["pairs"] == expected["entities"]["pairs"]


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["runs/a/test", "runs/b/test"], ["a", "b"]),
        (["runs/a/seed-1/test", "runs/a/seed-2/test"], ["seed-1", "seed-2"]),
        (["runs/a", "more/b"], ["runs/a", "more/b"]),
        (["runs", "runs/a"], ["runs", "runs/a"]),  # one would have no name
    ],
)
def test_systems_without_names_are_named_by_what_sets_them_apart(
    paths: list[str], names: list[str], write: Write
) -> None:
    for seed, path in enumerate(paths):
        write(path, seed=seed)
    assert list(compared(paths)["systems"]) == names


def test_tables_are_printed(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    write("a", 0.6)
    write("b", 0.8)
    compared({"[red]a": "a", "b": "b"})
    printed = capsys.readouterr().out
    for text in ("[red]a", "entities", "p (Holm)", "0.0050", "200 draws"):
        assert text in printed


# What cannot be compared


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({"1": [0, 0, 2]}, "b/counts.jsonl: entities: expected the documents of a/counts.jsonl: document '2' is miss"),
        ({"1": [0, 0, 2], "2": [1, 1, 1], "3": [1, 1, 1]}, "document '3' is only here"),
        ({"1": [0, 0, 2], "2": [1, 1, 5]}, "b/counts.jsonl: entities: document '2': 5 units in gold, 1 in a/counts.j"),
    ],
)
def test_other_documents_or_gold_are_named(rows: Mapping[str, list[int]], message: str, write: Write) -> None:
    gold = {"1": [1, 1, 2], "2": [0, 0, 1]}
    for folder, values in (("a", gold), ("b", rows)):
        write_counts(Path(folder) / COUNTS, ((name, {"entities": row}) for name, row in values.items()))
    for systems in (["a", "b"], {"one": ["a", "b"], "two": "a"}):
        with pytest.raises(DataError, match=message):
            compare(systems, "out")
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("systems", "settings", "message"),
    [
        ([], {}, "at least two different ones, got"),
        (["a"], {}, r"at least two different ones, got \['a'\]"),
        (["a", "a"], {}, r"at least two different ones, got \['a'\]"),
        ({"one": ["a"], "two": []}, {}, "'two' has no folder"),
        (["a", "gone"], {}, "gone: no counts.jsonl"),
        (["a", "events"], {"units": ["TC", "XY"]}, r"no system has counts of \['XY'\], expected some of \['TC', 'e"),
        (["a", "events"], {}, r"no two of \['a', 'events'\] have counts of the same units"),
        ({"one": ["a", "events"], "two": "b"}, {}, r"events/counts.jsonl: expected counts of \['entities'\] as in a"),
        (["a", "b"], {"draws": 0}, "draws: expected at least 1"),
    ],
)
def test_what_cannot_be_compared_is_named(systems: Any, settings: dict[str, Any], message: str, write: Write) -> None:
    write("a")
    write("b")
    write("events", kinds=["TC"])
    with pytest.raises(DataError, match=message):
        compare(systems, "out", **settings)


# The script


def test_the_script_needs_neither_torch_nor_a_model(write: Write) -> None:
    for seed in (1, 2):
        write(f"runs/bare/seed-{seed}/evaluation-test", 0.6, seed, ["entities", "TC"])
        write(f"runs/tuned/seed-{seed}/evaluation-test", 0.8, seed + 2, ["entities", "TC"])
    program = (
        "import runpy, sys\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')\n"
        "print(*{'torch', 'transformers', 'datasets'} & set(sys.modules), file=sys.stderr)"
    )
    systems = '{bare: "runs/bare/seed-*/evaluation-test", tuned: ["runs/tuned/seed-1", "runs/tuned/seed-2"]}'
    script = str(ROOT / "scripts" / "compare.py")
    python = [sys.executable, "-c", f"import sys; sys.argv[0] = {script!r}\n{program}"]
    run = subprocess.run(
        [*python, f"systems={systems}", "units=[TC]", "draws=100", "output=out"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (run.returncode, run.stderr.strip()) == (0, "")
    report = json.loads(Path("out/comparison.json").read_text(encoding="utf-8"))
    assert list(report["units"]) == ["TC"]
    assert report["draws"] == 100
    assert [len(folders) for folders in report["systems"].values()] == [2, 2]
    assert "tuned" in run.stdout


def test_a_system_that_does_not_answer_a_unit_is_compared_on_the_others(write: Write) -> None:
    a, b = write("runs/a/test", 0.6, kinds=("entities", "AC")), write("runs/b/test", 0.8, kinds=("entities", "AC"))
    rows = ((document, {"entities": tuple(found), "AC": (0, 0, 0)}) for document, found in each(b))
    write_counts(b / COUNTS, rows)
    assert compared([a, b])["units"].keys() == {"entities"}
    with pytest.raises(DataError, match="AC: document 'خبر 0': 0 units in gold"):
        compared([a, b], units=["AC"])


def each(folder: Path) -> list[tuple[str, list[int]]]:
    held = read_counts(folder / COUNTS)["entities"]
    return [(document, row.tolist()) for document, row in zip(held.ids, held.counts, strict=True)]
