"""«هل الفرق بين النظامين حقيقي أم صدفة؟»: intervals and paired tests, against what can be counted by hand."""

from __future__ import annotations

import tracemalloc
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from khabar.document import DataError
from khabar.significance import Difference, difference, holm, interval

Counts = NDArray[np.int64]


@st.composite
def rows(draw: st.DrawFn) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """Correct, predicted and gold of one document by two systems."""
    gold = draw(st.integers(0, 6))
    first, second = (draw(st.integers(0, gold)) for _ in range(2))
    return (first, first + draw(st.integers(0, 4)), gold), (second, second + draw(st.integers(0, 4)), gold)


def systems(least: int = 1, most: int = 12) -> st.SearchStrategy[tuple[Counts, Counts]]:
    """Two systems on the same documents."""
    return st.lists(rows(), min_size=least, max_size=most).map(
        lambda pairs: (np.array([a for a, _ in pairs]), np.array([b for _, b in pairs]))
    )


def f1(counts: Counts) -> float:
    correct, predicted, gold = counts.sum(axis=0)
    return float(2 * correct / (predicted + gold)) if predicted + gold else 0.0


def articles(random: np.random.Generator, number: int, accuracy: float = 0.7) -> Counts:
    """Articles of which some are long and some are hard, and an article's mentions stand and fall together."""
    gold = random.poisson(random.gamma(2, 3, number))
    correct = random.binomial(gold, random.beta(5 * accuracy, 5 * (1 - accuracy), number))
    return np.stack([correct, correct + random.binomial(gold, 0.2), gold], axis=1)


# The p-value


def exact_p(a: Counts, b: Counts) -> float:
    """The share of all 2^n ways to swap documents whose difference is at least as large as the observed one."""
    observed = abs(f1(a) - f1(b))
    ways = [np.array(way)[:, None] for way in product((False, True), repeat=len(a))]
    gaps = [abs(f1(np.where(way, b, a)) - f1(np.where(way, a, b))) for way in ways]
    return float(np.mean([gap >= observed - 1e-12 for gap in gaps]))


@pytest.mark.parametrize(
    ("a", "b", "p"),
    [
        ([[1, 1, 1]], [[0, 1, 1]], 1.0),  # one document: swapped or not, the difference is as large
        ([[1, 1, 1]] * 5, [[0, 1, 1]] * 5, 2 / 2**5),  # only all or none
        ([[2, 2, 2]] * 3, [[2, 2, 2]] * 3, 1.0),  # no difference
        ([[1, 1, 1], [0, 1, 1]], [[0, 1, 1], [1, 1, 1]], 1.0),  # as good, on other documents
        ([[3, 3, 3], [1, 1, 1]], [[0, 3, 3], [0, 1, 1]], 0.5),  # 4 and 2 of difference, two ways each
        ([[1, 1, 1]] * 4 + [[5, 9, 9]] * 9, [[0, 0, 1]] * 4 + [[5, 9, 9]] * 9, 2 / 2**4),  # the same adds nothing
    ],
)
def test_p_is_the_share_of_the_ways_to_swap_documents(a: list[list[int]], b: list[list[int]], p: float) -> None:
    assert exact_p(np.array(a), np.array(b)) == p
    draws = 20_000
    assert difference(a, b, draws).p == pytest.approx(p, abs=5 * (p * (1 - p) / draws) ** 0.5 + 1 / draws)


@settings(max_examples=25)
@given(systems(most=8))
def test_p_equals_the_count_of_all_swaps(pair: tuple[Counts, Counts]) -> None:
    expected = exact_p(*pair)
    assert difference(*pair, draws=4000).p == pytest.approx(expected, abs=5 * (expected * (1 - expected) / 4000) ** 0.5)


def test_p_is_never_zero_and_is_one_where_there_is_no_difference() -> None:
    good, bad = np.array([[9, 9, 9]] * 200), np.array([[0, 9, 9]] * 200)
    assert difference(good, bad, draws=99).p == 1 / 100
    assert difference(good, good, draws=99) == Difference(0.0, (0.0, 0.0), 1.0)


