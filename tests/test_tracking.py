"""«سُجّلت النتائج كلها في الدفتر»: who follows a run hears of its settings, its scores by epoch and its model card."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from functools import partial
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from typing import Any

import pytest
from transformers import TrainingArguments

from khabar import tracking
from khabar.checkpoints import SEAL
from khabar.corpus import Corpus
from khabar.document import DataError
from khabar.features import HEADS
from khabar.tagger import Tagger
from khabar.tracking import TRACKERS, flat, track
from khabar.train import train
from khabar.trainer import DocumentTrainer

Run = Callable[..., Path]
CONFIG: dict[str, Any] = {"model": {"encoder": "صغير", "masked": 0.1}, "also": [], "limit": None, "trainer": {}}


@pytest.fixture
def run(encoder: Path, corpus: Corpus, tmp_path: Path) -> Run:
    """Train a tiny encoder for two epochs; any parameter may be given. Returns the run's folder."""

    def start(**changes: Any) -> Path:
        output = tmp_path / "runs" / "أخبار" / "seed-1"
        fields: dict[str, Any] = {
            "num_train_epochs": 2,
            "per_device_train_batch_size": 8,
            "logging_steps": 1,
            "disable_tqdm": True,
        }
        parameters: dict[str, Any] = {
            "model": partial(Tagger.create, str(encoder)),
            "task": {"heads": list(HEADS), "length": 96, "argument_length": 96},
            "corpus": corpus,
            "trainer": partial(TrainingArguments, **fields),
            "output": output,
            "precision": "float32",
            "record": CONFIG,
        }
        train(**(parameters | changes))
        return output

    return start


def record(output: Path) -> Any:
    return json.loads((output / "run.json").read_text(encoding="utf-8"))


def by_epoch(output: Path) -> list[float]:
    return [row["eval_f1"] for row in record(output)["history"] if "eval_f1" in row]


def interrupted(monkeypatch: pytest.MonkeyPatch, error: type[BaseException], epoch: int = 2) -> None:
    """Training ends with ``error`` before the dev scores of an epoch."""
    evaluate = DocumentTrainer.evaluate

    def fail(self: DocumentTrainer, *arguments: Any, **names: Any) -> Any:
        if self.state.epoch == epoch:
            raise error
        return evaluate(self, *arguments, **names)

    monkeypatch.setattr(DocumentTrainer, "evaluate", fail)


# Any tracker


def test_a_configuration_is_told_by_its_leaves() -> None:
    assert flat(CONFIG) == {
        "model.encoder": "صغير",
        "model.masked": 0.1,
        "also": "[]",
        "limit": None,
        "trainer": "{}",
    }
    assert flat({"text": "خ" * 1000}) == {"text": "خ" * 500}


