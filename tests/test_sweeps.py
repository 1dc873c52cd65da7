"""«جُرّبت ثلاثة حلول فنجح واحد»: trials are asked for, pruned, killed and gone on with, and the best is named."""

from __future__ import annotations

import importlib
import json
import logging
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

optuna = pytest.importorskip("optuna", reason="khabar[sweep] is not installed")

from hydra.core.global_hydra import GlobalHydra  # noqa: E402
from hydra.core.plugins import Plugins  # noqa: E402
from omegaconf import OmegaConf  # noqa: E402

from khabar.corpus import Corpus  # noqa: E402
from khabar.document import DataError  # noqa: E402
from khabar.sweeps import Report, Sweep  # noqa: E402

ROOT = Path(__file__).parents[1]
SPACE = {
    "learning_rate": optuna.distributions.FloatDistribution(1e-5, 1e-3, log=True),
    "trainer.num_train_epochs": optuna.distributions.IntDistribution(2, 8),
    "model": optuna.distributions.CategoricalDistribution(["compact", "arabert_base"]),
}
MakeSweep = Callable[..., Sweep]
Launch = Callable[[Mapping[int, Mapping[str, Any]]], Sequence[Any]]


@pytest.fixture
def drawn() -> None:
    """Asked for by tests that look at the page and the plots, whose drawing takes seconds."""


