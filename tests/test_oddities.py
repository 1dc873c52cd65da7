"""«زار الرئيس الفرنسي لبنان وبغداد»: a mention keeps to words and clitics, and holds nothing else."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import jensenshannon  # type: ignore[import-untyped,unused-ignore]

from khabar.checks.inventory import divergence, labels, novelty, quantiles, statistics
from khabar.checks.oddities import clitics_left_in, letters_before, of_offsets, of_text
from khabar.document import Document, Event, Mention


def marked(text: str, layer: str = "entities") -> Document:
    """A document with one mention, between bars: ``زار |لبنان| أمس``."""
    before, surface, after = text.split("|")
    mention = Mention(len(before), len(before) + len(surface), "GPE")
    entities, events = ((mention,), None) if layer == "entities" else (None, (Event(mention),))
    return Document("1", before + surface + after, entities, events)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("زار |لبنان| أمس", []),
        ("زار و|لبنان|", []),  # behind a clitic
        ("قال ل|لأمم المتحدة|", []),
        ("زار وَ|لبنان|", []),
        ("ما فعل وب|لبنان|", []),  # two clitics
        ("زار ال|عراق|", ["starts_inside_word"]),
        ("زار س|لبنان|", ["starts_inside_word"]),
        ("زار و|َلبنان|", ["starts_inside_word"]),  # leaves a diacritic behind
        ("زار |لبنا|ن", ["ends_inside_word"]),
        ("زار |لبنان|َ", ["ends_inside_word"]),
        ("زار |لبنان |أمس", ["space_at_edge"]),
        ("زار |لبنان،| أمس", ["punctuation_at_edge"]),
        ("قال «|لبنان»| أمس", ["punctuation_at_edge"]),
        ("قال |«لبنان»| أمس", []),  # both of the pair
        ("يوم |22 يوليو (تموز)| الماضي", []),
        ("وكالة |أ.ف.ب.| أمس", []),
        ("قال |محمد ب.| أمس", []),  # an initial
        ("نسبة |5%| فقط", []),
        ("مسافة |50|كم", []),  # no space parts a number and its unit
        ("الساعة الـ|3|", []),
        ("زار |لبنان\nوسوريا|", ["over_line_end"]),
    ],
)
def test_edges_of_mentions(text: str, expected: list[str]) -> None:
    assert [oddity.check for oddity in of_offsets(marked(text))] == expected
    assert [oddity.check for oddity in of_offsets(marked(text, "triggers"))] == expected


def test_what_stands_before_a_mention_in_its_word() -> None:
    assert letters_before("زار وَبِلبنان", 8) == "وب"
    assert letters_before("لبنان", 0) == ""
    assert letters_before("زار لبنان", 7) == "لبن"


def test_what_is_annotated_twice_is_said_once() -> None:
    attack, target = Mention(0, 4, "Attack"), Mention(5, 10, "Target")
    text = "هاجم الجيش"
    twice = Document("1", text, None, (Event(attack, (target, target)),))
    assert [(o.check, o.unit and o.unit.layer) for o in of_offsets(twice)] == [("repeated_unit", "arguments")]
    events = Document("1", text, None, (Event(attack), Event(attack, (target,))))
    assert [(o.check, o.detail) for o in of_offsets(events)] == [("repeated_unit", "")]
    roles = Document("1", text, None, (Event(attack, (target, Mention(5, 10, "Place"))), Event(Mention(0, 4, "Die"))))
    assert list(of_offsets(roles)) == []  # one span in two roles, one trigger of two types: no copies


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("زار لبنان", []),
        (" \n", ["empty_text"]),
        ("زار لبن\ufffdان", ["odd_characters"]),
        ("زار ﻟﺒﻨﺎن", ["odd_characters"]),  # letters coded by shape
        ("قال ﷺ إن ﴿الله﴾\t\u200fلا\r\n", []),
        ("زار\x00لبنان", ["odd_characters"]),
    ],
)
def test_characters_that_something_broke(text: str, expected: list[str]) -> None:
    assert [oddity.check for oddity in of_text(Document("1", text))] == expected


@pytest.mark.parametrize(
    ("surface", "elsewhere", "suspect"),
    [
        ("وبغداد", ["بغداد"], True),
        ("بالعراق", ["العراق"], True),
        ("للعراق", ["العراق"], True),
        ("والأمم المتحدة", ["الأمم الأفريقية"], True),  # the article, and a word that another begins with
        ("وأمم متحدة", ["أمم أفريقية"], False),
        ("لبنان", ["لبنان"], False),
        ("فرنسا", ["ألمانيا"], False),
        ("بدر", ["در"], False),  # too little is left
    ],
)
def test_clitics_that_seem_left_in(surface: str, elsewhere: Sequence[str], suspect: bool) -> None:
    documents = [marked(f"زار |{text}| أمس") for text in [surface, *elsewhere]]
    assert bool([unit for _, unit in clitics_left_in(documents)]) == suspect
    one = Document("2", "عن " + elsewhere[0], (Mention(3, 3 + len(elsewhere[0]), "PER"),))
    assert list(clitics_left_in([documents[0], one])) == []  # another label says nothing


@given(before=st.lists(st.text(min_size=1)), inside=st.text(min_size=1), after=st.text())
def test_a_mention_between_spaces_cuts_no_word(before: list[str], inside: str, after: str) -> None:
    text = " ".join(before) + " "
    document = Document("1", f"{text}{inside} {after}", (Mention(len(text), len(text) + len(inside), "GPE"),))
    found = {oddity.check for oddity in of_offsets(document)}
    assert "ends_inside_word" not in found
    assert letters_before(document.text, len(text)) == ""


# What is annotated

COUNTS = st.dictionaries(st.sampled_from("ابجده"), st.integers(0, 50), min_size=1).filter(lambda c: any(c.values()))


@given(left=COUNTS, right=COUNTS)
def test_divergence_equals_the_reference_and_is_symmetric(left: dict[str, int], right: dict[str, int]) -> None:
    names = sorted(left.keys() | right.keys())
    distance = jensenshannon([left.get(n, 0) for n in names], [right.get(n, 0) for n in names], 2)
    assert divergence(left, right) == pytest.approx(distance**2, abs=1e-9)
    assert divergence(left, right) == pytest.approx(divergence(right, left))


def test_divergence_goes_from_nothing_to_one_bit() -> None:
    assert divergence({"PER": 1, "ORG": 3}, {"PER": 10, "ORG": 30}) == 0
    assert divergence({"PER": 1}, {"ORG": 1}) == 1


def test_quantiles_are_values() -> None:
    assert quantiles([4, 1, 3, 2]) == {"least": 1, "q1": 1, "median": 2, "q3": 3, "p95": 3, "most": 4}
    assert set(quantiles([7]).values()) == {7}


def test_what_the_splits_hold(documents: tuple[Document, ...]) -> None:
    splits = {"train": documents[:2], "test": documents[2:]}
    counts = labels(splits)
    assert counts["triggers"]["Attack"]["train"] == 1
    assert counts["arguments"]["Meet/Place"] == {"train": 1, "test": 1}
    assert list(counts["entities"]) == sorted(counts["entities"], key=lambda n: -sum(counts["entities"][n].values()))
    numbers = statistics(splits)
    assert numbers["train"]["documents"] == 2
    assert numbers["train"]["sentences"] == 2
    assert numbers["train"]["lengths"]["documents"]["most"] == 10
    assert "lengths" in statistics({"train": []})["train"]


def test_surfaces_that_train_does_not_have_are_unseen() -> None:
    train, dev = marked("زار |الرقّة| أمس"), marked("في |الرقه| و")
    assert novelty({"train": [train], "dev": [dev]}) == {"entities": {"dev": {"mentions": 1, "unseen": 0}}}
    assert novelty({"train": [], "dev": [dev]}) == {"entities": {"dev": {"mentions": 1, "unseen": 1}}}
    assert novelty({"dev": [dev]}) == {}
