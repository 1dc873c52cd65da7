"""«نزل المطر فبشّر الزرع»: which inputs go together in an epoch, decided by its number and the seed alone."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from khabar.batches import GRAIN, Grouped

LENGTHS = st.lists(st.integers(2, 256), max_size=80)
BUDGETS = st.none() | st.integers(256, 900)


@given(LENGTHS, st.integers(1, 9), BUDGETS, st.integers(0, 5), st.integers(0, 5))
def test_every_row_comes_once_an_epoch(
    lengths: list[int], size: int, budget: int | None, seed: int, epoch: int
) -> None:
    grouped = Grouped(lengths, size, budget, seed)
    grouped.set_epoch(epoch)
    found = list(grouped)
    assert len(found) == len(grouped)
    assert sorted(row for batch in found for row in batch) == list(range(len(lengths)))
    for batch in found:
        assert batch
        if budget is None:
            assert len(batch) <= size
        else:
            assert len(batch) == 1 or len(batch) * max(lengths[row] for row in batch) <= budget


@given(LENGTHS, st.integers(1, 9), BUDGETS)
def test_the_order_is_of_seed_and_epoch_alone(lengths: list[int], size: int, budget: int | None) -> None:
    first, second = (Grouped(lengths, size, budget, seed=3) for _ in range(2))
    list(first)  # what was read before does not matter
    for grouped in (first, second):
        grouped.set_epoch(2)
    assert list(first) == list(second)
    first.set_epoch(5)
    assert len(list(first)) == len(first)  # steps an epoch are those of every epoch


def test_epochs_and_seeds_differ() -> None:
    lengths = [100] * 64
    found = []
    for seed, epoch in ((1, 0), (1, 1), (2, 0)):
        grouped = Grouped(lengths, 8, seed=seed)
        grouped.set_epoch(epoch)
        found.append(sorted(map(sorted, grouped)))
    assert found[0] != found[1] != found[2] != found[0]


@given(LENGTHS, st.integers(1, 9))
def test_rows_of_a_batch_are_of_like_length(lengths: list[int], size: int) -> None:
    spans = sorted((min(found), max(found)) for found in ([lengths[r] for r in b] for b in Grouped(lengths, size)))
    for (_, last), (first, _) in zip(spans, spans[1:], strict=False):
        assert last < first + GRAIN


@pytest.mark.parametrize("processes", [2, 3])
@pytest.mark.parametrize("budget", [None, 900])
def test_processes_share_the_batches_of_one(processes: int, budget: int | None) -> None:
    lengths = np.random.default_rng(0).integers(2, 256, 101)
    shares = [list(Grouped(lengths, 4, budget, 1, (number, processes))) for number in range(processes)]
    assert len({len(share) for share in shares}) == 1
    together = list(Grouped(lengths, 4 * processes, budget and budget * processes, 1))
    for whole, *parts in zip(together, *shares, strict=True):
        assert {row for part in parts for row in part} - {len(lengths)} == set(whole)
        assert all(parts)
        again = Counter(row for part in parts for row in part)
        assert sum(again.values()) == max(len(whole), processes)  # one that teaches nothing, where there are too few
