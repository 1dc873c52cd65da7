"""Instances -> the tensors of one batch, and which instances go together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from khabar.features import IGNORE, Reader

__all__ = ["Collator", "batches"]


@dataclass(frozen=True, slots=True)
class Collator:
    """Pads instances to the longest of the batch."""

    reader: Reader

    def __call__(self, features: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Features as `Tagger.features` makes them -> tensors (batch, subwords) and (batch, words)."""

        def pad(rows: Sequence[Sequence[int]], value: int) -> torch.Tensor:
            result = torch.full((len(rows), max(1, *map(len, rows))), value)
            for index, row in enumerate(rows):
                result[index, : len(row)] = torch.as_tensor(row)
            return result

        ids = [feature["input_ids"] for feature in features]
        batch: dict[str, Any] = {
            "input_ids": pad(ids, self.reader.tokenizer.pad_token_id or 0),
            "attention_mask": pad([[1] * len(row) for row in ids], 0),
            "positions": pad([feature["positions"] for feature in features], 0),
        }
        if self.reader.segments:
            batch["token_type_ids"] = pad([feature["token_type_ids"] for feature in features], 0)
        if "labels" in features[0]:
            heads = features[0]["labels"]
            batch["labels"] = {head: pad([f["labels"][head] for f in features], IGNORE) for head in heads}
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
