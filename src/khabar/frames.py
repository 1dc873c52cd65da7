"""Documents as pandas tables: one row an entity, one row an argument."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from khabar.document import Document

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["ENTITIES", "EVENTS", "Frames", "frames"]

# Column -> its type. Offsets are code points into the text; what is missing is <NA>, as the score of gold.
ENTITIES = {"id": "string", "start": "Int64", "end": "Int64", "text": "string", "type": "string", "score": "Float64"}
EVENTS = {
    "id": "string",
    "event": "Int64",
    **{name: ENTITIES[name] for name in ("start", "end", "text", "type", "score")},
    "role": "string",
    **{f"argument_{name}": ENTITIES[name] for name in ("start", "end", "text", "score")},
}


class Frames(NamedTuple):
    """Two tables.

    ``entities``: id, start, end, text, type, score. ``events``: the id and the event's number in its document (from 0),
    then start, end, text, type, score of its trigger, then role, argument_start, argument_end, argument_text,
    argument_score; an event without arguments has one row, in which these are missing. A layer that was not annotated
    has no rows.
    """

    entities: pd.DataFrame
    events: pd.DataFrame


def frames(documents: Iterable[Document]) -> Frames:
    """The entities and the events of documents."""
    entities: list[tuple[Any, ...]] = []
    events: list[tuple[Any, ...]] = []
    for document in documents:
        for m in document.entities or ():
            entities.append((document.id, m.start, m.end, document.surface(m), m.label, m.score))
        for number, event in enumerate(document.events or ()):
            t = event.trigger
            head = (document.id, number, t.start, t.end, document.surface(t), t.label, t.score)
            for a in event.arguments:
                events.append((*head, a.label, a.start, a.end, document.surface(a), a.score))
            if not event.arguments:
                events.append((*head, *[None] * 5))
    return Frames(_frame(entities, ENTITIES), _frame(events, EVENTS))


def _frame(rows: list[tuple[Any, ...]], columns: dict[str, str]) -> pd.DataFrame:
    import pandas as pd

    held = list(zip(*rows, strict=True)) or [()] * len(columns)
    return pd.DataFrame(
        {name: pd.Series(list(values), dtype=kind) for (name, kind), values in zip(columns.items(), held, strict=True)}
    )
