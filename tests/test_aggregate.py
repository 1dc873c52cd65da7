"""«كُرِّر التدريب ثلاث مرات فاختلفت النتيجة قليلًا»: runs that differ in seed or fold become one line of a table."""

from __future__ import annotations

import json
import runpy
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra.core.global_hydra import GlobalHydra

from khabar.aggregate import aggregate, group
from khabar.document import DataError
from khabar.metrics import Score

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def write(folder: str, correct: int, given: int | None = None, **about: Any) -> None:
    """Write the report of a run with so many of 100 entities right, and of arguments with the gold triggers."""
    report: dict[str, Any] = {"schema": 2, "corpus": "أخبار", "data": "a1", "split": "test", **about}
    micro = Score(correct, 100, 100).to_json()
    report["scores"] = {"documents": {"entities": 9}, "entities": {"micro": micro, "types": {"PER": micro}}}
    if given is not None:
        report["scores_gold_triggers"] = {"AC": {"micro": Score(given, 100, 100).to_json()}}
    path = Path(folder) / "report.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report), encoding="utf-8")


def test_seeds_become_mean_standard_deviation_and_every_value() -> None:
    for seed, correct in {1: 70, 2: 74, 10: 75}.items():
        write(f"runs/a/seed-{seed}/evaluation-test", correct, correct - 20)
    write("runs/b/seed-1/evaluation-test", 60)
    report = aggregate(["runs/*/seed-*/evaluation-test"], "out")
    assert json.loads(Path("out/aggregate.json").read_text(encoding="utf-8")) == report
    assert report == {
        "schema": 1,
        "groups": {
            "runs/a/evaluation-test": {
                "reports": [f"runs/a/seed-{seed}/evaluation-test/report.json" for seed in (1, 2, 10)],
                "scores": {
                    "entities": {
                        "mean": pytest.approx(0.73),
                        "sd": pytest.approx(statistics.stdev([0.7, 0.74, 0.75])),
                        "n": 3,
                        "values": [0.7, 0.74, 0.75],
                    }
                },
                "scores_gold_triggers": {
                    "AC": {"mean": pytest.approx(0.53), "sd": pytest.approx(0.07**0.5 / 10), "n": 3}
                    | {"values": [0.5, 0.54, 0.55]}
                },
            },
            "runs/b/evaluation-test": {
                "reports": ["runs/b/seed-1/evaluation-test/report.json"],
                "scores": {"entities": {"mean": 0.6, "sd": None, "n": 1, "values": [0.6]}},
                "scores_gold_triggers": {},
            },
        },
    }


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("runs/a/seed-3/evaluation-test", "runs/a/evaluation-test"),
        ("runs/gsr/fold-0/evaluation-test", "runs/gsr/evaluation-test"),
        ("runs/gsr/fold-0/seed-12", "runs/gsr"),
        ("/runs/a-seed-3/test", "/runs/a/test"),
        ("sweep/learning_rate=1e-4,seed=3/test", "sweep/learning_rate=1e-4/test"),
        ("sweep/seed=3,learning_rate=1e-4/test", "sweep/learning_rate=1e-4/test"),
        ("sweep/data.fold=1,seed=3/test", "sweep/test"),
        ("sweep/precision=bfloat16,data.fold=1,seed=3", "sweep/precision=bfloat16"),
        ("../seed_3/test", "../test"),
        ("seed-1", "."),
        ("runs/reseed-3/seed-x/manifold-2/4", "runs/reseed-3/seed-x/manifold-2/4"),  # none of these numbers a run
        ("runs/a_/seeds-3", "runs/a_/seeds-3"),
    ],
)
def test_a_group_is_a_path_without_what_numbers_the_run(folder: str, name: str) -> None:
    assert group(Path(folder)) == name


