"""In which order an epoch reads its inputs: like lengths together, and the same again for the same seed and epoch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch.utils.data import Sampler
from transformers.trainer_pt_utils import get_length_grouped_indices

__all__ = ["Order"]


class Order(Sampler[int]):
    """Rows by length, shuffled by seed and epoch alone.

    The sampler of the `Trainer` draws from the random state that the model draws dropout from, so that what an
    interrupted epoch had still to read could not be known again.

    Args:
        lengths: subwords of each row.
        step: rows that are read for one step, by all processes: those are of like length.
        share: rows that all processes read at a time. The last of an epoch is filled up with `filler`, so that
            every process has as many batches.
        filler: the number of a row that teaches nothing.
        seed, epoch: what the order depends on; the epoch is asked for when an epoch begins.

    """

    def __init__(
        self, lengths: Sequence[int], step: int, share: int, filler: int, seed: int, epoch: Callable[[], int]
    ) -> None:
        self._lengths, self._step, self._filler, self._seed, self._epoch = list(lengths), step, filler, seed, epoch
        self._missing = -len(self._lengths) % share

    def __len__(self) -> int:
        return len(self._lengths) + self._missing

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(1000 * self._seed + self._epoch())
        group: Any = get_length_grouped_indices  # untyped in transformers
        yield from group(self._lengths, self._step, generator=generator)
        yield from [self._filler] * self._missing
