"""«عشرة آلاف خبر، ومئتان لمن يصحح»: the articles whose labels the model is least sure of are corrected first."""

from __future__ import annotations

import math
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from khabar.document import DataError, Document, Event, Mention
from khabar.select import certainty, number_of, uncertain


def article(name: str, *scores: float | None) -> Document:
    """An article with an entity, and an event with arguments, of these scores."""
    mentions = tuple(Mention(n, n + 1, "ORG", score) for n, score in enumerate(scores))
    events = (Event(mentions[1], mentions[2:]),) if len(mentions) > 1 else ()
    return Document(name, "نص طويل جدا", mentions[:1], events)


def test_certainty_is_the_geometric_mean_of_all_scores() -> None:
    assert certainty(article("أ", 0.5)) == pytest.approx(0.5)
    assert certainty(article("ب", 0.9, 0.4, 0.6)) == pytest.approx((0.9 * 0.4 * 0.6) ** (1 / 3))
    assert certainty(article("ج")) == certainty(article("د", None)) == 1.0  # nothing to be unsure of
    assert 0 < certainty(article("ه", 0.0)) < 1e-9


def test_the_least_sure_come_first_and_of_equals_the_earlier() -> None:
    documents = [article("أ", 0.9), article("ب", 0.2), article("ج", 0.5), article("د"), article("ه", 0.2)]
    assert [d.id for d in uncertain(documents, number_of("uncertain:3"))] == ["ب", "ه", "ج"]
    assert [d.id for d in uncertain(documents, 99)] == ["ب", "ه", "ج", "أ", "د"]


@given(st.lists(st.lists(st.sampled_from([0.1, 0.5, 0.9, 1.0]), max_size=4), max_size=12), st.integers(1, 6))
def test_a_selection_is_the_head_of_the_sorted_list(scores: list[list[float]], number: int) -> None:
    documents = [article(str(n), *some) for n, some in enumerate(scores)]
    expected = sorted(documents, key=certainty)[:number]
    assert uncertain(iter(documents), number) == expected


def test_no_more_documents_are_held_than_selected() -> None:
    alive = []

    class Held(str):
        def __del__(self) -> None:
            alive.append(-1)

    def many() -> Iterator[Document]:
        for n in range(1000):
            yield Document(Held(str(n)), "نص", (Mention(0, 2, "ORG", math.sin(n) ** 2),))
            assert n + 1 + sum(alive) <= 12  # ten, the one that comes, and the one that goes

    assert len(uncertain(many(), 10)) == 10


@pytest.mark.parametrize("how", ["uncertain", "uncertain:x", "uncertain:-1", "random:5", "uncertain:0"])
def test_a_selection_that_says_nothing_known_is_refused(how: str) -> None:
    with pytest.raises(DataError, match="expected"):
        number_of(how)
