"""A labelled document as people read it: in the terminal, and as a page."""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import escape

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from khabar.document import Document, Mention

__all__ = ["page", "terminal"]

# Colours that are told apart on dark and light ground; types beyond them begin again.
_COLOURS = ("cyan", "green", "magenta", "yellow", "blue", "red", "bright_cyan", "bright_green")
_TRIGGER = "bold underline"


def terminal(document: Document) -> RenderableType:
    """The text with its mentions marked, then its entities by type and a card for each event."""
    types = sorted({mention.label for mention in document.entities or ()})
    colours = {label: _COLOURS[number % len(_COLOURS)] for number, label in enumerate(types)}
    text = Text(document.text.strip("\n"))
    shift = len(document.text) - len(document.text.lstrip("\n"))
    for mention in document.entities or ():
        text.stylize(colours[mention.label], mention.start - shift, mention.end - shift)
    for event in document.events or ():
        text.stylize(_TRIGGER, event.trigger.start - shift, event.trigger.end - shift)
    parts: list[RenderableType] = [
        Panel(text, title=Text(document.id), subtitle="entities coloured, triggers underlined")
    ]
    if document.entities is not None:
        parts.append(_entities(document, colours))
    if document.events is not None:
        parts.append(_events(document))
    return Group(*parts)


def _entities(document: Document, colours: dict[str, str]) -> Table:
    table = Table("type", "entities", title=f"{len(document.entities or ())} entities")
    for label, colour in colours.items():
        surfaces = dict.fromkeys(document.surface(m) for m in document.entities or () if m.label == label)
        table.add_row(Text(label, colour), Text(" · ".join(surfaces)))
    return table


def _events(document: Document) -> Table:
    table = Table("event", "trigger", "role", "argument", title=f"{len(document.events or ())} events")
    for event in document.events or ():
        table.add_section()
        rows = [(Text(argument.label), _scored(document, argument)) for argument in event.arguments]
        for number, (role, argument) in enumerate(rows or [(Text("–"), Text(""))]):
            head = (Text(event.type), _scored(document, event.trigger)) if number == 0 else (Text(""), Text(""))
            table.add_row(*head, role, argument)
    return table


def _scored(document: Document, mention: Mention) -> Text:
    text = Text(document.surface(mention))
    return text if mention.score is None else text.append(f"  {mention.score:.2f}", "dim")


_STYLE = """
body { font-family: "Noto Naskh Arabic", "Amiri", "Segoe UI", sans-serif; color: #1c1c1c; background: #fff;
  max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
article { margin-bottom: 3rem; }
h2 { font-size: 1rem; direction: ltr; text-align: left; color: #666; }
p { font-size: 1.15rem; line-height: 2.4; }
mark { color: inherit; padding: .15em .3em; border-radius: .3em; }
small, i { direction: ltr; unicode-bidi: isolate; margin-right: .4em; }
small { font: 600 .55em/1 system-ui, sans-serif; opacity: .7; }
b { border-bottom: .15em solid #c22; }
b small { color: #c22; opacity: 1; }
table { border-collapse: collapse; width: 100%; font-size: 1.05rem; }
td { padding: .15em .7em; vertical-align: baseline; border-top: 1px solid #ccc; line-height: 1.9; }
td:first-child { direction: ltr; text-align: right; white-space: nowrap; font: .75em system-ui, sans-serif; }
td span { display: inline-block; margin-left: 1.6em; }
i { font: .65em system-ui, sans-serif; color: #999; }
"""
_GROUNDS = ("#cfe8ff", "#d5f0d0", "#f6d6f2", "#fdeab5", "#ffd9cc", "#d9d6fb", "#cdeeee", "#e6e6d8")


def page(documents: Iterable[Document]) -> str:
    """One HTML page of labelled documents, right to left, that needs no other file.

    Entities have a coloured ground by type, triggers a red line; a table lists each event with its arguments and,
    where a model gave them, their probabilities.
    """
    documents = list(documents)
    types = sorted({mention.label for document in documents for mention in document.entities or ()})
    grounds = {label: _GROUNDS[number % len(_GROUNDS)] for number, label in enumerate(types)}
    articles = "\n".join(_article(document, grounds) for document in documents)
    return (
        '<!doctype html>\n<html lang="ar" dir="rtl">\n<meta charset="utf-8">\n<title>khabar</title>\n'
        f"<style>{_STYLE}</style>\n{articles}\n</html>"
    )


def _article(document: Document, grounds: dict[str, str]) -> str:
    entities = {mention.start: mention for mention in document.entities or ()}
    triggers = [event.trigger for event in document.events or ()]
    edges = {0, len(document.text)}
    for mention in (*entities.values(), *triggers):
        edges |= {mention.start, mention.end}
    parts, places = [], sorted(edges)
    entity = None
    for start, end in zip(places, places[1:], strict=False):
        entity = entities.get(start, entity)
        piece = re.sub(r"\s*\n\s*", "<br>", escape(document.text[start:end]))  # blank lines take no room
        if over := [trigger for trigger in triggers if trigger.start <= start and end <= trigger.end]:
            ended = dict.fromkeys(trigger.label for trigger in over if trigger.end == end)
            piece = f"<b>{piece}{''.join(f'<small>{escape(label)}</small>' for label in ended)}</b>"
        if entity and start < entity.end:
            label = f"<small>{escape(entity.label)}</small>" if end == entity.end else ""
            piece = f'<mark style="background: {grounds[entity.label]}">{piece}{label}</mark>'
        parts.append(piece)
    rows = "".join(
        f"<tr><td>{escape(event.type)}</td><td><b>{_words(document, event.trigger)}</b></td><td>"
        + " ".join(f"<span>{_words(document, a)}<small>{escape(a.label)}</small></span>" for a in event.arguments)
        + "</td></tr>\n"
        for event in document.events or ()
    )
    table = f"<table>\n{rows}</table>\n" if rows else ""
    return f"<article>\n<h2>{escape(document.id)}</h2>\n<p>{''.join(parts)}</p>\n{table}</article>"


def _words(document: Document, mention: Mention) -> str:
    score = "" if mention.score is None else f"<i>{mention.score:.2f}</i>"
    return f"{escape(document.surface(mention))}{score}"
