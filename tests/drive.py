"""«قُتل البرنامج ثم عاد إلى عمله»: labels a stream with an engine that is a plain function, and kills itself on the way.

A script beside the tests, started by `tests/test_shards.py` in a process of its own that never imports torch. Each
labelling is a fork of it, which a SIGKILL ends at a chosen step (a chunk, a sync, a rename, a removal) or moment.
"""

from __future__ import annotations

import json
import os
import random
import resource
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pyarrow import Table

from khabar import plan, shards
from khabar.document import Document, Mention
from khabar.formats import parquet
from khabar.sources import Refused, articles

Table.from_pylist([{"id": "", "text": ""}], parquet.SCHEMA)  # imports what each fork would else import anew
SETTINGS = {"model": "ظل"}
RECORDS, SHARD, CHUNK = 14, 4, 2


def records(count: int = RECORDS) -> Iterator[Document | Refused]:
    """Articles, of which every seventh is refused, and a whole shard of refused ones."""
    for number in range(count):
        if number % 7 == 2 or SHARD <= number < 2 * SHARD:
            yield Refused(f"مرفوض {number}", "ملف", "فارغ")
        else:
            yield Document(f"خبر {number}", f"قصفت الطائرات مدينة حلب {number} مرة", meta={"n": number})


def engine(chunks: Iterable[Sequence[Document]]) -> Iterator[tuple[Sequence[Document], Counter[str]]]:
    """Every first word is an event; the score is one of the chunk, as it is where a chunk is a batch."""
    for chunk in chunks:
        step()
        score = sum(map(len, (document.text for document in chunk))) / 1000
        yield (
            [replace(d, entities=(Mention(0, 4, "ORG", score),)) for d in chunk],
            Counter(words=sum(len(d.text.split()) for d in chunk)),
        )


def step() -> None:
    """A moment of the run; `run` may replace it."""


def label(output: Path, kind: str, labeller: plan.Label = engine) -> None:
    """Label into one file, or into a folder where the output's name has no suffix."""
    into = shards.label_file if output.suffix else shards.label
    into(records, plan.in_order(labeller), output, SETTINGS, SHARD, kind)


def run(work: Callable[[], None], kill: int | None = None, after: float | None = None) -> bool:
    """Do the work in a fork that is killed at step ``kill`` or ``after`` seconds; say whether it ended by itself."""
    process = os.fork()
    if not process:
        try:
            _arm(kill)
            work()
        except BaseException as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
            os._exit(1)
        os._exit(0)
    if after is not None:
        time.sleep(after)
        os.kill(process, signal.SIGKILL)
    _, status = os.waitpid(process, 0)
    code = os.waitstatus_to_exitcode(status)
    assert code in (0, -signal.SIGKILL), code
    return code == 0


def _arm(kill: int | None) -> None:
    """Count the steps of this process, before and after each operation that changes a disk, and die at one of them."""
    steps = 0

    def count() -> None:
        nonlocal steps
        steps += 1
        if steps == kill:
            os.kill(os.getpid(), signal.SIGKILL)

    def counted(operation: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*arguments: Any, **named: Any) -> Any:
            count()
            result = operation(*arguments, **named)
            count()
            return result

        return wrapped

    globals()["step"] = count
    os.fsync = lambda fd: None  # slow, and no kill needs it
    for name in ("fsync", "replace", "unlink", "rmdir", "mkdir"):
        setattr(os, name, counted(getattr(os, name)))


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {str(f.relative_to(folder)): f.read_bytes() for f in sorted(folder.rglob("*")) if f.is_file()}


def at_every_step(folder: Path, name: str, kind: str) -> int:
    """Kill a run at each of its steps, go on, be killed again at another one, go on; compare with one never killed."""
    assert run(lambda: label(folder / "whole" / name, kind))
    whole, kill, kills = tree(folder / "whole"), 1, 0
    dice = random.Random(name)
    while True:
        place = folder / str(kill)
        place.mkdir()
        if run(lambda place=place: label(place / name, kind), kill):  # type: ignore[misc]
            return kills
        if dice.random() < 0.3:
            run(lambda place=place: label(place / name, kind), dice.randint(1, kill))  # type: ignore[misc]
        assert run(lambda place=place: label(place / name, kind))  # type: ignore[misc]
        assert tree(place) == whole, f"killed at step {kill}: {sorted(tree(place))}, expected {sorted(whole)}"
        kill, kills = kill + (1 if kind == "jsonl.gz" else 3), kills + 1  # the others share most of their steps with it


def at_random(folder: Path, name: str, kind: str) -> int:
    """Kill a slow run again and again after a random time until one comes to its end; compare."""

    def slow(chunks: Iterable[Sequence[Document]]) -> Iterator[tuple[Sequence[Document], Counter[str]]]:
        for labelled in engine(chunks):
            time.sleep(0.005)
            yield labelled

    assert run(lambda: label(folder / "whole" / name, kind))
    dice, kills = random.Random(), 1
    while not run(lambda: label(folder / "killed" / name, kind, slow), after=dice.uniform(0, 0.01 * kills)):
        kills += 1  # and leave it more time, on a machine of whatever speed
    assert tree(folder / "killed") == tree(folder / "whole")
    return kills - 1


def memory(source: Path, output: Path) -> int:
    """The most memory, in MB, that labelling a source took."""
    shards.label_file(lambda: articles([source]), plan.in_order(engine), output, SETTINGS, format="jsonl.gz")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // (1 << 20 if sys.platform == "darwin" else 1 << 10)


if __name__ == "__main__":
    what, *places = sys.argv[1:]
    if what == "memory":
        print(memory(Path(places[0]), Path(places[1])))
    else:
        plan.CHUNK = CHUNK
        names = {"jsonl": "out", "jsonl.gz": "out.jsonl.gz", "parquet": "out.parquet"}
        trial = {"step": at_every_step, "random": at_random}[what]
        print(json.dumps({kind: trial(Path(places[0]) / kind, name, kind) for kind, name in names.items()}))