@pytest.fixture(autouse=True)
def quick(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if "drawn" not in request.fixturenames:
        monkeypatch.setattr("khabar.sweeps.write_sweep", lambda *_: [])


@pytest.fixture
def sweep(tmp_path: Path) -> MakeSweep:
    """A study in ``tmp_path``; any parameter may be given."""

    def make(**changes: Any) -> Sweep:
        folder = changes.pop("folder", tmp_path / "sweep")
        given: dict[str, Any] = {
            "folder": folder,
            "storage": f"sqlite:///{folder}/study.db",
            "name": "أخبار",
            "space": SPACE,
            "settings": {"data": "ahdath"},
            "sampler": lambda seed: optuna.samplers.TPESampler(seed=seed, n_startup_trials=3),
            "seed": 1,
        }
        return Sweep(**given | changes)

    return make


def command(values: Mapping[str, Any]) -> str:
    return " ".join(f"{name}={value}" for name, value in values.items())


def score(values: Mapping[str, Any]) -> float:
    return float(values["learning_rate"]) * 100 + float(values["model"] == "compact") / 2


def scored(trials: Mapping[int, Mapping[str, Any]]) -> list[float]:
    return [score(values) for values in trials.values()]


def states(study: Sweep) -> list[str]:
    return [trial["state"] for trial in study.trials()]


# The study


@pytest.mark.usefixtures("drawn")
def test_the_best_trial_is_named_by_its_command(sweep: MakeSweep, tmp_path: Path) -> None:
    study = sweep()
    found = study.run(scored, 4, 2, command)
    assert states(study) == ["complete"] * 4
    assert found == command(max((trial["params"] for trial in study.trials()), key=score))
    page = (tmp_path / "sweep" / "summary.html").read_text(encoding="utf-8")
    assert found in page.replace("&#39;", "'")
    assert {path.name for path in (tmp_path / "sweep" / "plots").iterdir()} == {
        *("trials.png", "by-learning-rate.png", "by-model.png", "by-trainer.num-train-epochs.png")
    }
    assert (tmp_path / "sweep" / "plots" / "trials.png").read_bytes().startswith(b"\x89PNG")


def interrupted(at: int, launch: Launch = scored) -> Launch:
    """Dies in trial ``at``."""

    def launched(trials: Mapping[int, Mapping[str, Any]]) -> Sequence[Any]:
        if at in trials:
            raise KeyboardInterrupt
        return launch(trials)

    return launched


def test_a_killed_sweep_goes_on_to_the_same_number_and_asks_what_it_would_have_asked(
    sweep: MakeSweep, tmp_path: Path
) -> None:
    whole = sweep(folder=tmp_path / "whole")
    whole.run(scored, 6, 1, command)
    with pytest.raises(KeyboardInterrupt):
        sweep().run(interrupted(4), 6, 1, command)
    assert states(sweep()) == ["complete"] * 4 + ["running"]
    launched: list[int] = []

    def launch(trials: Mapping[int, Mapping[str, Any]]) -> list[float]:
        launched.extend(trials)
        return scored(trials)

    study = sweep()
    study.run(launch, 6, 1, command)
    assert launched == [4, 5]  # the one that was interrupted goes on under its number, in its folder
    assert [trial["params"] for trial in study.trials()] == [trial["params"] for trial in whole.trials()]
    assert study.run(interrupted(0), 6, 1, command) == whole.run(interrupted(0), 6, 1, command)  # nothing is left to do
    study.run(launch, 8, 1, command)  # more may be asked for
    assert launched == [4, 5, 6, 7]


def test_trials_are_launched_together(sweep: MakeSweep) -> None:
    batches: list[list[int]] = []

    def launch(trials: Mapping[int, Mapping[str, Any]]) -> list[float]:
        batches.append(list(trials))
        return scored(trials)

    sweep().run(launch, 5, 2, command)
    assert batches == [[0, 1], [2, 3], [4]]


@pytest.mark.usefixtures("drawn")
def test_what_fails_is_recorded_and_the_study_goes_on(sweep: MakeSweep, tmp_path: Path) -> None:
    outcomes: dict[int, Any] = {
        0: DataError("النص فارغ <b>"),
        1: float("nan"),
        2: None,
        3: optuna.TrialPruned("after epoch 2"),
        4: 0.5,
    }
    study = sweep()
    study.run(lambda trials: [outcomes[number] for number in trials], 5, 5, command)
    assert states(study) == ["fail", "fail", "fail", "pruned", "complete"]
    errors = [trial["error"] for trial in study.trials()]
    assert errors == [
        "DataError: النص فارغ <b>",
        "DataError: expected a dev score, got nan",
        "DataError: expected a dev score, got None",
        None,
        None,
    ]
    assert "النص فارغ &lt;b&gt;" in (tmp_path / "sweep" / "summary.html").read_text(encoding="utf-8")


def test_a_sweep_without_any_score_is_an_error(sweep: MakeSweep) -> None:
    with pytest.raises(DataError, match="no trial has a score; the first said: ValueError: لا شيء"):
        sweep().run(lambda trials: [ValueError("لا شيء") for _ in trials], 2, 1, command)


def test_a_trial_whose_process_dies_again_and_again_is_given_up(sweep: MakeSweep, tmp_path: Path) -> None:
    starts: list[int] = []

    def launch(trials: Mapping[int, Mapping[str, Any]]) -> list[float]:
        for number in trials:
            starts.append(number)
            (tmp_path / "sweep" / "trials" / str(number)).mkdir(parents=True, exist_ok=True)
        if 1 in trials:
            raise RuntimeError("a worker was killed")
        return scored(trials)

    study = sweep()
    study.run(launch, 3, 1, command)
    assert starts == [0, 1, 1, 1, 2]
    assert states(study) == ["complete", "fail", "complete"]
    assert study.trials()[1]["error"] == "DataError: its process died 3 times"


def test_a_launcher_that_starts_nothing_ends_the_sweep(sweep: MakeSweep) -> None:
    def launch(trials: Mapping[int, Mapping[str, Any]]) -> list[float]:
        raise RuntimeError("no sbatch here")

    with pytest.raises(RuntimeError, match="no sbatch here"):
        sweep().run(launch, 3, 1, command)


def test_another_search_is_refused_in_the_same_folder(sweep: MakeSweep) -> None:
    sweep()
    with pytest.raises(DataError, match=r"holds a study with other \['data'\]"):
        sweep(settings={"data": "wojood"})
    wider = {**SPACE, "learning_rate": optuna.distributions.FloatDistribution(1e-6, 1e-3, log=True)}
    with pytest.raises(DataError, match=r"holds a study with other \['learning_rate'\]"):
        sweep(space=wider)


def test_two_processes_do_not_run_one_sweep(sweep: MakeSweep) -> None:
    def launch(trials: Mapping[int, Mapping[str, Any]]) -> list[float]:
        with pytest.raises(DataError, match="another process runs this sweep"):
            sweep().run(scored, 2, 1, command)
        return scored(trials)

    sweep().run(launch, 1, 1, command)


@pytest.mark.parametrize("keep", [False, True])
def test_only_the_best_model_is_kept_unless_all_are_wanted(sweep: MakeSweep, tmp_path: Path, keep: bool) -> None:
    def launch(trials: Mapping[int, Mapping[str, Any]]) -> list[float]:
        for number in trials:
            (tmp_path / "sweep" / "trials" / str(number) / "model").mkdir(parents=True)
        return [number % 3 / 3 for number in trials]

    sweep().run(launch, 4, 1, command, keep_models=keep)
    left = {path.parent.name for path in (tmp_path / "sweep").glob("trials/*/model")}
    assert left == ({"0", "1", "2", "3"} if keep else {"2"})


def test_a_run_reports_its_epochs_and_is_pruned_where_others_were_better(sweep: MakeSweep, tmp_path: Path) -> None:
    pruner = optuna.pruners.MedianPruner(n_startup_trials=1, n_warmup_steps=0)

    def launch(trials: Mapping[int, Mapping[str, Any]]) -> list[Any]:
        outcomes: list[Any] = []
        for number in trials:
            scores = [[0.2, 0.6, 0.7], [0.3, 0.4, 0.9], [0.3, 0.7, 0.8]][number]
            report = Report(f"sqlite:///{tmp_path}/sweep/study.db", "أخبار", number, "f1", pruner)
            try:
                for epoch, value in enumerate(scores, start=1):
                    report.on_evaluate(None, SimpleNamespace(epoch=epoch), None, metrics={"eval_f1": value})
                outcomes.append(max(scores))
            except optuna.TrialPruned as error:
                outcomes.append(error)
        return outcomes

    study = sweep()
    study.run(launch, 3, 1, command)
    assert states(study) == ["complete", "pruned", "complete"]
    assert [trial["steps"] for trial in study.trials()] == [
        {1: 0.2, 2: 0.6, 3: 0.7},
        {1: 0.3, 2: 0.4},
        {1: 0.3, 2: 0.7, 3: 0.8},
    ]
    assert study.trials()[1]["value"] == 0.4
    # Scores within epochs belong to the epoch behind them, the first one counts, and one before any epoch does not.
    often = Report(f"sqlite:///{tmp_path}/sweep/study.db", "أخبار", study.study.ask().number, "f1")
    for epoch, value in ((0.5, 0.1), (1.0, 0.2), (1.5, 0.9), (2.5, 0.3)):
        often.on_evaluate(None, SimpleNamespace(epoch=epoch), None, metrics={"eval_f1": value})
    assert study.trials()[-1]["steps"] == {1: 0.2, 2: 0.3}
    # Epochs that an interrupted trial has reported are not reported a second time.
    again = Report(f"sqlite:///{tmp_path}/sweep/study.db", "أخبار", 0, "f1")
    assert again.reported == {1, 2, 3}


def test_a_missing_package_is_named_with_its_extra(sweep: MakeSweep, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(DataError, match=r"a sweep needs optuna: pip install 'khabar\[sweep\]'"):
        sweep()


# What is searched, as Hydra's command line says it


@pytest.fixture
def plugin(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    module: Any = importlib.import_module("hydra_plugins.khabar_optuna")
    Plugins.instance().register(module.KhabarSweeper)
    return module


OVERRIDES: dict[str, str] = {
    "a=int(interval(1,5))": "IntDistribution(high=5, log=False, low=1, step=1)",
    "a=interval(1,5)": "FloatDistribution(high=5.0, log=False, low=1.0, step=None)",
    "a=tag(log,interval(1e-5,1e-3))": "FloatDistribution(high=0.001, log=True, low=1e-05, step=None)",
    "a=range(2,6)": "IntDistribution(high=5, log=False, low=2, step=1)",
    "a=range(1,8,3)": "IntDistribution(high=7, log=False, low=1, step=3)",
    "a=choice(4,0.5,true,'أحداث')": "CategoricalDistribution(choices=(4, 0.5, True, 'أحداث'))",
    "a=b,null,'c d'": "CategoricalDistribution(choices=('b', None, 'c d'))",
}


@pytest.mark.parametrize("override", OVERRIDES)
def test_overrides_are_distributions(override: str, plugin: Any) -> None:
    (parsed,) = plugin.OverridesParser.create().parse_overrides([override])
    assert str(plugin._distribution(parsed)) == OVERRIDES[override]


@pytest.mark.parametrize("override", ["a=choice([1],[2])", "a=range(1,2)", "a=glob(*)"])
def test_what_has_no_distribution_is_refused(override: str, plugin: Any) -> None:
    (parsed,) = plugin.OverridesParser.create().parse_overrides([override])
    with pytest.raises(DataError, match=re.escape(override)):
        plugin._distribution(parsed)


LITERALS: list[Any] = [
    *(3, 0.1, 1e-05, True, None, "linear", "null", "3", "", "خبر", "a b'c", "sqlite:///runs/x.db"),
    *([1, "b"], {"_target_": "a.B", "c": [None, {"d": "e=f"}]}),
]


@pytest.mark.parametrize("value", LITERALS, ids=str)
def test_a_value_is_read_back_as_it_was(value: Any, plugin: Any) -> None:
    (parsed,) = plugin.OverridesParser.create().parse_overrides([f"key={plugin._literal(value)}"])
    assert parsed.value() == value


def test_what_a_search_file_holds_fast_is_part_of_the_study_and_of_the_command(
    plugin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["train.py", "--multirun", "hparams_search=mine", "seed=3"])
    params = {"learning_rate": "interval(1e-5,1e-4)", "model.masked": "0.1"}
    sweeper = plugin.KhabarSweeper(None, None, None, 1, 1, 1, None, None, False, params)
    sweeper.config = sweeper.composed = OmegaConf.create({"learning_rate": 1e-4, "model": {"masked": 0.0}, "seed": 3})
    space, sweeper.fixed = sweeper._space(["hparams_search=mine", "seed=3"])
    assert sweeper._settings()["params"] == ["model.masked=0.1"]
    command = sweeper._command(space)({"learning_rate": 2e-5})
    assert command == "python train.py hparams_search=mine seed=3 model.masked=0.1 learning_rate=2e-05"


# End to end, with a tiny encoder


@pytest.fixture
def training(encoder: Path, corpus: Corpus, tmp_path: Path) -> list[str]:
    """The overrides of a sweep of four short trials."""
    return [
        *("--multirun", "hparams_search=default", "data=jsonl", f"data.corpus.path={corpus.path}", "name=sweep"),
        *(f"model.encoder={encoder}", "task.length=96", "task.argument_length=96", "precision=float32", "tracker=none"),
        *("trainer.num_train_epochs=2", "+trainer.disable_tqdm=true", "hydra.sweeper.n_trials=4"),
        *("learning_rate=tag(log,interval(1e-3,1e-2))", "hydra.sweeper.pruner.n_startup_trials=1"),
    ]


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, plugin: Any) -> Iterator[Callable[[Sequence[str]], None]]:
    """Run ``scripts/train.py`` in this process, in an empty folder."""
    import runpy

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.environ.get("PYTHONPATH", ""))  # which a sweep sets for its workers
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level

    def run(arguments: Sequence[str]) -> None:
        monkeypatch.setattr(sys, "argv", [str(ROOT / "scripts" / "train.py"), *arguments])
        GlobalHydra.instance().clear()
        runpy.run_path(sys.argv[0], run_name="__main__")

    yield run
    root.handlers[:] = handlers
    root.setLevel(level)
    GlobalHydra.instance().clear()


def start(folder: Path, arguments: Sequence[str]) -> subprocess.Popen[str]:
    path = os.pathsep.join([str(ROOT / "src"), *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.Popen(
        [sys.executable, str(ROOT / "scripts" / "train.py"), *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,  # so that it can be killed with all it started, and nothing else
    )


@pytest.mark.usefixtures("drawn")
def test_a_sweep_is_killed_and_goes_on_and_its_best_trial_can_be_run_again(
    training: list[str],
    here: Callable[[Sequence[str]], None],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "runs" / "sweeps" / "sweep"
    process = start(tmp_path, training)
    until = time.monotonic() + 240
    while not (folder / "trials" / "1" / "settings.json").exists():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < until
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert (folder / "trials" / "0" / "run.json").is_file()
    first = (folder / "trials" / "0" / "run.json").read_bytes()

    here(training)
    held = optuna.load_study(study_name="sweep", storage=f"sqlite:///{folder}/study.db")
    assert len(held.trials) == 4
    assert all(trial.state.is_finished() for trial in held.trials)
    assert (folder / "trials" / "0" / "run.json").read_bytes() == first
    best = max((t for t in held.trials if t.state.name == "COMPLETE"), key=lambda t: (t.value, -t.number))
    record = json.loads((folder / "trials" / str(best.number) / "run.json").read_text(encoding="utf-8"))
    assert record["objective"] == {"name": "f1", "value": best.value}
    assert record["config"]["learning_rate"] == best.params["learning_rate"]
    assert {"trials.png", "epochs.png", "by-model.masked.png"} <= {path.name for path in (folder / "plots").iterdir()}
    assert not (folder / "trials" / str(best.number) / "evaluation-test").exists()
    assert {path.parent.name for path in folder.glob("trials/*/model")} == {str(best.number)}

    again = re.search(r"^    (python .*)$", capsys.readouterr().out, re.M)
    assert again is not None
    python, script, *overrides = shlex.split(again[1])
    assert (python, script) == ("python", str(ROOT / "scripts" / "train.py"))
    here([*overrides, "output=again"])
    repeated = json.loads((tmp_path / "again" / "run.json").read_text(encoding="utf-8"))
    assert repeated["objective"] == record["objective"]


@pytest.mark.parametrize(
    ("package", "choice"),
    [
        (
            "hydra_plugins.hydra_joblib_launcher",
            ["hydra/launcher=local", "hydra.sweeper.n_jobs=2", "hydra.sweeper.n_trials=2"],
        ),
        ("hydra_plugins.hydra_submitit_launcher", ["hydra/launcher=submitit_local", "hydra.sweeper.n_trials=1"]),
    ],
)
def test_trials_run_in_processes_of_their_own(
    package: str, choice: list[str], training: list[str], tmp_path: Path
) -> None:
    pytest.importorskip(package, reason="khabar[sweep] is not installed")
    process = start(tmp_path, [*training, *choice, "trainer.num_train_epochs=1"])
    try:
        said, _ = process.communicate(timeout=300)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode == 0, said
    found = sorted(path.parent.name for path in (tmp_path / "runs" / "sweeps" / "sweep").glob("trials/*/run.json"))
    assert found == ["0", "1"][: len(found)]
    assert len(found) == int(choice[-1].rpartition("=")[2])


def test_a_launcher_that_is_not_there_is_named_with_the_extra(
    training: list[str], here: Callable[[Sequence[str]], None]
) -> None:
    missing = "hydra_plugins.gone.Launcher"
    with pytest.raises(SystemExit, match=rf"^error: .*{missing}.*pip install 'khabar\[sweep\]'"):
        here([*training, f"hydra.launcher._target_={missing}"])


REFUSED = {
    "output=mine": "output: trials have folders of their own",
    "objective=f1,entities_f1": "objective: trials are compared by one score",
    "+hydra.sweeper.params.epochs='range(1,9)'": "epochs: there is no such key to search",
}


@pytest.mark.parametrize("override", REFUSED)
def test_a_sweep_says_what_it_cannot_search(
    override: str, training: list[str], here: Callable[[Sequence[str]], None]
) -> None:
    with pytest.raises(SystemExit, match=f"^error: {REFUSED[override]}"):
        here([*training, override])
