"""«قُتل <b>جنديان</b> في غارة على الرقة»: an article as a page, in which every character is the article's."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from khabar import markup, names
from khabar.document import Document, Event, Mention
from khabar.ontology import Ontology
from khabar.viewer import ARTICLES, CHARACTERS, embedded, page, paragraphs, write
from test_html import HOSTILE, Page

TEXT = "قصف <الجيش> مدينة حلب\nأمس"
DOCUMENT = Document(
    "خبر & 1",
    TEXT,
    (Mention(5, 10, "ORG"), Mention(18, 21, "GPE", 0.91), Mention(22, 25, "TIME")),
    (Event(Mention(0, 3, "Conflict:Attack", 0.5), (Mention(12, 21, "Target", 0.25), Mention(22, 25, "Time"))),),
)
# Markup, a script's end, a scheme, a template, letters that turn the direction, a quotation mark for an attribute.
HARM = f'{HOSTILE}\u2066\u200f<a href="javascript:harm=1">&lt;{{% raw %}}]]><!--\r\n'


class Shown(HTMLParser):
    """The text of the articles on a page, and what is marked in it."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.depth = 0
        self.texts: list[str] = []
        self.open: list[dict[str, str | None]] = []
        self.marked: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self.depth or dict(attrs).get("class") == "text":
            if not self.depth:
                self.texts.append("")
            self.depth += 1
            self.open.append(dict(attrs))

    def handle_endtag(self, tag: str) -> None:
        if self.depth:
            self.depth -= 1
            self.open.pop()

    def handle_data(self, data: str) -> None:
        if self.depth:
            self.texts[-1] += data
            self.marked.append((data, {name: value for one in self.open for name, value in one.items()}))


def shown(html: str) -> list[str]:
    return Shown(html).texts


@st.composite
def documents(draw: st.DrawFn) -> Document:
    """Any text, entities that do not overlap, events whose triggers and arguments overlap everything."""
    alphabet = st.characters(exclude_categories=["Cs"], exclude_characters="\0") | st.sampled_from("<>&\"' \r\n\u202e{")
    text = draw(st.text(alphabet, min_size=1, max_size=40))
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=8, unique=True)))
    entities = tuple(Mention(start, end, HARM) for start, end in zip(cuts[::2], cuts[1::2], strict=False))

    def mention(label: str) -> Mention:
        start = draw(st.integers(0, len(text) - 1))
        return Mention(start, draw(st.integers(start + 1, len(text))), label)

    roles = st.sampled_from(["Place", "Victim", HARM])
    events = tuple(
        Event(mention("Life:Die"), tuple(mention(draw(roles)) for _ in range(draw(st.integers(0, 3)))))
        for _ in range(draw(st.integers(0, 3)))
    )
    return Document(draw(st.sampled_from(["1", HARM])), text, entities, events)


@given(documents())
def test_the_text_of_a_page_is_the_article(document: Document) -> None:
    html = page([document])
    assert shown(html) == [document.text]
    read = Page(html)
    assert read.tags["script"] == 1
    assert read.tags["img"] == 0
    assert len(re.findall("<li class=.event card", html)) == len(document.events or ())


@given(documents())
def test_every_character_has_the_mentions_that_cover_it(document: Document) -> None:
    place = 0
    for paragraph in paragraphs(document):
        for run in paragraph.runs:
            for piece in run.pieces:
                for at in range(place, place + len(piece.text)):
                    over = [m for m in document.entities or () if m.start <= at < m.end]
                    assert over == ([run.entity] if run.entity else [])
                    events = list(enumerate(document.events or ()))
                    assert set(piece.triggers) == {n for n, e in events if e.trigger.start <= at < e.trigger.end}
                    assert set(piece.arguments) == {
                        (n, k) for n, e in events for k, a in enumerate(e.arguments) if a.start <= at < a.end
                    }
                place += len(piece.text)
    assert place == len(document.text)


def test_a_page_marks_what_is_labelled() -> None:
    marked = [(text, {k: v for k, v in of.items() if k not in ("class", "lang", "dir")}) for text, of in _marked()]
    assert marked == [
        ("قصف", {"data-ar": "هجوم", "data-en": "Conflict:Attack", "data-t": "1-0"}),
        (" <", {}),
        ("الجيش", {"data-ar": "منظمة", "data-en": "ORG"}),
        ("> ", {}),
        ("مدينة ", {"data-a": "1-0:0"}),
        ("حلب", {"data-ar": "بلد أو مدينة", "data-en": "GPE", "title": "GPE 0.91", "data-a": "1-0:0"}),
        ("\n", {}),
        ("أمس", {"data-ar": "زمن", "data-en": "TIME", "data-a": "1-0:1"}),
    ]


def _marked() -> list[tuple[str, dict[str, str | None]]]:
    return Shown(page([DOCUMENT])).marked


def test_a_card_answers_who_whom_where_and_when() -> None:
    [card] = re.findall(r'<li class="event card".*?</li>', page([DOCUMENT]), re.DOTALL)
    read = Page(f"<p>{card}</p>")
    assert read.text == "قصف 0.50 هجوم Conflict:Attack مدينة حلب 0.25 أمس"
    assert read.values("data-ar") == ["هجوم", "الهدف", "بحقّ مَن", "الهدف", "الزمن", "متى", "الزمن"]
    assert read.values("data-en") == ["Conflict:Attack", "Target", "whom", "Target", "Time", "when", "Time"]
    assert read.values("width") == ["50%", "25%"]


