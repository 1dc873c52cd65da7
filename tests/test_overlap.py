"""«استقبل الرئيس المصري عبد الفتاح السيسي وفدا من بغداد»: a name half found is not a name missed."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from khabar.document import Document, Mention
from khabar.metrics import score
from khabar.scoring.alignment import align
from khabar.scoring.overlap import CATEGORIES, Overlap

TEXT = "استقبل الرئيس المصري عبد الفتاح السيسي وفدا من بغداد"


def entities(*records: str) -> Document:
    """``"PER عبد الفتاح"``: the surface where it first occurs."""
    found = []
    for record in records:
        label, _, surface = record.partition(" ")
        start = TEXT.index(surface)
        found.append(Mention(start, start + len(surface), label))
    return Document("خبر", TEXT, entities=tuple(found))


def overlap(gold: Document, predicted: Document) -> dict[str, Any]:
    collector = Overlap()
    collector.add(gold, predicted)
    return collector.to_json()


def row(**counts: int) -> dict[str, int]:
    return dict.fromkeys(CATEGORIES, 0) | counts


NAME, CITY = "PER عبد الفتاح السيسي", "GPE بغداد"


@pytest.mark.parametrize(
    ("gold", "predicted", "expected"),
    [
        ([NAME], [NAME], {"PER": row(correct=1)}),
        ([NAME], ["ORG عبد الفتاح السيسي"], {"PER": row(incorrect=1)}),
        ([NAME], ["PER عبد الفتاح"], {"PER": row(partial=1)}),
        ([NAME], ["ORG الفتاح السيسي وفدا"], {"PER": row(incorrect=1)}),
        ([NAME], [CITY], {"GPE": row(spurious=1), "PER": row(missed=1)}),
        ([NAME], [], {"PER": row(missed=1)}),
        ([], [NAME], {"PER": row(spurious=1)}),
        ([], [], {}),
        # A name cut in two: the greater part is it, the other made up.
        ([NAME], ["PER عبد", "PER الفتاح السيسي"], {"PER": row(partial=1, spurious=1)}),
        # The greater part is it even where only the smaller has its type.
        ([NAME], ["PER عبد", "ORG الفتاح السيسي"], {"PER": row(incorrect=1, spurious=1)}),
        # Two names run together: one is half found, the other missed.
        (["PER عبد", "PER الفتاح السيسي"], [NAME], {"PER": row(partial=1, missed=1)}),
        # Equal parts: the one of its type.
        (
            ["PER عبد الفتاح"],
            ["ORG ستقبل الرئيس المصري عبد", "PER تاح السيسي"],
            {"PER": row(partial=1), "ORG": row(spurious=1)},
        ),
        (["TIME استقبل"], ["TIME استقبل"], {"TIME": row(correct=1)}),  # offset 0
        (["TIME استقبل"], ["TIME ستقبل"], {"TIME": row(partial=1)}),
        ([NAME], ["PER  وفدا"], {"PER": row(missed=1, spurious=1)}),  # side by side is no overlap
    ],
)
def test_each_entity_is_in_one_category(gold: list[str], predicted: list[str], expected: dict[str, Any]) -> None:
    found = overlap(entities(*gold), entities(*predicted))
    assert found["types"] == dict(sorted(expected.items()))
    assert list(found["types"]) == sorted(expected)
    assert found["micro"] == {name: sum(counts[name] for counts in expected.values()) for name in CATEGORIES}
    assert json.loads(json.dumps(found)) == found


def test_the_same_span_goes_before_a_longer_overlap() -> None:
    gold = [Mention(0, 2, "PER"), Mention(2, 9, "ORG")]
    assert list(align(gold, [Mention(0, 2, "GPE"), Mention(2, 8, "ORG")])) == [
        (gold[0], Mention(0, 2, "GPE")),
        (gold[1], Mention(2, 8, "ORG")),
    ]


def test_the_same_surface_twice_is_two_entities() -> None:
    text = "بغداد غير بغداد"
    gold = Document("د", text, entities=(Mention(0, 5, "GPE"), Mention(10, 15, "GPE")))
    assert overlap(gold, replace(gold, entities=(Mention(10, 15, "GPE"),)))["micro"] == row(correct=1, missed=1)


def test_layers_that_are_not_there() -> None:
    gold = entities(NAME, CITY)
    assert overlap(replace(gold, entities=None), gold) == {"micro": row(), "types": {}}
    assert overlap(gold, replace(gold, entities=None)) == overlap(gold, entities())
    collector = Overlap()
    for _ in range(3):
        collector.add(gold, entities(NAME))
    assert collector.to_json()["micro"] == row(correct=3, missed=3)


@st.composite
def any_entities(draw: st.DrawFn) -> tuple[Mention, ...]:
    edges = sorted(draw(st.sets(st.integers(0, 20), max_size=8)))
    kept = draw(st.lists(st.booleans(), min_size=8, max_size=8))
    labels = draw(st.lists(st.sampled_from("AB"), min_size=8, max_size=8))
    chosen = zip(edges, edges[1:], labels, kept, strict=False)
    return tuple(Mention(start, end, label) for start, end, label, keep in chosen if keep)


@given(any_entities(), any_entities())
def test_the_categories_add_up_to_both_sides(gold: tuple[Mention, ...], predicted: tuple[Mention, ...]) -> None:
    sides = [Document("د", "ا" * 20, entities=side) for side in (gold, predicted)]
    found = overlap(*sides)
    micro, strict = found["micro"], score(sides[:1], sides[1:]).units["entities"]
    assert micro["correct"] == strict.micro.correct
    assert sum(micro.values()) - micro["spurious"] == len(gold)
    assert sum(micro.values()) - micro["missed"] == len(predicted)
    for label, counts in found["types"].items():
        assert sum(counts.values()) - counts["spurious"] == strict.types[label].gold
        assert counts["correct"] == strict.types[label].correct


@given(any_entities(), any_entities())
def test_the_alignment_is_one_to_one_and_leaves_no_pair_that_overlaps(
    gold: tuple[Mention, ...], predicted: tuple[Mention, ...]
) -> None:
    pairs = list(align(gold, predicted))
    assert sorted(left for left, _ in pairs if left) == sorted(gold)
    assert sorted(right for _, right in pairs if right) == sorted(predicted)

    def shared(left: Mention, right: Mention) -> int:
        return min(left.end, right.end) - max(left.start, right.start)

    assert all(shared(left, right) > 0 for left, right in pairs if left and right)
    lonely = [left for left, right in pairs if right is None and left], [right for left, right in pairs if left is None]
    assert all(right is None or shared(left, right) <= 0 for left in lonely[0] for right in lonely[1])
    swapped = {(right, left) for left, right in align(predicted, gold)}
    assert len([pair for pair in swapped if None not in pair]) == len([pair for pair in pairs if None not in pair])


@given(any_entities().map(lambda found: found[:4]))
def test_the_order_of_mentions_does_not_matter(found: tuple[Mention, ...]) -> None:
    gold = (Mention(0, 7, "A"), Mention(7, 15, "B"))
    assert len({frozenset(align(gold, order)) for order in permutations(found)}) == 1
