"""«اندلعت اشتباكات. فرّ السكان. عاد الهدوء.»: three sentences that share a window, or have one each."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from khabar.windows import Window, centred, windows


@st.composite
def texts(draw: st.DrawFn) -> tuple[list[range], list[int], int, int]:
    """Sentences, subwords of each word, a budget that the longest word fits, and context."""
    sizes = draw(st.lists(st.integers(0, 12), max_size=10))
    starts = [sum(sizes[:place]) for place in range(len(sizes))]
    sentences = [range(start, start + size) for start, size in zip(starts, sizes, strict=True)]
    lengths = draw(st.lists(st.integers(1, 6), min_size=sum(sizes), max_size=sum(sizes)))
    return sentences, lengths, draw(st.integers(6, 40)), draw(st.integers(0, 20))


def size(lengths: list[int], start: int, end: int) -> int:
    return sum(lengths[start:end])


@given(texts())
def test_every_word_is_owned_once_and_in_order(case: tuple[list[range], list[int], int, int]) -> None:
    sentences, lengths, budget, context = case
    owned = [word for w in windows(sentences, lengths, budget, context) for word in range(w.first, w.last)]
    assert owned == list(range(len(lengths)))


@given(texts())
def test_budget_and_context_are_kept(case: tuple[list[range], list[int], int, int]) -> None:
    sentences, lengths, budget, context = case
    for window in windows(sentences, lengths, budget, context):
        assert 0 <= window.start <= window.first < window.last <= window.end <= len(lengths)
        assert size(lengths, window.start, window.end) <= budget
        assert size(lengths, window.start, window.first) <= context
        assert size(lengths, window.last, window.end) <= context


@given(texts())
def test_a_sentence_is_divided_only_where_it_exceeds_the_budget(
    case: tuple[list[range], list[int], int, int],
) -> None:
    sentences, lengths, budget, context = case
    ends = {window.last for window in windows(sentences, lengths, budget, context)}
    for sentence in sentences:
        if size(lengths, sentence.start, sentence.stop) <= budget:
            assert not ends & set(range(sentence.start + 1, sentence.stop))


@given(texts())
def test_neighbours_are_packed_as_long_as_they_fit(case: tuple[list[range], list[int], int, int]) -> None:
    sentences, lengths, budget, context = case
    found = windows(sentences, lengths, budget, context)
    for left, right in zip(found, found[1:], strict=False):
        head = next(s for s in sentences if right.first in s)
        first_piece = right.last if right.last < head.stop else head.stop
        assert size(lengths, left.first, first_piece) > budget


@pytest.mark.parametrize(
    ("budget", "context", "expected"),
    [
        (9, 9, [Window(0, 0, 6, 6)]),  # all in one
        (4, 0, [Window(0, 0, 4, 4), Window(4, 4, 6, 6)]),
        (5, 1, [Window(0, 0, 4, 5), Window(3, 4, 6, 6)]),  # a word of the neighbour
        (3, 9, [Window(0, 0, 2, 3), Window(2, 2, 4, 5), Window(3, 4, 6, 6)]),  # the budget limits the context
    ],
)
def test_sentences_are_packed(budget: int, context: int, expected: list[Window]) -> None:
    sentences = [range(2), range(2, 4), range(4, 6)]
    assert windows(sentences, [1] * 6, budget, context) == expected


@given(st.data())
def test_a_centred_window_holds_the_trigger_and_as_much_around_it_as_fits(data: st.DataObject) -> None:
    lengths = data.draw(st.lists(st.integers(1, 6), min_size=1, max_size=40))
    first = data.draw(st.integers(0, len(lengths) - 1))
    last = data.draw(st.integers(first + 1, len(lengths)))
    budget = size(lengths, first, last) + data.draw(st.integers(0, 40))
    seen = centred(first, last, lengths, budget)
    assert 0 <= seen.start <= first < last <= seen.stop <= len(lengths)
    spare = budget - size(lengths, seen.start, seen.stop)
    assert spare >= 0
    assert seen.start == 0 or lengths[seen.start - 1] > spare
    assert seen.stop == len(lengths) or lengths[seen.stop] > spare


@pytest.mark.parametrize(
    ("trigger", "expected"),
    [((5, 6), range(3, 8)), ((0, 1), range(5)), ((9, 10), range(5, 10)), ((1, 2), range(5))],
)
def test_a_centred_window_is_even_until_the_text_ends(trigger: tuple[int, int], expected: range) -> None:
    assert centred(*trigger, [1] * 10, 5) == expected


def test_a_trigger_longer_than_the_budget_is_all_that_is_seen() -> None:
    assert centred(2, 5, [4] * 8, 6) == range(2, 5)