def test_every_role_of_the_shipped_labeller_answers_a_question() -> None:
    assert set(names.shipped().roles) <= set(names.ROLES)
    assert {question for question, _ in names.ROLES.values()} <= set(names.QUESTIONS)
    assert (names.question("Witness"), names.role("Witness")) == ("more", "Witness")


def test_types_have_the_names_of_their_ontology_or_their_own() -> None:
    document = Document("1", "حلب", (Mention(0, 3, "CITY"),), (Event(Mention(0, 3, "Boom")),))
    assert 'data-ar="CITY"' in page([document])
    html = page([document], Ontology.from_json("x", {"CITY": "مدينة"}, {"Boom": {"gloss": "انفجار", "roles": []}}))
    assert 'data-ar="مدينة"' in html
    assert 'data-ar="انفجار"' in html


@pytest.mark.parametrize("document", [Document("1", "نص"), Document("2", "", (), ()), Document("3", " \n\n")])
def test_a_text_without_labels_is_the_text(document: Document) -> None:
    html = page([document])
    assert shown(html) == [document.text]
    assert "<mark" not in html
    assert 'class="event card"' not in html


def test_a_page_without_articles_says_so() -> None:
    assert "No articles here." in page([])


def test_a_page_lets_only_its_own_script_and_style_in() -> None:
    html = page([Document(HARM, HARM, (Mention(0, 9, HARM),), (Event(Mention(1, 8, HARM)),), {"source": HARM})])
    read = Page(html)
    assert read.scripts == [str(markup.source("viewer.js"))]
    [policy] = [value for value in read.values("content") if "default-src" in value]
    assert "default-src 'none'; style-src 'sha256-" in policy
    assert "unsafe" not in policy
    assert {name for name, _ in read.attributes if name.startswith("on") or name == "style"} == set()
    assert [value for value in read.values("href") if "javascript" in value] == []
    assert set(re.findall(r"https?://[^\"]*", html)) == {"http://www.w3.org/2000/svg"}  # a name, not an address


def test_what_no_page_can_hold_is_shown_as_lost() -> None:
    assert shown(page([Document("1", "أ\0ب")])) == ["أ\ufffdب"]


def test_a_notebook_shows_a_document_in_a_frame_of_its_own() -> None:
    html = DOCUMENT._repr_html_()
    assert html == embedded([DOCUMENT])
    frame = Page(html)
    assert frame.values("sandbox") == ["allow-scripts"]
    assert frame.values("srcdoc") == [page([DOCUMENT])]


def test_what_a_notebook_that_is_not_trusted_leaves_of_a_frame_are_the_texts() -> None:
    frame = Page(embedded([DOCUMENT, Document(HARM, HARM)]))
    assert frame.tags == {"iframe": 1, "p": 3}
    said = f"{DOCUMENT.text} {HARM} Entities and events are shown in a notebook that is trusted."
    assert frame.text.split() == said.split()


def test_a_stream_becomes_a_folder_of_pages(tmp_path: Path) -> None:
    alive: list[int] = []

    def stream(count: int) -> Iterator[Document]:
        for number in range(count):
            alive.append(len(list(tmp_path.glob("articles-*.html"))))
            yield Document(f"خبر {number} {HARM}", f"النص {number}\n{HARM}")

    assert write(tmp_path, stream(2 * ARTICLES + 1)) == 3
    assert alive == [0] * (ARTICLES + 1) + [1] * ARTICLES  # a page is written when the next one begins
    index = (tmp_path / "index.html").read_text(encoding="utf-8")
    read = Page(index)
    links = read.values("href")[1:]
    assert len(links) == 2 * ARTICLES + 1
    assert links[ARTICLES] == "articles-00002.html#article=1"
    assert f"النص {2 * ARTICLES}" in read.text
    assert read.scripts == [str(markup.source("viewer.js"))]
    assert len(shown((tmp_path / "articles-00003.html").read_text(encoding="utf-8"))) == 1
    (tmp_path / "articles-mine.html").touch()
    assert write(tmp_path, stream(1)) == 1
    found = sorted(path.name for path in tmp_path.iterdir())
    assert found == ["articles-00001.html", "articles-mine.html", "index.html"]
    assert write(tmp_path / "none", []) == 0
    assert "No articles here." in (tmp_path / "none" / "index.html").read_text(encoding="utf-8")


def test_a_page_of_long_articles_ends_early(tmp_path: Path) -> None:
    assert write(tmp_path, (Document(str(n), "نص " * (CHARACTERS // 6)) for n in range(5))) == 3


def test_an_index_appears_when_all_pages_are_there(tmp_path: Path) -> None:
    def broken() -> Iterator[Document]:
        yield from (Document(str(number), "نص") for number in range(ARTICLES + 1))
        raise OSError

    with pytest.raises(OSError):  # noqa: PT011 (whatever a stream raises)
        write(tmp_path, broken())
    assert [path.name for path in tmp_path.iterdir()] == ["articles-00001.html"]
