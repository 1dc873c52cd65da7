"""«قال الناطق إن القصف طال وبغداد "أم الدنيا" وللعراق بشظايا قذيفة»: which edge is wrong, and what is to blame."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from khabar.document import Mention
from khabar.scoring.alignment import align
from khabar.scoring.boundaries import causes, letters_before, proclitics


def span(text: str, words: str, label: str = "GPE") -> Mention:
    start = text.index(words)
    return Mention(start, start + len(words), label)


@pytest.mark.parametrize(
    ("text", "gold", "predicted", "expected"),
    [
        ("زار وبغداد أمس", "بغداد", "وبغداد", ["start clitic و in prediction"]),
        ("زار فبغداد أمس", "بغداد", "فبغداد", ["start clitic ف in prediction"]),
        ("زار ببغداد أمس", "بغداد", "ببغداد", ["start clitic ب in prediction"]),
        ("زار لبغداد أمس", "بغداد", "لبغداد", ["start clitic ل in prediction"]),
        ("زار كبغداد أمس", "بغداد", "كبغداد", ["start clitic ك in prediction"]),
        ("قال وزير أمس", "وزير", "زير", ["start clitic و in gold"]),  # looks like one, and is a letter of the name
        ("زار وَبغداد أمس", "بغداد", "وَبغداد", ["start clitic و in prediction"]),  # with its vowel
        ("زار «وبغداد أمس", "بغداد", "«وبغداد", ["start clitic و in prediction"]),
        ("زار وبالعراق أمس", "العراق", "وبالعراق", ["start clitic و + clitic ب in prediction"]),
        ("زار وبالعراق أمس", "العراق", "بالعراق", ["start clitic ب in prediction"]),
        ("زار وبالعراق أمس", "عراق", "بالعراق", ["start clitic ب + article ال in prediction"]),
        ("زار العراق أمس", "العراق", "عراق", ["start article ال in gold"]),
        ("وفد للعراق أمس", "لعراق", "للعراق", ["start clitic ل in prediction"]),
        ("وفد للعراق أمس", "عراق", "لعراق", ["start article ال in prediction"]),  # of which ل alone is written
        ("في «بغداد» أمس", "بغداد", "«بغداد»", [f"{edge} quotation mark in prediction" for edge in ("start", "end")]),
        ("حركة (طالبان) أمس", "(طالبان)", "طالبان", [f"{edge} bracket in gold" for edge in ("start", "end")]),
        ("في بغداد، أمس", "بغداد", "بغداد،", ["end punctuation in prediction"]),
        ("في بغداد» أمس", "بغداد", "بغداد» أمس", ["end further word in prediction"]),
        ("في مدينة بغداد أمس", "بغداد", "مدينة بغداد", ["start further word in prediction"]),
        ("في مدينة بغداد أمس", "مدينة بغداد أمس", "مدينة", ["end further words in gold"]),
        ("في مدينة وبغداد أمس", "بغداد", "مدينة وبغداد", ["start further word in prediction"]),
        ("أصيب بشظايا قذيفة", "قذيفة", "شظايا قذيفة", ["start further word in prediction"]),  # شظايا without its ب
        ("في الكاظمية أمس", "كاظمية", "ظمية", ["start part of a word in gold"]),
        ("زار لبنان أمس", "لبنان", "نان", ["start part of a word in gold"]),
        ("زار حارسه أمس", "حارسه", "حارس", ["end part of a word in gold"]),
        ("في كركوكَ أمس", "كركوكَ", "كركوك", ["end diacritics in gold"]),
        ("في بغداد أمس", "بغداد", "بغداد ", ["end white space in prediction"]),
        ("في \u200fبغداد أمس", "بغداد", "\u200fبغداد", ["start white space in prediction"]),
        ("في مدينة بغداد أمس", "مدينة", "بغداد", ["start further word in gold", "end further word in prediction"]),
        ("في بغداد أمس", "بغداد", "بغداد", []),
    ],
)
def test_what_is_to_blame_for_an_edge(text: str, gold: str, predicted: str, expected: list[str]) -> None:
    assert [f"{edge} {cause}" for edge, cause in causes(text, span(text, gold), span(text, predicted))] == expected


@pytest.mark.parametrize(
    ("letters", "parts"),
    [
        ("", ()),
        ("و", ("و",)),
        ("وب", ("و", "ب")),
        ("فلل", ("ف", "ل", "ال")),
        ("وبال", ("و", "ب", "ال")),
        ("ال", ("ال",)),
        ("بو", None),  # in the wrong order
        ("بل", None),
        ("س", None),
        ("كا", None),
    ],
)
def test_clitics_are_told_by_their_form(letters: str, parts: tuple[str, ...] | None) -> None:
    assert proclitics(letters) == parts


@pytest.mark.parametrize(
    ("text", "words", "letters"),
    [
        ("قال وبغداد", "بغداد", "و"),
        ("قال وَلِلأردن", "أردن", "ولل"),
        ("قال بغداد", "بغداد", ""),
        ("قال «بغداد", "بغداد", ""),
        ("قال «بغداد", "«بغداد", ""),
        ("\u200fبغداد", "بغداد", ""),
        ("21بغداد", "بغداد", "21"),
    ],
)
def test_letters_written_before_a_mention(text: str, words: str, letters: str) -> None:
    assert letters_before(text, text.index(words)) == letters


@pytest.mark.parametrize(
    ("gold", "predicted", "expected"),
    [
        ([(0, 5, "A")], [(0, 5, "A")], [(0, 0)]),
        ([(0, 5, "A")], [(5, 9, "A")], [(0, None), (None, 0)]),  # side by side is apart
        ([(0, 5, "A")], [(0, 4, "A"), (0, 5, "B")], [(0, 1), (None, 0)]),  # the same span before the same type
        ([(0, 9, "A")], [(0, 4, "B"), (4, 9, "B")], [(0, 1), (None, 0)]),  # the larger overlap
        ([(0, 8, "A")], [(0, 4, "B"), (4, 8, "A")], [(0, 1), (None, 0)]),  # of equals the same type
        ([(0, 8, "A")], [(0, 4, "A"), (4, 8, "A")], [(0, 0), (None, 1)]),  # then the earlier
        ([(0, 5, "A"), (0, 5, "B")], [(0, 5, "B")], [(1, 0), (0, None)]),  # one trigger of two types
        ([(0, 4, "A"), (4, 8, "A")], [(0, 8, "A")], [(0, 0), (1, None)]),  # one to one
        ([], [(0, 5, "A")], [(None, 0)]),
        ([(0, 5, "A"), (0, 5, "A")], [], [(0, None)]),  # a duplicate is no second mention
    ],
)
def test_mentions_are_paired(
    gold: list[tuple[int, int, str]],
    predicted: list[tuple[int, int, str]],
    expected: list[tuple[int | None, int | None]],
) -> None:
    left, right = ([Mention(*fields) for fields in side] for side in (gold, predicted))
    pairs = [(None if g is None else left[g], None if p is None else right[p]) for g, p in expected]
    found = align(left, right)
    assert set(found) == set(pairs)
    assert len(found) == len(pairs)


def test_a_prediction_keeps_its_best_score() -> None:
    ((_, kept),) = align([Mention(0, 5, "A")], [Mention(0, 5, "A", 0.2), Mention(0, 5, "A", 0.7)])
    assert kept is not None
    assert kept.score == 0.7


spans = st.tuples(st.integers(0, 9), st.integers(1, 4), st.sampled_from("AB")).map(
    lambda s: Mention(s[0], s[0] + s[1], s[2])
)


@given(st.lists(spans, max_size=6), st.lists(spans, max_size=6))
def test_every_mention_is_in_one_pair(gold: list[Mention], predicted: list[Mention]) -> None:
    pairs = align(gold, predicted)
    assert sorted(g for g, _ in pairs if g) == sorted(set(gold))
    assert sorted(p for _, p in pairs if p) == sorted(set(predicted))
    for g, p in pairs:
        assert not (g and p) or max(g.start, p.start) < min(g.end, p.end)
    alone = [g for g, p in pairs if g and not p], [p for g, p in pairs if p and not g]
    assert not any(max(g.start, p.start) < min(g.end, p.end) for g in alone[0] for p in alone[1])
    assert {g for g, p in pairs if g and g == p} == set(gold) & set(predicted)


# Characters that words, clitics and quotes are made of, and any others.
texts = st.text(
    st.one_of(st.sampled_from("وبالكفل سشَـ «»()،.\u200f🔴a1"), st.characters(exclude_categories=["Cs"])), min_size=2
)


@given(texts, st.data())
def test_any_two_edges_have_a_cause(text: str, data: st.DataObject) -> None:
    def draw() -> Mention:
        start = data.draw(st.integers(0, len(text) - 1))
        return Mention(start, data.draw(st.integers(start + 1, len(text))), "A")

    gold, predicted = draw(), draw()
    found, swapped = list(causes(text, gold, predicted)), list(causes(text, predicted, gold))
    assert [edge for edge, _ in found] == [
        edge for edge in ("start", "end") if getattr(gold, edge) != getattr(predicted, edge)
    ]
    sides = {"gold": "prediction", "prediction": "gold"}
    for (_, cause), (_, other) in zip(found, swapped, strict=True):
        name, _, side = cause.rpartition(" in ")
        assert other == f"{name} in {sides[side]}"
    if (text[0] + text[-1]).isalpha():
        assert letters_before(text, 0) == letters_before(text, len(text)) == ""
