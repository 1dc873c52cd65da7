"""«انقطع التيار ثم عاد العمل من حيث توقّف»: a run that was killed anywhere ends as one that was not, bit by bit."""

from __future__ import annotations

import errno
import json
import os
import random
import re
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import interrupted
from interrupted import STEP, Aim
from khabar import checkpoints
from khabar.corpus import Corpus
from khabar.document import DataError

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="signals, limits and mounts of Linux"),
]

Start = Callable[..., int | None]
Result = tuple[dict[str, Any], dict[str, torch.Tensor]]


@pytest.fixture
def start(encoder: Path, corpus: Corpus, tmp_path: Path) -> Start:
    """Run in ``tmp_path/run`` until the end, or until what it is aimed at ends it; the exit code."""

    def run(aim: Aim | None = None, **changes: Any) -> int | None:
        data = changes.pop("corpus", Path(corpus.path))
        return interrupted.end(interrupted.start(encoder, data, tmp_path / "run", aim, **changes))

    return run


@pytest.fixture(scope="module")
def whole(encoder: Path, corpus: Corpus, tmp_path_factory: pytest.TempPathFactory) -> tuple[Result, float]:
    """What the run ends with where nothing interrupts it, and the seconds it takes."""
    output = tmp_path_factory.mktemp("whole") / "run"
    interrupted.end(interrupted.begin(time.monotonic))  # the process that is forked has imported all
    began = time.monotonic()
    assert interrupted.end(interrupted.start(encoder, Path(corpus.path), output)) == 0, interrupted.said(output)
    return interrupted.result(output), time.monotonic() - began


def the_same(found: Result, expected: Result) -> bool:
    assert found[0] == expected[0]
    assert found[1].keys() == expected[1].keys()
    return all(torch.equal(found[1][name], tensor) for name, tensor in expected[1].items())


# Killed

# Steps 3, 6 … have checkpoints, and so has the end of each epoch, after dev was scored.
POINTS: dict[str, Aim] = {
    "before there is a checkpoint": Aim(STEP, 2, "after"),
    "between a step's gradients and its update": Aim(STEP, 5, "after"),
    "in the weights of a checkpoint": Aim("safetensors.torch:save_file", 3, "torn"),
    "in the optimiser of a checkpoint": Aim("torch:save", 6, "torn"),
    "in the random state of a checkpoint": Aim("torch:save", 12, "torn"),
    "before a seal": Aim("khabar.checkpoints:seal", 3, "before"),
    "in a seal": Aim("os:replace", 4, "before"),  # the first is of settings.json
    "before older checkpoints are removed": Aim("khabar.checkpoints:prune", 3, "before"),
    "before dev is scored": Aim("khabar.trainer:DocumentTrainer.evaluate", 1, "before"),
    "between the score and its checkpoint": Aim("khabar.trainer:DocumentTrainer.evaluate", 2, "after"),
    "when all is learned": Aim("khabar.tagger:Tagger.calibrate", 1, "before"),
    "with the model written": Aim("khabar.train:card", 1, "before"),
    "with all written": Aim("os:replace", "run.json", "after"),
}


@pytest.mark.parametrize("point", POINTS)
def test_a_run_that_is_killed_ends_as_if_it_were_not(
    point: str, start: Start, whole: tuple[Result, float], tmp_path: Path
) -> None:
    assert start(POINTS[point]) == -signal.SIGKILL
    assert (tmp_path / "run" / "run.json").exists() == (point == "with all written")
    assert start() == 0, interrupted.said(tmp_path / "run")
    assert the_same(interrupted.result(tmp_path / "run"), whole[0])
    assert not (tmp_path / "run" / "checkpoints").exists()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_run_may_be_ended_at_any_time_and_more_than_once(
    how: signal.Signals, encoder: Path, corpus: Corpus, whole: tuple[Result, float], tmp_path: Path
) -> None:
    moments, duration, ended = random.Random(how), whole[1], 0
    output = tmp_path / "run"
    for _ in range(20):
        if ended == 2:
            break
        process = interrupted.start(encoder, Path(corpus.path), output)
        process.join(moments.uniform(0.2, 0.9) * duration)
        if process.pid and process.is_alive():
            os.kill(process.pid, how)
        if interrupted.end(process) != 0:
            ended += 1
        else:  # it was done before, faster than the first run
            duration /= 2
            shutil.rmtree(output)
    assert ended == 2
    assert interrupted.end(interrupted.start(encoder, Path(corpus.path), output)) == 0
    assert the_same(interrupted.result(output), whole[0])


