"""«يد الله مع الجماعة»: several processes learn what one would, and label every article once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import distributed

import interrupted
import khabar
from interrupted import STEP, Aim
from khabar import processes
from khabar.corpus import Corpus
from khabar.document import DataError
from khabar.formats import jsonl
from khabar.tagger import Tagger

pytestmark = [pytest.mark.slow, pytest.mark.skipif(sys.platform != "linux", reason="processes as Linux starts them")]
ROOT = Path(__file__).parents[1]
# Neither dropout nor masking: each process draws its own.
PLAIN = {"dropout": 0.0, "masked": 0.0, "limit": None, "save_steps": 2, "head_learning_rate": 1e-3}


# What one decides, and what all share


def _decide_and_share(output: Path) -> None:
    distributed.init_process_group("gloo")
    rank = processes.rank()
    assert processes.first(lambda: f"rank {rank}") == "rank 0"
    with pytest.raises(DataError, match="of rank 0"):
        processes.first(lambda: _refuse(rank))
    for number in range(7):
        found = processes.shared(lambda share: [(item, rank) for item in share], range(number))
        assert found == [(item, item % 3) for item in range(number)]
    (output / f"{rank}-of-{processes.world()}").touch()


def _refuse(rank: int) -> None:
    raise DataError(f"of rank {rank}")


def test_one_decides_for_all_and_each_does_a_share(tmp_path: Path) -> None:
    assert interrupted.together(_decide_and_share, 3, tmp_path) == [0, 0, 0]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0-of-3", "1-of-3", "2-of-3"]


def test_one_process_needs_no_others() -> None:
    assert (processes.rank(), processes.world()) == (0, 1)
    assert processes.first(lambda: 5) == 5
    assert processes.shared(lambda items: [2 * item for item in items], [1, 2]) == [2, 4]


def _label(model: Path, corpus: Path, output: Path) -> None:
    distributed.init_process_group("gloo")
    tagger = Tagger.load(model, "cpu")
    found = processes.shared(lambda share: list(tagger.tag(share)), Corpus(corpus).split("dev"))
    jsonl.write(output / f"{processes.rank()}.jsonl", found)


def test_dev_is_labelled_once_whoever_labels(trained: Path, corpus: Corpus, tmp_path: Path) -> None:
    dev = corpus.split("dev")
    expected = list(Tagger.load(trained, "cpu").tag(dev))
    assert interrupted.together(_label, 2, trained, Path(corpus.path), tmp_path) == [0, 0]
    for rank in (0, 1):
        found = list(jsonl.read(tmp_path / f"{rank}.jsonl"))
        assert [document.id for document in found] == [document.id for document in dev]
        assert found == expected


# Training


def test_two_processes_learn_as_one_with_the_same_global_batch(encoder: Path, corpus: Corpus, tmp_path: Path) -> None:
    """24 inputs in batches of 10: the last is filled up. Labelled words are not shared evenly."""
    records, weights = [], []
    for number, output in ((1, tmp_path / "one"), (2, tmp_path / "two")):
        changes = PLAIN | {"fields": {"per_device_train_batch_size": 10 // number, "logging_steps": 1}}
        common = encoder, Path(corpus.path), output, None, changes
        if number == 1:
            codes = [interrupted.end(interrupted.begin(interrupted.work, *common))]
        else:
            codes = interrupted.together(interrupted.work, number, *common)
        assert codes == [0] * number, interrupted.said(output)
        record, tensors = interrupted.result(output)
        records.append(record)
        weights.append(tensors)
    one, two = records
    assert (one["processes"], two["processes"]) == (1, 2)
    assert len(one["history"]) == 2 * 3 + 2  # steps and scores
    for expected, found in zip(one["history"], two["history"], strict=True):
        assert found == pytest.approx(expected, rel=1e-4)
    assert two["dev"] == one["dev"]
    for name, tensor in weights[0].items():
        if name.endswith("key.bias"):  # attention does not depend on it, so that its gradient is rounding alone
            continue
        torch.testing.assert_close(weights[1][name], tensor, rtol=1e-3, atol=1e-5, msg=name)


def test_two_processes_that_are_killed_end_as_if_they_were_not(encoder: Path, corpus: Corpus, tmp_path: Path) -> None:
    """Dropout and masking are on."""
    changes: dict[str, Any] = {"save_steps": 2, "fields": {"per_device_train_batch_size": 1}}
    common = encoder, Path(corpus.path)
    assert interrupted.together(interrupted.work, 2, *common, tmp_path / "whole", None, changes) == [0, 0]
    killed = interrupted.together(interrupted.work, 2, *common, tmp_path / "run", Aim(STEP, 9, "after"), changes)
    assert killed[0] == -signal.SIGKILL
    assert killed[1] != 0  # killed too, or left alone
    assert interrupted.end(interrupted.start(*common, tmp_path / "run", **changes)) == 1
    assert "was written by 2 processes, this run has 1" in interrupted.said(tmp_path / "run")
    assert interrupted.together(interrupted.work, 2, *common, tmp_path / "run", None, changes) == [0, 0]
    (expected, whole), (found, weights) = interrupted.result(tmp_path / "whole"), interrupted.result(tmp_path / "run")
    assert found == expected
    assert all(torch.equal(weights[name], tensor) for name, tensor in whole.items())


LAUNCHERS = {
    "torchrun": "torch.distributed.run --standalone --nproc_per_node=2",
    # What its --cpu starts is one process, or many by MPI.
    "accelerate": "accelerate.commands.launch --multi_gpu --num_processes=2 --num_machines=1 --mixed_precision=no "
    "--dynamo_backend=no --num_cpu_threads_per_process=1 --main_process_port=0",
}


@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_the_script_is_launched_as_any_other(launcher: str, encoder: Path, corpus: Corpus, tmp_path: Path) -> None:
    command = [sys.executable, "-m", *LAUNCHERS[launcher].split(), str(ROOT / "scripts" / "train.py")]
    shape = ["task.length=96", "task.argument_length=96", f"model.encoder={encoder}", "precision=float32", "limit=5"]
    command += ["data=jsonl", f"data.corpus.path={corpus.path}", *shape, "trainer.num_train_epochs=1", "output=run"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(khabar.__file__).parents[1])}
    ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr[-3000:]
    run = tmp_path / "run"
    record: dict[str, Any] = json.loads((run / "run.json").read_text(encoding="utf-8"))
    assert record["processes"] == 2
    assert Tagger.load(run / "model", "cpu").reader.heads
    log = (run / "train.log").read_text(encoding="utf-8")
    assert log.count("documents, ") == log.count("model in run/model") == 1
    assert len({path.name.split(".")[-2] for path in (run / "tensorboard").iterdir()}) == 1  # one process wrote
    assert {path.name for path in run.iterdir()} >= {"hydra", "model", "run.json", "settings.json", "train.log"}
    assert not (run / "checkpoints").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]
