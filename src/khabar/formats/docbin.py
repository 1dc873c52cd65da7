"""spaCy's ``DocBin``: a file of ``Doc`` as `khabar.formats.doc` makes them. Needs ``khabar[spacy]``.

Tokens are cut at the edges of mentions; spaCy aligns them with its own tokens in training.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from khabar.document import DataError, Document, Event, Mention
from khabar.formats import folders
from khabar.formats.doc import KEY, convert
from khabar.formats.spans import LAYERS, disjoint

__all__ = ["read", "write"]


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
        bin_.add(convert(document, vocabulary))
    folders.put(path, bin_.to_bytes())


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
    record: Mapping[str, Any] = json.loads(doc.user_data.get(KEY, "{}"))
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
