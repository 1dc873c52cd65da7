"""«زار الرئيس الفرنسي بيروت»: a mention is a run of words, tagged B then I; decoding keeps to that."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from khabar.arabic import Word, words
from khabar.bio import Span, covering, decode, encode, is_valid, tag_names, tags
from khabar.document import Mention

TEXT = "زار الرئيس الفرنسي بيروت"  # words at 0..3, 4..10, 11..18, 19..24
LABELS = ("PER", "GPE")
OUT, B_PER, I_PER, B_GPE, I_GPE = range(5)
Rows = NDArray[np.float32]


@pytest.mark.parametrize(
    ("start", "end", "covered"),
    [
        (4, 18, range(1, 3)),
        (0, 3, range(1)),
        (0, 24, range(4)),
        (5, 6, range(1, 2)),  # inside a word
        (9, 12, range(1, 3)),  # the end of one and the start of the next
        (3, 4, range(1, 1)),  # white space
    ],
)
def test_the_words_of_a_mention_share_a_character_with_it(start: int, end: int, covered: range) -> None:
    assert covering(words(TEXT), Mention(start, end, "PER")) == covered


@pytest.mark.parametrize(
    ("mentions", "expected"),
    [
        ([], [OUT, OUT, OUT, OUT]),
        ([(4, 18, "PER"), (19, 24, "GPE")], [OUT, B_PER, I_PER, B_GPE]),
        ([(4, 10, "PER"), (11, 18, "PER")], [OUT, B_PER, B_PER, OUT]),  # neighbours stay two
        ([(4, 18, "PER"), (11, 18, "GPE")], [OUT, B_PER, I_PER, OUT]),  # a shared word stays with the first
        ([(5, 8, "GPE")], [OUT, B_GPE, OUT, OUT]),  # moved to the word's edges
        ([(3, 4, "PER")], [OUT, OUT, OUT, OUT]),
    ],
)
def test_mentions_become_tags(mentions: list[tuple[int, int, str]], expected: list[int]) -> None:
    assert encode(words(TEXT), [Mention(*mention) for mention in mentions], LABELS) == expected


def test_tags_are_named_in_the_order_of_their_numbers() -> None:
    assert tag_names(LABELS) == ("O", "B-PER", "I-PER", "B-GPE", "I-GPE")
    assert tags(words(TEXT), [Mention(19, 24, "GPE"), Mention(4, 18, "PER")]) == ["O", "B-PER", "I-PER", "B-GPE"]
    assert tags(words(TEXT), []) == ["O"] * 4


@pytest.mark.parametrize(
    ("row", "valid"),
    [
        ([OUT, B_PER, I_PER, I_PER], True),
        ([B_PER, B_PER, B_GPE, I_GPE], True),
        ([I_PER, OUT, OUT, OUT], False),
        ([OUT, I_PER, OUT, OUT], False),
        ([B_PER, I_GPE, OUT, OUT], False),
        ([B_PER, OUT, I_PER, OUT], False),
        ([B_PER, I_PER, I_GPE, OUT], False),
    ],
)
def test_a_mention_never_starts_with_an_inside_tag(row: list[int], valid: bool) -> None:
    assert is_valid(np.array([row])).tolist() == [valid]


@st.composite
def spans(draw: st.DrawFn) -> tuple[int, list[tuple[int, int, int]]]:
    """A number of words, and spans (first, last, label) over them that share no word."""
    cuts = sorted(draw(st.sets(st.integers(0, 12), max_size=8)))
    pairs = zip(cuts[::2], cuts[1::2], strict=False)
    return 12, [(first, last - 1, draw(st.integers(0, 2))) for first, last in pairs]


@given(spans())
def test_tags_become_the_mentions_they_came_from(case: tuple[int, list[tuple[int, int, int]]]) -> None:
    count, wanted = case
    text = [Word("كلمة", 5 * place, 5 * place + 4) for place in range(count)]
    labels = ("PER", "ORG", "GPE")
    mentions = [Mention(5 * first, 5 * last + 4, labels[label]) for first, last, label in wanted]
    numbers = encode(text, mentions, labels)
    logits = 40 * np.eye(7, dtype=np.float32)[numbers][None]
    found = decode(logits, [count])[0]
    assert [(span.first, span.last, span.label) for span in found] == wanted
    assert all(span.score > 0.99 for span in found)


@st.composite
def batches(draw: st.DrawFn) -> tuple[Rows, list[int], NDArray[np.bool_] | None]:
    """Logits (batch, words, tags) with lengths, and maybe the tags that each row admits."""
    batch, width, labels = draw(st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 2)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    logits = rng.normal(scale=3, size=(batch, width, 1 + 2 * labels)).astype(np.float32)
    lengths = draw(st.lists(st.integers(0, width), min_size=batch, max_size=batch))
    if draw(st.booleans()):
        return logits, lengths, None
    roles = np.array(draw(st.lists(st.lists(st.booleans(), min_size=labels, max_size=labels), min_size=batch)))[:batch]
    admitted = np.concatenate([np.ones((batch, 1), np.bool_), roles.repeat(2, axis=1).astype(np.bool_)], axis=1)
    return logits, lengths, admitted


def brute_force(logits: Rows, admitted: NDArray[np.bool_] | None) -> list[Span]:
    """The best of all valid sequences of one row, each span with the mass of the sequences that contain it."""
    width, count = logits.shape
    allowed = [tag for tag in range(count) if admitted is None or admitted[tag]]
    sequences = [row for row in product(allowed, repeat=width) if is_valid(np.array([row]))[0]]
    weights = np.array([sum(logits[place, tag] for place, tag in enumerate(row)) for row in sequences], dtype=float)
    weights = np.exp(weights - weights.max())
    contained = [set(read(row)) for row in sequences]
    return [
        Span(*span, sum(weights[n] for n, others in enumerate(contained) if span in others) / weights.sum())
        for span in read(sequences[int(weights.argmax())])
    ]


def read(row: tuple[int, ...]) -> list[tuple[int, int, int]]:
    """(first, last, label) of the mentions of a valid sequence, one tag after the other."""
    found: list[tuple[int, int, int]] = []
    for place, tag in enumerate(row):
        if tag % 2 == 1:
            found.append((place, place, tag // 2))
        elif tag:
            found[-1] = (found[-1][0], place, found[-1][2])
    return found


@given(batches())
def test_decoding_finds_the_best_valid_sequence_and_its_probabilities(
    case: tuple[Rows, list[int], NDArray[np.bool_] | None],
) -> None:
    logits, lengths, admitted = case
    for row, spans in enumerate(decode(logits, lengths, admitted)):
        mask = None if admitted is None else admitted[row]
        expected = brute_force(logits[row, : lengths[row]], mask) if lengths[row] else []
        assert [(s.first, s.last, s.label) for s in spans] == [(s.first, s.last, s.label) for s in expected]
        assert [s.score for s in spans] == pytest.approx([s.score for s in expected], abs=1e-6)


@given(batches(), st.floats(-1000, 1000, width=32), st.integers(1, 3))
def test_padding_and_neighbours_have_no_influence(
    case: tuple[Rows, list[int], NDArray[np.bool_] | None], noise: float, wider: int
) -> None:
    logits, lengths, admitted = case
    padded = np.pad(logits, ((0, 0), (0, wider), (0, 0)), constant_values=noise)
    for row, length in enumerate(lengths):
        padded[row, length:] = noise
    together = decode(padded, lengths, admitted)
    for row, length in enumerate(lengths):
        mask = None if admitted is None else admitted[row : row + 1]
        assert together[row] == decode(logits[row : row + 1, :length], [length], mask)[0]


def test_a_tag_that_is_not_admitted_is_never_used() -> None:
    logits = np.zeros((2, 3, 5), dtype=np.float32)
    logits[:, :, B_PER] = 9.0
    logits[:, :, B_GPE] = 8.0
    admitted = np.array([[True, False, False, True, True], [True, False, False, False, False]])
    assert [[span.label for span in row] for row in decode(logits, [3, 3], admitted)] == [[1, 1, 1], []]


def test_no_words_no_spans() -> None:
    assert decode(np.zeros((2, 0, 5), dtype=np.float32), [0, 0]) == [[], []]