def test_epochs_scored_within_and_steps_of_several_batches_go_on_too(start: Start, tmp_path: Path) -> None:
    choices = {"eval_steps": 2, "save_steps": 1, "patience": 2, "fields": {"gradient_accumulation_steps": 2}}
    assert start(**choices) == 0, interrupted.said(tmp_path / "run")
    expected = interrupted.result(tmp_path / "run")
    shutil.rmtree(tmp_path / "run")
    for call in (4, 5, 4):  # micro-batches
        assert start(Aim(STEP, call, "after"), **choices) == -signal.SIGKILL
    assert start(**choices) == 0
    assert the_same(interrupted.result(tmp_path / "run"), expected)


def test_a_run_that_ended_early_is_not_trained_further(start: Start, tmp_path: Path) -> None:
    choices = {"learning_rate": 1e-12, "head_learning_rate": 1e-12, "patience": 1, "fields": {"num_train_epochs": 5}}
    assert start(**choices) == 0
    expected = interrupted.result(tmp_path / "run")
    assert expected[0]["epochs"] == 2  # the second is no better than the first
    shutil.rmtree(tmp_path / "run")
    assert start(POINTS["when all is learned"], **choices) == -signal.SIGKILL
    assert start(**choices) == 0
    assert the_same(interrupted.result(tmp_path / "run"), expected)


# Checkpoints that cannot be trusted


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-10])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


