"""«قال "الجيش السوري" (سانا): …»: quotation marks and stray brackets are no part of a mention."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from khabar.document import Mention
from khabar.edges import trimmed, whole

CASES = {
    "الجيش السوري": "الجيش السوري",
    '"الجيش السوري"': "الجيش السوري",
    "«تنظيم داعش": "تنظيم داعش",
    "تنظيم «داعش»": "تنظيم «داعش",  # a span never ends in a quotation mark
    "شركة «أنكا» التركية": "شركة «أنكا» التركية",
    "اليوم (الجمعة)": "اليوم (الجمعة)",
    "(الجمعة)": "(الجمعة)",
    "الجمعة)": "الجمعة",
    "22 يوليو (تموز) 2016": "22 يوليو (تموز) 2016",
    "(تموز": "تموز",
    "تموز (": "تموز",
    ") تموز": "تموز",
    "الرقة،": "الرقة",
    "الرقة.": "الرقة.",  # as in ا.ف.ب.: a word's own full stop cannot be told from a sentence's
    "- الرقة:": "الرقة",
    "\u200f الرقة\u200f ": "الرقة",
    "الرقة\x1b«": "الرقة",
    "مقتل جنديين\nفي الرقة": "مقتل جنديين",
    "\nفي الرقة": "في الرقة",
    "«»": "«»",  # nothing would be left
    "\n": "\n",
}


@pytest.mark.parametrize("span", CASES)
def test_marks_at_the_edges_are_left_out(span: str) -> None:
    text = f"قال {span} أمس"
    start, end = trimmed(text, 4, 4 + len(span))
    assert text[start:end] == CASES[span]


@given(st.text("اب \n\u200f«»()[]\"'،.-", min_size=1, max_size=12) | st.text(min_size=1, max_size=12), st.data())
def test_a_part_is_left_and_trimming_it_again_changes_nothing(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    first, last = trimmed(text, start, end)
    assert start <= first < last <= end
    assert trimmed(text, first, last) == (first, last)


ENTITY = Mention(10, 20, "ORG")


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ((10, 20), (10, 20)),
        ((10, 14), (10, 20)),
        ((12, 20), (10, 20)),
        ((13, 15), (10, 20)),
        ((8, 20), (8, 20)),  # it holds the entity
        ((15, 25), (15, 25)),  # it crosses its edge
        ((0, 10), (0, 10)),
        ((20, 22), (20, 22)),
    ],
)
def test_an_argument_is_no_part_of_a_name(argument: tuple[int, int], expected: tuple[int, int]) -> None:
    found = whole(Mention(*argument, "Agent", 0.7), [Mention(0, 5, "GPE"), ENTITY])
    assert (found.start, found.end, found.label, found.score) == (*expected, "Agent", 0.7)
