"""Training runs in processes of their own, which end where they are aimed at: killed, out of disk, their model broken.

The processes are forked from one that has imported everything, so that each costs what it trains.
"""

from __future__ import annotations

import ctypes
import itertools
import json
import logging
import os
import pkgutil
import resource
import signal
import socket
import sys
from collections.abc import Callable
from functools import partial
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors.torch import load_file
from transformers import TrainingArguments

from khabar.corpus import Corpus
from khabar.document import DataError
from khabar.features import HEADS
from khabar.tagger import Tagger
from khabar.train import train
from khabar.trainer import DocumentTrainer

STEP = "khabar.trainer:DocumentTrainer.training_step"
_CONTEXT = get_context("forkserver")
_CONTEXT.set_forkserver_preload(["khabar.train"])  # not this module: the tests' folder is not on the path there
_CLONE_NEWNS, _CLONE_NEWUSER, _MS_REMOUNT = 0x00020000, 0x10000000, 32


class Aim(NamedTuple):
    """At which call of a function, by number or by a word of its arguments, what happens: ``before`` or ``after`` it
    a kill, ``torn`` a kill with half of the file written, ``full:NAME`` no file may grow beyond the last checkpoint's
    file of that name, ``poison`` a weight becomes infinite."""

    function: str
    call: int | str
    what: str


def start(encoder: Path, corpus: Path, output: Path, aim: Aim | None = None, **changes: Any) -> BaseProcess:
    """Begin or resume a run; what it says is in a text file beside its output."""
    return begin(work, encoder, corpus, output, aim, changes)


def begin(target: Callable[..., Any], *arguments: Any) -> BaseProcess:
    """Work in a process of its own."""
    process = _CONTEXT.Process(target=_heeding, args=(target, *arguments))
    process.start()
    return process


def _heeding(target: Callable[..., Any], *arguments: Any) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which a shell's background process ignores
    target(*arguments)


def together(target: Callable[..., None], number: int, *arguments: Any) -> list[int | None]:
    """Work in several processes that know of each other, as `torchrun` starts them; their exit codes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    team = [begin(_member, target, rank, number, port, arguments) for rank in range(number)]
    return [end(member) for member in team]


def _member(target: Callable[..., None], rank: int, number: int, port: int, arguments: tuple[Any, ...]) -> None:
    names = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": number, "LOCAL_WORLD_SIZE": number, "MASTER_PORT": port}
    os.environ.update({name: str(value) for name, value in names.items()}, MASTER_ADDR="127.0.0.1", OMP_NUM_THREADS="1")
    torch.set_num_threads(1)
    target(*arguments)


def end(process: BaseProcess) -> int | None:
    """Wait, and return the exit code: negative where a signal ended it."""
    process.join(120)
    return process.exitcode


def said(output: Path) -> str:
    """What the runs in a folder said."""
    return output.with_suffix(".txt").read_text(encoding="utf-8")


def result(output: Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """The record of a finished run without its times, and its weights."""
    record = json.loads((output / "run.json").read_text(encoding="utf-8"))
    for name in ("seconds", "words_per_second", "git"):
        del record[name]
    return record, load_file(output / "model" / "model.safetensors")


def learn(encoder: Path, corpus: Path, output: Path, **changes: Any) -> None:
    """Six articles, two epochs of six steps; dropout and masking are on."""
    fields: dict[str, Any] = {"num_train_epochs": 2, "per_device_train_batch_size": 2, "logging_steps": 5}
    fields |= {"warmup_steps": 0.1} | changes.pop("fields", {})
    parameters: dict[str, Any] = {"limit": 6, "learning_rate": 1e-3, "precision": "float32", "save_steps": 3}
    drawn = {"masked": changes.pop("masked", 0.2), "dropout": changes.pop("dropout", None)}
    train(
        partial(Tagger.create, str(encoder), **drawn),
        {"heads": list(HEADS), "length": 96, "argument_length": 96},
        Corpus(corpus),
        partial(TrainingArguments, **fields, report_to=[], disable_tqdm=True),
        output,
        **parameters | {"record": {}} | changes,
    )


def work(encoder: Path, corpus: Path, output: Path, aim: Aim | None, changes: dict[str, Any]) -> None:
    """A run, as a script would run it."""
    file = os.open(output.with_suffix(".txt"), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(file, 1)
    os.dup2(file, 2)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    torch.set_num_threads(1)
    if aim:
        _prepare(aim, output)
    try:
        learn(encoder, corpus, output, **changes)
    except DataError as error:
        raise SystemExit(f"error: {error}") from None


def _prepare(aim: Aim, output: Path) -> None:
    owner, _, name = aim.function.replace(":", ".").rpartition(".")
    function: Callable[..., Any] = pkgutil.resolve_name(aim.function)
    calls = itertools.count(1)

    def aimed(*arguments: Any, **names: Any) -> Any:
        number = next(calls)
        hit = number == aim.call if isinstance(aim.call, int) else any(aim.call in str(value) for value in arguments)
        if hit and aim.what == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        found = function(*arguments, **names)
        if hit:
            _happen(aim.what, arguments, output)
        return found

    setattr(pkgutil.resolve_name(owner), name, aimed)


def _happen(what: str, arguments: tuple[Any, ...], output: Path) -> None:
    if what.startswith("full:"):
        last = max((output / "checkpoints").glob("checkpoint-*"), key=lambda path: int(path.name[11:]))
        limit = (last / what.removeprefix("full:")).stat().st_size - 1
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    elif what == "poison":
        trainer = next(argument for argument in arguments if isinstance(argument, DocumentTrainer))
        next(trainer.tagger.model.heads["entities"].parameters()).data[0, 0] = float("inf")
    else:
        if what == "torn":
            path = next(argument for argument in arguments if isinstance(argument, (str, Path)))
            os.truncate(path, Path(path).stat().st_size // 2)
        os.kill(os.getpid(), signal.SIGKILL)


def on_a_small_disk(encoder: Path, corpus: Path, output: Path, size: int) -> BaseProcess:
    """A run whose output is a file system of ``size`` bytes. When it is full it is made larger, and the same run
    goes on; the finished run is then in ``output`` with ``-whole`` to its name. Exit code 77: no such file system."""
    return begin(_small, encoder, corpus, output, size)


def _small(encoder: Path, corpus: Path, output: Path, size: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)

    def mount(flags: int, size: int) -> bool:
        return bool(libc.mount(b"none", str(output).encode(), b"tmpfs", flags, f"size={size}".encode()) == 0)

    output.mkdir()
    user, group = os.getuid(), os.getgid()
    if libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNS):
        sys.exit(77)
    for name, value in (("uid_map", f"0 {user} 1"), ("setgroups", "deny"), ("gid_map", f"0 {group} 1")):
        Path("/proc/self", name).write_text(value)
    if not mount(0, size):
        sys.exit(77)
    try:
        work(encoder, corpus, output, None, {})
    except SystemExit as error:
        print(error, file=sys.stderr)
    mount(_MS_REMOUNT, 100 * size)
    work(encoder, corpus, output, None, {})
    whole = output.with_name(f"{output.name}-whole")
    (whole / "model").mkdir(parents=True)
    for name in ("run.json", "model/model.safetensors"):
        (whole / name).write_bytes((output / name).read_bytes())