def test_two_equal_systems_differ_significantly_as_seldom_as_promised() -> None:
    """The errors of 400 pairs at the level 0.05: 20 are expected, 33 is three standard deviations more."""
    random = np.random.default_rng(7)
    errors = 0
    for number in range(400):
        a = articles(random, 30)
        b = a.copy()  # the same gold, answered as well, by chance otherwise
        b[:, 0] = random.binomial(a[:, 2], random.beta(3.5, 1.5, 30))
        b[:, 1] = b[:, 0] + random.binomial(a[:, 2], 0.2)
        errors += difference(a, b, draws=200, seed=number).p <= 0.05
    assert 5 <= errors <= 33


# The intervals


def test_an_interval_holds_the_true_value_as_often_as_promised() -> None:
    """190 of 200 intervals of 95 % should; 178 is four standard deviations less."""
    random = np.random.default_rng(3)
    truth = f1(articles(random, 400_000))
    ends = [interval(articles(random, 100), draws=500, seed=number) for number in range(200)]
    assert 178 <= sum(low <= truth <= high for low, high in ends) <= 199


def naive(a: Counts, b: Counts, draws: int) -> tuple[list[float], list[float]]:
    """F1 of a, and its difference from b, of documents drawn one by one."""
    random = np.random.default_rng(11)
    places = [random.integers(0, len(a), len(a)) for _ in range(draws)]
    return [f1(a[place]) for place in places], [f1(a[place]) - f1(b[place]) for place in places]


@pytest.mark.parametrize("level", [0.5, 0.9, 0.95])
def test_drawing_rows_of_counts_is_drawing_documents(level: float) -> None:
    random = np.random.default_rng(5)
    a = articles(random, 60)
    b = np.stack([random.binomial(a[:, 0], 0.95), a[:, 1], a[:, 2]], axis=1)
    ends = [(1 - level) / 2, (1 + level) / 2]
    alone, apart = (np.quantile(values, ends) for values in naive(a, b, 10_000))
    assert interval(a, level=level) == pytest.approx(alone, abs=0.004)
    assert difference(a, b, level=level).interval == pytest.approx(apart, abs=0.002)
    low, high = interval(a, level=level)
    assert interval(a, level=level, seed=1) != (low, high)
    assert interval(a, level=level) == (low, high)


def test_a_paired_interval_is_narrower_than_two_of_their_own() -> None:
    random = np.random.default_rng(5)
    a = articles(random, 60)
    b = np.stack([random.binomial(a[:, 0], 0.95), a[:, 1], a[:, 2]], axis=1)
    widths = [high - low for low, high in (interval(a), interval(b), difference(a, b).interval)]
    assert widths[2] < 0.75 * min(widths[:2])


@pytest.mark.parametrize(
    ("counts", "ends"),
    [
        ([[3, 4, 5]], (6 / 9, 6 / 9)),  # one document is always drawn
        ([[2, 2, 2]] * 9, (1.0, 1.0)),
        ([[0, 2, 2]] * 9, (0.0, 0.0)),
        ([[0, 0, 0]] * 9, (0.0, 0.0)),  # nothing in gold, nothing predicted
        ([[1, 1, 1], [0, 1, 1]], (0.0, 1.0)),  # a quarter of the draws is all right, a quarter all wrong
    ],
)
def test_intervals_that_are_known(counts: list[list[int]], ends: tuple[float, float]) -> None:
    assert interval(counts, draws=2000) == pytest.approx(ends)


# What holds for any two systems


@settings(max_examples=50)
@given(systems(), st.integers(0, 9))
def test_the_order_of_two_systems_changes_signs_only(pair: tuple[Counts, Counts], seed: int) -> None:
    a, b = pair
    there, back = difference(a, b, 200, seed=seed), difference(b, a, 200, seed=seed)
    assert back.value == -there.value
    assert back.p == there.p
    assert back.interval == pytest.approx((-there.interval[1], -there.interval[0]))
    assert there.value == pytest.approx(f1(a) - f1(b))


