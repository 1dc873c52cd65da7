"""«قُتل جنديان في غارة»: what a reader sees of a labelled document in the terminal."""

from __future__ import annotations

import io

from rich.console import Console

from khabar.document import Document, Event, Mention
from khabar.view import terminal


def test_a_terminal_shows_the_text_and_every_mention() -> None:
    document = Document(
        "خبر",
        "قصف الجيش حلب",
        (Mention(4, 9, "ORG"), Mention(10, 13, "GPE", 0.91)),
        (Event(Mention(0, 3, "Attack", 0.5), (Mention(10, 13, "Place", 0.25),)), Event(Mention(4, 9, "Die"))),
    )
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(terminal(document))
    shown = console.export_text()
    for words in ("قصف الجيش حلب", "2 entities", "2 events", "Attack", "Place", "0.25", "–"):
        assert words in shown


def test_control_characters_do_not_shift_what_is_marked() -> None:
    text = "قال\r\nالأمس\r\nفي حلب"
    document = Document("خبر", text, (Mention(len(text) - 3, len(text), "GPE"),))
    console = Console(width=100, record=True, file=io.StringIO())
    console.print(terminal(document))
    assert ">حلب</span>" in console.export_html()
