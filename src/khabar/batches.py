"""Instances -> the arrays of one batch, and which instances go together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from khabar.features import IGNORE, Instance, Reader

__all__ = ["Grouped", "arrays", "batches", "features"]

GRAIN = 8  # subwords: inputs whose lengths differ by less are of one length

Integers = NDArray[np.int64]


def features(reader: Reader, instance: Instance, labels: bool = False) -> dict[str, Any]:
    """The plain lists of an instance that `arrays` pads; with ``labels`` also what it teaches."""
    result = {
        "input_ids": instance.input_ids,
        "token_type_ids": instance.token_type_ids,
        "positions": instance.positions,
    }
    return {**result, "labels": reader.targets(instance)} if labels else result


def arrays(reader: Reader, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Features, padded to the longest.

    Returns ``input_ids``, ``attention_mask`` and, where the encoder tells segments apart, ``token_type_ids``, (batch,
    subwords); ``positions``, (batch, words); with labels also ``labels``, (batch, words) for each head.
    """
    ids = [row["input_ids"] for row in rows]
    batch: dict[str, Any] = {
        "input_ids": _padded(ids, reader.tokenizer.pad_token_id or 0),
        "attention_mask": _padded([[1] * len(row) for row in ids], 0),
        "positions": _padded([row["positions"] for row in rows], 0),
    }
    if reader.segments:
        batch["token_type_ids"] = _padded([row["token_type_ids"] for row in rows], 0)
    if "labels" in rows[0]:
        heads = rows[0]["labels"]
        batch["labels"] = {head: _padded([row["labels"][head] for row in rows], IGNORE) for head in heads}
    return batch


def batches(order: Sequence[int], lengths: Sequence[int], budget: int) -> Iterator[list[int]]:
    """Runs of rows, sorted by length, of which the longest times the number stays within the budget."""
    rows: list[int] = []
    for row in order:
        if rows and (len(rows) + 1) * lengths[row] > budget:
            yield rows
            rows = []
        rows.append(row)
    if rows:
        yield rows


class Grouped:
    """Which rows make the batches of an epoch: rows of like length together, in an order of seed and epoch alone.

    How many batches there are is the same in every epoch.

    Args:
        lengths: subwords of each row.
        size: rows of a batch.
        budget: subwords of a batch, padding counted, in place of ``size``.
        seed: of the order; `set_epoch` says which epoch it is.
        part: of how many processes this is which: (number, processes). Batches are made for all of them together, each
            ``processes`` times as large, and every process takes its share of each; where a batch has none for it, the
            row behind the last.

    """

    def __init__(
        self,
        lengths: Sequence[int] | NDArray[np.integer[Any]],
        size: int,
        budget: int | None = None,
        seed: int = 0,
        part: tuple[int, int] = (0, 1),
    ) -> None:
        self.seed, self.epoch, self.part = seed, 0, part
        self._grains = -(-np.asarray(lengths, dtype=np.int32) // GRAIN)
        processes = part[1]
        if budget is None:
            starts = list(range(0, len(self._grains), size * processes))
        else:
            # The lengths in order are those of every epoch, so that these cuts are too.
            ordered = (np.sort(self._grains) * GRAIN).tolist()
            runs = batches(range(len(ordered)), ordered, budget * processes)
            starts = [rows[0] for rows in runs]
        self._cuts = np.array([*starts, len(self._grains)])

    def set_epoch(self, epoch: int) -> None:
        """Of which epoch the batches are that come next."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self._cuts) - 1

    def __iter__(self) -> Iterator[list[int]]:
        random = np.random.default_rng((self.seed, self.epoch))
        order = np.lexsort((random.random(len(self._grains)), self._grains))
        number, processes = self.part
        for batch in random.permutation(len(self)):
            rows = order[self._cuts[batch] : self._cuts[batch + 1]]
            yield rows[number::processes].tolist() or [len(self._grains)]


def _padded(rows: Sequence[Sequence[int]], value: int) -> Integers:
    result = np.full((len(rows), max(1, *map(len, rows))), value, dtype=np.int64)
    for index, row in enumerate(rows):
        result[index, : len(row)] = row
    return result
