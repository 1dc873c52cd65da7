"""Instances -> the arrays of one batch, and which instances go together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from khabar.features import IGNORE, Instance, Reader

__all__ = ["arrays", "batches", "features"]

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


def _padded(rows: Sequence[Sequence[int]], value: int) -> Integers:
    result = np.full((len(rows), max(1, *map(len, rows))), value, dtype=np.int64)
    for index, row in enumerate(rows):
        result[index, : len(row)] = row
    return result
