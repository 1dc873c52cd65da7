"""Checkpoints of a training run: sealed when they are whole, looked through before a run goes on from one.

The `Trainer` writes a checkpoint file by file. Whatever ends it there (a kill, a full disk, a power cut) leaves a
folder without a seal, which nobody goes on from. A seal names every file with its size and SHA-256 and is written last.
"""

from __future__ import annotations

import errno
import functools
import hashlib
import json
import logging
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from safetensors import SafetensorError

from khabar.document import DataError
from khabar.formats import lines

__all__ = ["SEAL", "disk_errors_named", "flaw", "is_over", "latest", "place", "prune", "seal", "state"]

log = logging.getLogger(__name__)

SEAL = "seal.json"
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO}
# What torch and safetensors say where the system's error number is lost.
_FULL_WORDS = re.compile(r"iostream error|StreamWriter failed|unexpected pos|No space|File too large|os error \d+")

P = ParamSpec("P")
T = TypeVar("T")


def place(folder: Path, step: int) -> Path:
    """Where the checkpoint of a step is."""
    return folder / f"checkpoint-{step}"


def seal(checkpoint: Path, processes: int = 1) -> None:
    """Say that a checkpoint is whole: its files are on the disk, and their names, sizes and hashes in `SEAL`."""
    (checkpoint / SEAL).unlink(missing_ok=True)
    files = {}
    for path in sorted(path for path in checkpoint.rglob("*") if path.is_file()):
        lines.sync(path)
        files[path.relative_to(checkpoint).as_posix()] = {"bytes": path.stat().st_size, "sha256": _digest(path)}
    for folder in (*(path for path in checkpoint.rglob("*") if path.is_dir()), checkpoint.parent):
        lines.sync(folder)
    record = {"processes": processes, "files": files}
    lines.write(checkpoint / SEAL, [json.dumps(record, ensure_ascii=False, indent=2)])


def flaw(checkpoint: Path) -> str | None:
    """Why a checkpoint is not whole; ``None`` where it is.

    Raises `DataError` where that cannot be told now, as when a disk of the network does not answer.
    """
    try:
        record = json.loads((checkpoint / SEAL).read_text(encoding="utf-8"))
        files = [(str(name), int(file["bytes"]), str(file["sha256"])) for name, file in record["files"].items()]
    except FileNotFoundError:
        return "it was not written to its end"
    except OSError as error:
        raise _unreadable(checkpoint / SEAL, error) from error
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        return f"{SEAL} cannot be read: {error}"
    for name, size, digest in files:
        path = checkpoint / name
        try:
            if (found := path.stat().st_size) != size:
                return f"{name} has {found} bytes, not {size}"
            if _digest(path) != digest:
                return f"{name} is damaged: its SHA-256 is another one"
        except FileNotFoundError:
            return f"{name} is missing"
        except OSError as error:
            raise _unreadable(path, error) from error
    return None


def latest(folder: Path, processes: int = 1) -> Path | None:
    """The newest checkpoint that a run can go on from: it is whole, and so is the best one that it points to.

    Newer ones are removed, because the run writes them again; the log says which, and why.
    Raises `DataError` where another number of processes wrote it: their shares of an epoch would be others.
    """
    for step in sorted(_steps(folder), reverse=True):
        checkpoint = place(folder, step)
        reason = flaw(checkpoint)
        if reason is None and (best := state(checkpoint).get("best_global_step")) not in (None, step):
            reason = (found := flaw(place(folder, best))) and f"the best one, of step {best}, is not whole: {found}"
        if reason is None:
            wrote = json.loads((checkpoint / SEAL).read_text(encoding="utf-8"))["processes"]
            if wrote != processes:
                raise DataError(
                    f"{checkpoint} was written by {wrote} processes, this run has {processes}: "
                    f"go on with {wrote}, or begin again with overwrite=true"
                )
            return checkpoint
        log.warning("skipping and removing %s: %s", checkpoint, reason)
        shutil.rmtree(checkpoint)
    return None


def prune(folder: Path, keep: int, best: int | None) -> None:
    """Remove all checkpoints but the last ``keep`` and the best."""
    for step in sorted(_steps(folder))[: -max(1, keep)]:
        if step != best:
            shutil.rmtree(place(folder, step), ignore_errors=True)


def state(checkpoint: Path) -> dict[str, Any]:
    """What the `Trainer` keeps of itself: step, epoch, history, best step, callbacks."""
    found: dict[str, Any] = json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))
    return found


def is_over(checkpoint: Path) -> bool:
    """Whether training ended with this checkpoint, by its last step or for want of a better score."""
    control = state(checkpoint)["stateful_callbacks"]["TrainerControl"]["args"]
    return bool(control["should_training_stop"])


def disk_errors_named(function: Callable[P, T]) -> Callable[P, T]:
    """A full disk, or one that refuses to be written, ends the function with a `DataError` that says so."""

    @functools.wraps(function)
    def named(*arguments: P.args, **names: P.kwargs) -> T:
        try:
            return function(*arguments, **names)
        except (OSError, RuntimeError, SafetensorError) as error:
            number = error.errno if isinstance(error, OSError) else None
            if number in _FULL or (number is None and _FULL_WORDS.search(str(error))):
                reason = str(error).splitlines()[0]
                raise DataError(
                    f"the disk is full or cannot be written: {reason}. "
                    "The last whole checkpoint is as it was: make room and give the same command again"
                ) from error
            raise

    return named


def _unreadable(path: Path, error: OSError) -> DataError:
    return DataError(
        f"{path}: cannot be read: {error.strerror}: give the same command again when it can be, "
        "or begin again with overwrite=true"
    )


def _steps(folder: Path) -> list[int]:
    names = (re.fullmatch(r"checkpoint-(\d+)", path.name) for path in folder.glob("checkpoint-*"))
    return [int(name[1]) for name in names if name]


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
