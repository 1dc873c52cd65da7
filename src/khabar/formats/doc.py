"""A document as spaCy's ``Doc``: entities in ``doc.ents``, events in the span groups ``triggers`` and ``arguments``.

The attribute ``events`` of the group ``arguments`` says for each span the number of its trigger. Id, metadata, layers
and scores are one JSON string in ``doc.user_data["khabar"]``. Tokens are cut at the edges of mentions, so that each is
a span, and the text of a ``Doc`` is the document's, white space included. Needs ``khabar[spacy]``.
"""

from __future__ import annotations

import re
from typing import Any

from khabar.document import DataError, Document, Mention
from khabar.formats.spans import dumps, layers_of

__all__ = ["KEY", "convert"]

KEY = "khabar"  # of user_data


def convert(document: Document, vocabulary: Any = None) -> Any:
    """The ``spacy.tokens.Doc`` of a document; ``vocabulary`` is that of its pipeline, else one of Arabic.

    Raises `DataError` where spaCy is missing, or metadata is no JSON.
    """
    try:
        import spacy
        from spacy.tokens import Doc, Span, SpanGroup
    except ImportError:
        raise DataError("a Doc needs spaCy: pip install 'khabar[spacy]'") from None
    words, spaces = _tokens(document)
    doc = Doc(spacy.blank("ar").vocab if vocabulary is None else vocabulary, words=words, spaces=spaces)
    first = {token.idx: token.i for token in doc}
    last = {token.idx + len(token): token.i for token in doc}

    def span(mention: Mention) -> Any:
        return Span(doc, first[mention.start], last[mention.end] + 1, label=mention.label)

    doc.set_ents(
        [span(mention) for mention in document.entities or ()],
        default="missing" if document.entities is None else "outside",
    )
    events = document.events or ()
    arguments = [(number, argument) for number, event in enumerate(events) for argument in event.arguments]
    doc.spans["triggers"] = [span(event.trigger) for event in events]
    doc.spans["arguments"] = SpanGroup(
        doc, name="arguments", spans=[span(a) for _, a in arguments], attrs={"events": [n for n, _ in arguments]}
    )
    scores = {
        "entities": [mention.score for mention in document.entities or ()],
        "triggers": [event.trigger.score for event in events],
        "arguments": [argument.score for _, argument in arguments],
    }
    record = {"id": document.id, "meta": dict(document.meta), "layers": layers_of(document), "scores": scores}
    doc.user_data[KEY] = dumps(document, record)
    return doc


def _tokens(document: Document) -> tuple[list[str], list[bool]]:
    """Words and whether a space follows each; a mention begins and ends with a token."""
    text = document.text
    cuts = {0, len(text)} | {edge for m in document.mentions() for edge in (m.start, m.end)}
    cuts |= {edge for found in re.finditer(r"\s|\S+", text) for edge in found.span()}
    edges = sorted(cuts)
    inside = {mention.start for mention in document.mentions()} | {m.end - 1 for m in document.mentions()}
    words: list[str] = []
    spaces: list[bool] = []
    for start, end in zip(edges, edges[1:], strict=False):
        # A space is its own token where a mention begins or ends with it, and where it follows a space.
        if text[start:end] == " " and words and not spaces[-1] and start not in inside:
            spaces[-1] = True
        else:
            words.append(text[start:end])
            spaces.append(False)
    return words, spaces
