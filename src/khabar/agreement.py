"""How far two labellers of one contract set the same tags."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from khabar import bio
from khabar.features import ARGUMENTS, CLITICS, ENTITIES, TRIGGERS, Floats, Instance, Reader

__all__ = ["Agreement", "agreement", "tags"]

Tags = dict[str, NDArray[np.int64]]
_TOGETHER = 32  # instances decoded at a time


@dataclass(frozen=True, slots=True)
class Agreement:
    """Words with the same tag, of all words, and of those that one of the two labels; heads are added up."""

    same: int
    words: int
    same_labelled: int
    labelled: int

    @property
    def share(self) -> float:
        """Of all words, 0 to 1; 1.0 where there are none."""
        return self.same / self.words if self.words else 1.0

    @property
    def share_labelled(self) -> float:
        """Of words that one of the two labels, 0 to 1; 1.0 where there are none."""
        return self.same_labelled / self.labelled if self.labelled else 1.0


def tags(reader: Reader, instances: Sequence[Instance], logits: Sequence[Mapping[str, Floats]]) -> Tags:
    """Decoded tags, (words,), over the words of the instances that each head answers; clitics over windows of text."""
    found: dict[str, list[NDArray[np.int64]]] = {head: [] for head in reader.heads}
    for start in range(0, len(instances), _TOGETHER):
        for head in reader.heads:
            pairs = [
                (instance, scores[head])
                for instance, scores in zip(
                    instances[start : start + _TOGETHER], logits[start : start + _TOGETHER], strict=True
                )
                if (instance.trigger is None) != (head == ARGUMENTS)
            ]
            if head == CLITICS:
                found[head].extend(scores.argmax(axis=1) for _, scores in pairs)
            elif pairs:
                found[head].extend(_decoded(reader, head, *zip(*pairs, strict=True)))
    return {head: np.concatenate([np.zeros(0, np.int64), *rows]) for head, rows in found.items()}


def agreement(one: Tags, other: Tags) -> Agreement:
    """Compare the tags of the same words; clitics count where a mention of ``one`` begins, where they are read."""
    counts = np.zeros(4, dtype=np.int64)
    begins = np.any([one[head] % 2 == 1 for head in (ENTITIES, TRIGGERS) if head in one] or [[]], axis=0)
    for head, numbers in one.items():
        same = numbers == other[head]
        labelled = (numbers > 0) | (other[head] > 0)
        if head == CLITICS:
            same = same[begins[: len(same)]] if len(begins) else same[:0]
            labelled = np.ones(len(same), dtype=np.bool_)
        counts += [same.sum(), len(same), same[labelled].sum(), labelled.sum()]
    return Agreement(*map(int, counts))


def _decoded(
    reader: Reader, head: str, instances: Sequence[Instance], logits: Sequence[Floats]
) -> list[NDArray[np.int64]]:
    lengths = [len(scores) for scores in logits]
    padded = np.zeros((len(logits), max(lengths), logits[0].shape[1]), dtype=np.float32)
    for row, scores in enumerate(logits):
        padded[row, : lengths[row]] = scores
    admitted = reader.admitted(instances) if head == ARGUMENTS else None
    result = []
    for spans, length in zip(bio.decode(padded, lengths, admitted), lengths, strict=True):
        numbers = np.zeros(length, dtype=np.int64)
        for span in spans:
            numbers[span.first : span.last + 1] = 2 + 2 * span.label
            numbers[span.first] -= 1
        result.append(numbers)
    return result