@settings(max_examples=50)
@given(systems(), st.integers(2, 5))
def test_counts_of_more_seeds_of_the_same_answers_change_nothing(pair: tuple[Counts, Counts], seeds: int) -> None:
    a, b = pair
    once, often = difference(a, b, 100), difference(seeds * a, seeds * b, 100)
    assert often.p == once.p
    assert (often.value, *often.interval) == pytest.approx((once.value, *once.interval))


@settings(max_examples=50)
@given(systems())
def test_ends_are_in_order_and_possible(pair: tuple[Counts, Counts]) -> None:
    low, high = interval(pair[0], draws=50)
    assert 0 <= low <= high <= 1
    found = difference(*pair, draws=50)
    assert -1 <= found.interval[0] <= found.interval[1] <= 1
    assert 1 / 51 <= found.p <= 1


def test_json() -> None:
    assert Difference(0.1, (0.0, 0.2), 0.03).to_json() == {"difference": 0.1, "interval": [0.0, 0.2], "p": 0.03}


def test_memory_does_not_grow_with_documents_times_draws() -> None:
    number = np.arange(20_000)
    counts = np.stack([number, number + 1, number + 2], axis=1)  # no two documents alike, the worst case
    whole = 300 * len(counts) * 8  # bytes, were all draws made at once
    tracemalloc.start()
    try:
        found = interval(counts, draws=300)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 0.6 * whole
    assert found[0] < f1(counts) < found[1]


# Several tests


@pytest.mark.parametrize(
    ("p", "adjusted"),
    [
        ([], []),
        ([0.03], [0.03]),
        ([0.01, 0.04], [0.02, 0.04]),
        ([0.04, 0.01], [0.04, 0.02]),
        ([0.01, 0.02, 0.03, 0.005], [0.03, 0.04, 0.04, 0.02]),  # 4·0.005, 3·0.01, 2·0.02, then not less than that
        ([0.5, 0.6, 0.9], [1.0, 1.0, 1.0]),
        ([0.02, 0.02], [0.04, 0.04]),
    ],
)
def test_holm(p: list[float], adjusted: list[float]) -> None:
    assert holm(p) == pytest.approx(adjusted)


@given(st.lists(st.floats(0, 1), max_size=8))
def test_holm_lies_between_p_and_bonferroni_and_keeps_the_order(p: list[float]) -> None:
    adjusted = holm(p)
    assert all(raw <= value <= min(1, len(p) * raw) for raw, value in zip(p, adjusted, strict=True))
    ordered = [value for _, value in sorted(zip(p, adjusted, strict=True))]
    assert ordered == sorted(adjusted)


# Bad input


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ([], "integers of shape"),
        ([[1, 2]], "integers of shape"),
        ([1, 2, 3], "integers of shape"),
        ([[0.5, 1.0, 1.0]], "got float64"),
        ([[2, 1, 3]], "no more correct units than predicted"),
        ([[-1, 1, 3]], "counts from 0 on"),
    ],
)
def test_what_is_no_counts_is_refused(counts: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        interval(counts)
    with pytest.raises(DataError, match=message):
        difference([[1, 1, 1]], counts)


@pytest.mark.parametrize("b", [[[1, 1, 2]], [[1, 1, 1], [1, 1, 1]]])
def test_systems_with_other_gold_are_not_compared(b: list[list[int]]) -> None:
    with pytest.raises(DataError, match="same gold counts of both, got 1 documents with 1 units and"):
        difference([[1, 1, 1]], b)


@pytest.mark.parametrize(
    ("setting", "message"), [({"draws": 0}, "at least 1, got 0"), ({"level": 95}, r"a share between 0 and 1")]
)
def test_settings_that_make_no_sense_are_refused(setting: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        interval([[1, 1, 1]], **setting)
    with pytest.raises(DataError, match=message):
        difference([[1, 1, 1]], [[1, 1, 1]], **setting)


@pytest.mark.parametrize("p", [[-0.1], [0.2, 1.1], [float("nan")]])
def test_what_is_no_probability_is_refused(p: list[float]) -> None:
    with pytest.raises(DataError, match="p-values from 0 to 1"):
        holm(p)
