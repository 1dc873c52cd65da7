"""A labelled document as people read it in the terminal."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.control import STRIP_CONTROL_CODES
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from khabar.document import Document, Mention

__all__ = ["terminal"]

# Colours that are told apart on dark and light ground; types beyond them begin again.
_COLOURS = ("cyan", "green", "magenta", "yellow", "blue", "red", "bright_cyan", "bright_green")
_TRIGGER = "bold underline"
_CONTROLS = dict.fromkeys(STRIP_CONTROL_CODES, " ")


def terminal(document: Document) -> RenderableType:
    """The text with its mentions marked, then its entities by type and a card for each event."""
    types = sorted({mention.label for mention in document.entities or ()})
    colours = {label: _COLOURS[number % len(_COLOURS)] for number, label in enumerate(types)}
    # rich drops control characters, and what follows them would be shifted.
    text = Text(document.text.translate(_CONTROLS).strip("\n"))
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
