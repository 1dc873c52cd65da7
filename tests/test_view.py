"""«قُتل جنديان في غارة»: what a reader sees of a labelled document."""

from __future__ import annotations

import re
from html import unescape

from hypothesis import given
from hypothesis import strategies as st

from khabar.document import Document, Event, Mention
from khabar.view import page

TEXT = "قصف <الجيش> حلب\nأمس"
DOCUMENT = Document(
    "خبر & 1",
    TEXT,
    (Mention(5, 10, "ORG"), Mention(12, 15, "GPE", 0.91), Mention(16, 19, "TIME")),
    (Event(Mention(0, 3, "Attack", 0.5), (Mention(12, 15, "Place", 0.25),)),),
)


def read(html: str) -> str:
    """The article's text as a browser shows it, labels left out."""
    [body] = re.findall(r"<p>(.*?)</p>", html, re.DOTALL)
    return unescape(re.sub(r"<[^>]*>", "", re.sub(r"<small>.*?</small>", "", body).replace("<br>", "\n")))


def test_a_page_shows_the_text_and_every_mention() -> None:
    html = page([DOCUMENT])
    assert read(html) == TEXT
    assert re.search(r"<mark[^>]*>الجيش<small>ORG</small></mark>", html)
    assert "<b>قصف<small>Attack</small></b>" in html
    assert "خبر &amp; 1" in html
    assert "<span>حلب<i>0.25</i><small>Place</small></span>" in html
    assert html.count("<tr>") == 1


def test_events_that_share_words_are_all_shown() -> None:
    inner, outer = Event(Mention(0, 4, "Meet")), Event(Mention(0, 9, "Attack"))
    html = page([Document("1", "إطلاق النار", None, (inner, outer, Event(Mention(0, 9, "Die"))))])
    assert "<small>Meet</small>" in html
    assert "<small>Attack</small><small>Die</small>" in html


def test_a_page_of_a_text_without_labels_is_the_text() -> None:
    html = page([Document("1", "نص", None, None), Document("2", "", (), ())])
    assert "<p>نص</p>" in html
    assert "<table>" not in html


@given(
    text=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r"), min_size=1),
    data=st.data(),
)
def test_any_text_is_shown_whole(text: str, data: st.DataObject) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), min_size=2, max_size=8, unique=True)) or [0])
    spans = list(zip(cuts, cuts[1:], strict=False))
    entities = tuple(Mention(start, end, "ORG") for start, end in spans[::2])
    start = data.draw(st.integers(0, len(text) - 1))
    trigger = Mention(start, data.draw(st.integers(start + 1, len(text))), "Attack")
    html = page([Document("1", text, entities, (Event(trigger),))])
    assert read(html).split() == text.split()
    assert html.count("<mark") >= len(entities)