def test_a_tracker_that_is_not_known_or_not_installed_is_refused(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DataError, match="expected one of none, tensorboard, mlflow, wandb, trackio, got 'دفتر'"):
        run(tracker="دفتر")

    def version(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(tracking, "version", version)
    for name in ("mlflow", "wandb", "trackio"):
        with pytest.raises(DataError, match=rf"tracker={name} needs {name}: pip install 'khabar\[{name}\]'"):
            track(name, tmp_path, {}, {})


def test_what_runs_without_a_tracker_leaves_no_logs(run: Run) -> None:
    output = run(tracker="none")
    assert {path.name for path in output.iterdir()} == {
        *("model", "plots", "run.json", "settings.json", "summary.html")
    }


def test_tensorboard_is_the_default_and_has_the_parameters_and_the_card(run: Run) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    output = run()
    log = EventAccumulator(str(output / "tensorboard"))
    log.Reload()
    assert [event.value for event in log.Scalars("eval/f1")] == pytest.approx(by_epoch(output))
    (card,) = log.Tensors("model card/text_summary")
    assert card.tensor_proto.string_val[0].decode() == (output / "model" / "README.md").read_text(encoding="utf-8")
    (parameters,) = log.Tensors("parameters/text_summary")
    assert "config.model.encoder: صغير" in parameters.tensor_proto.string_val[0].decode()


def test_a_tracker_that_fails_at_the_end_is_a_warning(
    run: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def give(self: Any, scores: Any, files: Any) -> None:
        raise OSError("the disk of the server is full")

    monkeypatch.setattr(TRACKERS["tensorboard"], "give", give)
    output = run()
    assert "did not take the last scores and files" in caplog.text
    assert record(output)["objective"]["value"] is not None


# MLflow, with a server of its own


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an MLflow server that keeps its runs in SQLite."""
    pytest.importorskip("mlflow", reason="khabar[mlflow] is not installed")
    folder = tmp_path_factory.mktemp("mlflow")
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port = one.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", f"sqlite:///{folder}/runs.db"]
    command += ["--artifacts-destination", str(folder / "files"), "--host", "127.0.0.1", "--port", str(port)]
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [*command, "--workers", "1"],
            cwd=folder,
            env={**os.environ, **quiet},
            stdout=log,
            stderr=log,
            start_new_session=True,  # so that its workers end with it
        )
    try:
        address = f"http://127.0.0.1:{port}"
        until = time.monotonic() + 180
        while True:
            try:
                with urllib.request.urlopen(f"{address}/health", timeout=5):
                    break
            except (urllib.error.URLError, OSError):
                assert process.poll() is None, (folder / "log").read_text()
                assert time.monotonic() < until, (folder / "log").read_text()
                time.sleep(0.2)
        yield address
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.fixture
def mlflow(server: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Callable[[], list[Any]]:
    """Sends runs to the server, under the test's name; returns what it holds of them."""
    from mlflow import MlflowClient

    name = request.node.name
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", name)
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")

    def runs() -> list[Any]:
        client = MlflowClient(server)
        experiment = client.get_experiment_by_name(name)
        assert experiment is not None
        return list(client.search_runs([experiment.experiment_id]))

    return runs


def test_mlflow_has_the_parameters_the_scores_by_epoch_and_the_card(
    run: Run, mlflow: Callable[[], list[Any]], server: str, corpus: Corpus, tmp_path: Path
) -> None:
    from mlflow import MlflowClient, active_run

    output = run(tracker="mlflow")
    assert active_run() is None
    (found,) = mlflow()
    assert (found.info.run_name, found.info.status) == ("أخبار/seed-1", "FINISHED")
    assert found.data.params["config.model.encoder"] == "صغير"
    assert found.data.params["num_train_epochs"] == "2"
    assert found.data.params[f"data.{corpus.path}"] == corpus.hash
    assert found.data.metrics["dev_f1"] == pytest.approx(record(output)["objective"]["value"])

    client = MlflowClient(server)
    history = client.get_metric_history(found.info.run_id, "eval_f1")
    assert [point.value for point in history] == pytest.approx(by_epoch(output))
    losses = client.get_metric_history(found.info.run_id, "loss")
    assert [p.value for p in losses] == pytest.approx([r["loss"] for r in record(output)["history"] if "loss" in r])
    names = {
        file.path for folder in ("", "model", "plots") for file in client.list_artifacts(found.info.run_id, folder)
    }
    assert {"model/README.md", "summary.html", "plots/loss.png", "plots/dev.png"} <= names
    card = client.download_artifacts(found.info.run_id, "model/README.md", str(tmp_path))
    assert Path(card).read_bytes() == (output / "model" / "README.md").read_bytes()


def test_a_run_that_is_resumed_goes_on_in_mlflow(
    run: Run, mlflow: Callable[[], list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        interrupted(patch, KeyboardInterrupt)
        with pytest.raises(KeyboardInterrupt):
            run(tracker="mlflow")
    (found,) = mlflow()
    assert found.info.status == "FAILED"
    run(tracker="mlflow")
    (again,) = mlflow()
    assert (again.info.run_id, again.info.status) == (found.info.run_id, "FINISHED")


# Weights & Biases, which stays offline


def test_wandb_writes_to_the_folder_of_the_run_and_no_further(
    run: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    wandb = pytest.importorskip("wandb", reason="khabar[wandb] is not installed")
    for name in ("WANDB_MODE", "WANDB_API_KEY", "WANDB_ERROR_REPORTING"):
        monkeypatch.setenv(name, "")  # remembered, so that what the run sets is undone
        monkeypatch.delenv(name)
    monkeypatch.setenv("WANDB_SILENT", "true")
    caplog.set_level("INFO")
    output = run(tracker="wandb")
    assert wandb.run is None
    assert os.environ["WANDB_MODE"] == "offline"
    (folder,) = (output / "wandb").glob("offline-run-*")
    assert list(folder.glob("*.wandb"))
    assert f"wandb sync {folder}" in caplog.text
    kept = folder / "files" / "model" / "README.md"
    assert kept.read_bytes() == (output / "model" / "README.md").read_bytes()


# Trackio, which stays on this machine


def test_trackio_has_the_parameters_the_scores_by_epoch_and_the_card(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    monkeypatch.setenv("TRACKIO_PROJECT", "tests")
    pytest.importorskip("trackio", reason="khabar[trackio] is not installed")
    from trackio.sqlite_storage import SQLiteStorage

    output = run(tracker="trackio")
    (name,) = SQLiteStorage.get_runs("tests")
    assert name.startswith("أخبار/seed-1-")
    logs = SQLiteStorage.get_logs("tests", name)
    assert [row["eval/f1"] for row in logs if "eval/f1" in row] == pytest.approx(by_epoch(output))
    assert [row["dev_f1"] for row in logs if "dev_f1" in row] == pytest.approx([record(output)["objective"]["value"]])
    (card,) = [row["model card"] for row in logs if "model card" in row]
    assert "# أخبار: entities" in json.dumps(card, ensure_ascii=False)
    config = SQLiteStorage.get_run_config("tests", name)
    assert config is not None
    assert config["config.model.encoder"] == "صغير"
    assert config["num_train_epochs"] == 2


def test_a_run_without_a_checkpoint_is_followed_as_a_new_one(tmp_path: Path) -> None:
    tracker = track("none", tmp_path, {}, {})
    tracker.keep("earlier")
    assert tracker.kept is None
    (tmp_path / "checkpoints" / "checkpoint-1").mkdir()
    (tmp_path / "checkpoints" / "checkpoint-1" / SEAL).touch()
    assert tracker.kept == "earlier"
