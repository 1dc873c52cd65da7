"""Several processes that train one model, as `torchrun` starts them: what the first decides, what each does a share of.

Where there is one process, all of this is nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from torch import distributed

from khabar.document import DataError

__all__ = ["first", "rank", "shared", "world"]

T = TypeVar("T")
U = TypeVar("U")


def world() -> int:
    """How many processes there are."""
    return distributed.get_world_size() if _several() else 1


def rank() -> int:
    """Which of them this is, from 0."""
    return distributed.get_rank() if _several() else 0


def first(decide: Callable[[], T]) -> T:
    """What the first process finds, in all of them; the others wait. Its `DataError` is raised in all."""
    if not _several():
        return decide()
    outcome: list[Any] = [None, None]
    if rank() == 0:
        try:
            outcome[0] = decide()
        except DataError as error:
            outcome[1] = error
    distributed.broadcast_object_list(outcome)
    if outcome[1] is not None:
        raise outcome[1]
    found: T = outcome[0]
    return found


def shared(work: Callable[[Sequence[T]], Sequence[U]], items: Sequence[T]) -> list[U]:
    """``work(items)``, each process a share of the items; all get the whole, in the order of the items."""
    processes = world()
    if processes == 1:
        return list(work(items))
    parts: list[Any] = [None] * processes
    distributed.all_gather_object(parts, list(work(items[rank() :: processes])))
    return [parts[number % processes][number // processes] for number in range(len(items))]


def _several() -> bool:
    return distributed.is_available() and distributed.is_initialized()
