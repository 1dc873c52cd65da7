"""spaCy's ``DocBin``: entities in ``doc.ents``, events in the span groups ``triggers`` and ``arguments``.

The attribute ``events`` of ``arguments`` says for each span which trigger it belongs to. Id, metadata, layers and
scores are one JSON string in ``doc.user_data["khabar"]``. Tokens are cut at the edges of mentions, so that each is a
span (spaCy aligns them with its own tokens in training), and the text of a ``Doc`` is the document's, white space
included. Needs ``khabar[spacy]``.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from khabar.document import DataError, Document, Event, Mention
from khabar.formats import folders
from khabar.formats.spans import LAYERS, disjoint, dumps, layers_of

__all__ = ["read", "write"]

_KEY = "khabar"


def _spacy() -> Any:
    try:
        import spacy
        import spacy.tokens
    except ImportError:
        raise DataError("a DocBin needs spaCy: pip install 'khabar[spacy]'") from None
    return spacy


def write(path: Path | str, documents: Iterable[Document], *, report: Counter[str] | None = None) -> None:
    """Write a file, whole or not at all. Nothing is lost, so nothing is counted in ``report``."""
    spacy = _spacy()
    vocabulary = spacy.blank("ar").vocab
    bin_ = spacy.tokens.DocBin(attrs=["ENT_IOB", "ENT_TYPE"], store_user_data=True)
    for document in documents:
        bin_.add(_doc(spacy, vocabulary, document))
    folders.put(path, bin_.to_bytes())


def _doc(spacy: Any, vocabulary: Any, document: Document) -> Any:
    words, spaces = _tokens(document)
    doc = spacy.tokens.Doc(vocabulary, words=words, spaces=spaces)
    first = {token.idx: token.i for token in doc}
    last = {token.idx + len(token): token.i for token in doc}

    def span(mention: Mention) -> Any:
        return spacy.tokens.Span(doc, first[mention.start], last[mention.end] + 1, label=mention.label)

    annotated = document.entities is not None
    doc.set_ents([span(m) for m in document.entities or ()], default="outside" if annotated else "missing")
    events = document.events or ()
    arguments = [(number, argument) for number, event in enumerate(events) for argument in event.arguments]
    doc.spans["triggers"] = [span(event.trigger) for event in events]
    doc.spans["arguments"] = spacy.tokens.SpanGroup(
        doc, name="arguments", spans=[span(a) for _, a in arguments], attrs={"events": [n for n, _ in arguments]}
    )
    record = {"id": document.id, "meta": dict(document.meta), "layers": layers_of(document)}
    record["scores"] = {
        "entities": [m.score for m in document.entities or ()],
        "triggers": [event.trigger.score for event in events],
        "arguments": [argument.score for _, argument in arguments],
    }
    doc.user_data[_KEY] = dumps(document, record)
    return doc


def _tokens(document: Document) -> tuple[list[str], list[bool]]:
    """Words and whether a space follows each; a mention begins and ends with a token."""
    text = document.text
    starts = {mention.start for mention in document.mentions()}
    ends = {mention.end for mention in document.mentions()}
    cuts = starts | ends
    words: list[str] = []
    spaces: list[bool] = []
    for place, character in enumerate(text):
        if character == " " and words and not spaces[-1] and place not in starts and place + 1 not in ends:
            spaces[-1] = True
        elif words and not spaces[-1] and place not in cuts and not (character.isspace() or words[-1][-1].isspace()):
            words[-1] += character
        else:
            words.append(character)
            spaces.append(False)
    return words, spaces


def read(
    path: Path | str, *, layers: Collection[str] | None = None, report: Counter[str] | None = None
) -> Iterator[Document]:
    """Read the documents of a file; one that was not written here has its number as id.

    ``layers``: what was annotated, where a document does not say; else entities were, and events if there is a group
    ``triggers``. Other span groups are counted in ``report``. Raises `DataError` that names file and document.
    """
    spacy = _spacy()
    report = Counter() if report is None else report
    try:
        data = Path(path).read_bytes()
    except (FileNotFoundError, IsADirectoryError):
        raise DataError(f"{path}: there is no such file") from None
    try:
        docs = list(spacy.tokens.DocBin().from_bytes(data).get_docs(spacy.blank("ar").vocab))
    except Exception as error:  # zlib, msgpack, KeyError: spaCy has no class for what is no DocBin
        raise DataError(f"{path}: not a DocBin: {error}") from None
    for number, doc in enumerate(docs, start=1):
        place = f"{path}: document {number}"
        try:
            yield _document(doc, str(number), layers, report)
        except (DataError, KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            raise DataError(f"{place}: {error}") from None


def _document(doc: Any, number: str, layers: Collection[str] | None, report: Counter[str]) -> Document:
    record: Mapping[str, Any] = json.loads(doc.user_data.get(_KEY, "{}"))
    scores = record.get("scores", {})

    def mentions(kind: str, spans: Iterable[Any]) -> list[Mention]:
        found = list(spans)
        given = scores.get(kind) or []
        given = given if len(given) == len(found) else [None] * len(found)  # somebody changed the spans
        return [
            Mention(span.start_char, span.end_char, span.label_, score)
            for span, score in zip(found, given, strict=True)
        ]

    groups = doc.spans
    if others := [name for name in groups if name not in ("triggers", "arguments")]:
        report["span group left out"] += len(others)
    triggers = mentions("triggers", groups.get("triggers", ()))
    roles: list[list[Mention]] = [[] for _ in triggers]
    if "arguments" in groups:
        owners = groups["arguments"].attrs["events"]
        for owner, argument in zip(owners, mentions("arguments", groups["arguments"]), strict=True):
            roles[owner].append(argument)
    if layers is None:
        layers = record.get("layers", LAYERS if "triggers" in groups else LAYERS[:1])
    events = tuple(Event(trigger, tuple(found)) for trigger, found in zip(triggers, roles, strict=True))
    return Document(
        record.get("id", number),
        doc.text,
        tuple(disjoint(mentions("entities", doc.ents), report)) if "entities" in layers else None,
        events if "events" in layers else None,
        record.get("meta", {}),
    )