@pytest.mark.parametrize("hydra", ["hydra", ".hydra"])
def test_jobs_of_a_sweep_are_known_by_their_overrides(hydra: str) -> None:
    jobs = [(rate, seed) for rate in ("1e-4", "5e-5") for seed in (1, 2)]
    for number, (rate, seed) in enumerate(jobs):
        write(f"sweep/{number}/evaluation-test", 60 + number)
        overrides = Path(f"sweep/{number}/{hydra}/overrides.yaml")
        overrides.parent.mkdir()
        overrides.write_text(
            yaml.safe_dump([f"learning_rate={rate}", f"seed={seed}", "output=sweep/${hydra:job.num}"]), encoding="utf-8"
        )
    groups = aggregate(["sweep"], "out")["groups"]
    assert {name: found["scores"]["entities"]["values"] for name, found in groups.items()} == {
        "sweep/learning_rate=1e-4/evaluation-test": [0.6, 0.61],
        "sweep/learning_rate=5e-5/evaluation-test": [0.62, 0.63],
    }


def test_folds_are_of_different_documents_and_seeds_are_not() -> None:
    for fold in (0, 1):
        for seed in (1, 2):
            write(f"gsr/fold-{fold}/seed-{seed}", 70 + fold + seed, data=f"part {fold}")
    found = aggregate(["gsr"], "out")["groups"]["gsr"]["scores"]["entities"]
    assert found["values"] == [0.71, 0.72, 0.72, 0.73]
    write("gsr/fold-1/seed-3", 70, data="part 0")
    with pytest.raises(DataError, match=r"seed-3/report.json: expected data 'part 1' as in gsr/fold-1/.*'part 0'"):
        aggregate(["gsr"], "out")


@pytest.mark.parametrize("about", [{"split": "dev"}, {"corpus": "أخرى"}, {"gold": ["other.jsonl"]}])
def test_seeds_scored_on_other_data_are_not_averaged(about: dict[str, Any]) -> None:
    write("seed-1", 70)
    write("seed-2", 70, **about)
    with pytest.raises(DataError, match=f"seed-2/report.json: expected {next(iter(about))} "):
        aggregate(["seed-*"], "out")


def test_a_unit_that_one_run_lacks_is_averaged_over_the_others() -> None:
    write("seed-1", 70, 50)
    write("seed-2", 72)
    found = aggregate(["seed-1", "seed-2"], "out")["groups"]["."]
    assert found["scores"]["entities"]["n"] == 2
    assert found["scores_gold_triggers"]["AC"]["n"] == 1


def test_the_table_shows_every_value(capsys: pytest.CaptureFixture[str]) -> None:
    write("runs/[red]a/seed-1", 70, 51)
    write("runs/[red]a/seed-2", 72, 53)
    aggregate(["runs"], "out")
    printed = capsys.readouterr().out
    for text in ("runs/[red]a", "71.00", "1.41", "70.00 72.00", "AC*", "51.00 53.00"):
        assert text in printed


@pytest.mark.parametrize(
    ("patterns", "message"),
    [
        ([], "expected folders of evaluations, got none"),
        (["gone*"], r"gone\*: no report.json here or below"),
        (["broken"], "broken/report.json: scores: expected a micro f1 of each kind of unit"),
        (["old"], r"old/report.json: expected a report with scores, got the keys \['splits'\]"),
    ],
)
def test_what_cannot_be_averaged_is_named(patterns: list[str], message: str) -> None:
    for name, report in {"broken": {"scores": {"entities": {"f1": 1.0}}}, "old": {"splits": {}}}.items():
        Path(name).mkdir()
        (Path(name) / "report.json").write_text(json.dumps(report), encoding="utf-8")
    with pytest.raises(DataError, match=message):
        aggregate(patterns, "out")
    assert not Path("out").exists()


@pytest.fixture
def clean_hydra() -> Iterator[None]:
    GlobalHydra.instance().clear()
    yield
    GlobalHydra.instance().clear()


@pytest.mark.usefixtures("clean_hydra")
def test_the_script(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    for seed in (1, 2):
        write(f"runs/a/seed-{seed}/evaluation-test", 70 + seed)
    script = str(ROOT / "scripts" / "aggregate.py")
    monkeypatch.setattr(sys, "argv", [script, 'reports=["runs/*/seed-*/evaluation-test"]', "output=out"])
    runpy.run_path(script, run_name="__main__")
    assert "71.50" in capfd.readouterr().out
    report = json.loads(Path("out/aggregate.json").read_text(encoding="utf-8"))
    assert list(report["groups"]) == ["runs/a/evaluation-test"]