DAMAGES: dict[str, tuple[Callable[[Path], None], str]] = {
    "model.safetensors": (cut, "model.safetensors has .* bytes, not"),
    "optimizer.pt": (flip, "optimizer.pt is damaged"),
    "rng_state.pth": (Path.unlink, "rng_state.pth is missing"),
    checkpoints.SEAL: (cut, "seal.json cannot be read"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_run_goes_on_from_the_last_checkpoint_that_is_whole(
    name: str, start: Start, whole: tuple[Result, float], tmp_path: Path
) -> None:
    damage, reason = DAMAGES[name]
    folder = tmp_path / "run" / "checkpoints"
    assert start(POINTS["between the score and its checkpoint"]) == -signal.SIGKILL
    last = max(checkpoints._steps(folder))
    damage(checkpoints.place(folder, last) / name)
    assert start() == 0, interrupted.said(tmp_path / "run")
    assert (said := interrupted.said(tmp_path / "run"))
    assert f"skipping and removing {folder}/checkpoint-{last}: " in said
    assert re.search(reason, said)
    assert the_same(interrupted.result(tmp_path / "run"), whole[0])


def make(folder: Path, step: int, best: int | None = None) -> Path:
    """A checkpoint as the trainer leaves it, as far as its seal cares."""
    checkpoint = checkpoints.place(folder, step)
    (checkpoint / "sub").mkdir(parents=True)
    (checkpoint / "sub" / "model.safetensors").write_bytes(bytes([step]) * 50)
    (checkpoint / "trainer_state.json").write_text(json.dumps({"best_global_step": best, "epoch": step / 10}))
    checkpoints.seal(checkpoint)
    return checkpoint


def test_a_checkpoint_whose_best_one_is_lost_is_not_gone_on_from(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make(tmp_path, 1, best=1)
    best = make(tmp_path, 2, best=2)
    make(tmp_path, 10, best=2)
    assert checkpoints.latest(tmp_path) == tmp_path / "checkpoint-10"
    cut(best / "sub" / "model.safetensors")
    assert checkpoints.latest(tmp_path) == tmp_path / "checkpoint-1"
    assert "checkpoint-10: the best one, of step 2, is not whole: sub/model.safetensors has 40 bytes" in caplog.text
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-1"]


def test_the_best_checkpoint_is_kept_beside_the_last(tmp_path: Path) -> None:
    for step in (2, 4, 6, 8, 10):
        make(tmp_path, step)
    checkpoints.prune(tmp_path, 2, best=4)
    assert sorted(checkpoints._steps(tmp_path)) == [4, 8, 10]
    checkpoints.prune(tmp_path, 1, best=None)
    assert checkpoints._steps(tmp_path) == [10]


def test_a_run_goes_on_with_as_many_processes_as_it_was_begun_with(tmp_path: Path) -> None:
    checkpoints.seal(make(tmp_path, 3), processes=2)
    assert checkpoints.latest(tmp_path, processes=2) == tmp_path / "checkpoint-3"
    with pytest.raises(DataError, match="was written by 2 processes, this run has 1"):
        checkpoints.latest(tmp_path)


# What goes wrong is said, and leaves the last good checkpoint


def refused(start: Start, tmp_path: Path, aim: Aim | None, message: str, **changes: Any) -> None:
    assert start(aim, **changes) == 1
    last = interrupted.said(tmp_path / "run").strip().splitlines()[-1]
    assert last.startswith("error: ")
    assert message in last


@pytest.mark.parametrize("name", ["model.safetensors", "optimizer.pt"])
def test_a_full_disk_ends_a_run_with_its_last_checkpoint(
    name: str, start: Start, whole: tuple[Result, float], tmp_path: Path
) -> None:
    """No file may be larger than this one was: the system's answer to a write is an error."""
    aim = Aim("khabar.checkpoints:prune", 2, f"full:{name}")
    refused(start, tmp_path, aim, "the disk is full or cannot be written: ")
    folder = tmp_path / "run" / "checkpoints"
    assert checkpoints.flaw(checkpoints.place(folder, 6)) is None
    assert start() == 0
    assert the_same(interrupted.result(tmp_path / "run"), whole[0])


def test_a_run_on_a_small_disk_goes_on_when_there_is_room(
    encoder: Path, corpus: Corpus, whole: tuple[Result, float], tmp_path: Path
) -> None:
    size = 5 * sum(tensor.nbytes for tensor in whole[0][1].values())  # a checkpoint takes more than three
    code = interrupted.end(interrupted.on_a_small_disk(encoder, Path(corpus.path), tmp_path / "run", size))
    if code == 77:
        pytest.skip("this user may mount no file system")
    assert code == 0, interrupted.said(tmp_path / "run")
    assert "error: the disk is full or cannot be written" in interrupted.said(tmp_path / "run")
    assert the_same(interrupted.result(tmp_path / "run-whole"), whole[0])


@pytest.mark.parametrize(("step", "message"), [(4, "the loss is nan"), (6, "entities.weight is no longer finite")])
def test_what_is_no_number_is_never_saved(step: int, message: str, start: Start, tmp_path: Path) -> None:
    """After step 6 there is a checkpoint, after step 4 a step whose loss shows it."""
    refused(start, tmp_path, Aim(STEP, step, "poison"), message)
    folder = tmp_path / "run" / "checkpoints"
    assert checkpoints.latest(folder) == checkpoints.place(folder, 3)
    assert checkpoints._steps(folder) == [3]


def test_data_that_was_cut_or_changed_meanwhile_is_refused(start: Start, corpus: Corpus, tmp_path: Path) -> None:
    data = tmp_path / "data"
    shutil.copytree(corpus.path, data)
    assert start(POINTS["between a step's gradients and its update"], corpus=data) == -signal.SIGKILL
    kept = (data / "train.jsonl").read_bytes()
    cut(data / "train.jsonl")
    refused(start, tmp_path, None, "train.jsonl: changed since it was prepared", corpus=data)
    (data / "train.jsonl").unlink()
    refused(start, tmp_path, None, "the file is missing", corpus=data)
    (data / "train.jsonl").write_bytes(kept)
    manifest = json.loads((data / "manifest.json").read_text(encoding="utf-8"))
    (data / "manifest.json").write_text(json.dumps(manifest | {"hash": "another"}))
    refused(start, tmp_path, None, "holds a run with other data, types or seed", corpus=data)
    cut(data / "manifest.json")
    refused(start, tmp_path, None, "manifest.json: not JSON", corpus=data)
    folder = tmp_path / "run" / "checkpoints"
    assert checkpoints.latest(folder) == checkpoints.place(folder, 3)


def test_a_checkpoint_that_cannot_be_read_now_is_not_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    checkpoint = make(tmp_path, 1)
    checkpoints.seal(checkpoint)

    def stale(_: Path) -> str:
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

    monkeypatch.setattr(checkpoints, "_digest", stale)
    with pytest.raises(DataError, match="cannot be read: Stale file handle: give the same command again"):
        checkpoints.latest(tmp_path)
    assert checkpoint.is_dir()
