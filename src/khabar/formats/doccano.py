"""doccano: a record a line, ``{"text", "entities": [{"id", "label", "start_offset", "end_offset"}], "relations"}``.

That is what a project with relations imports and exports. The older records of ``[start, end, label]`` lists under
``label`` (or ``labels``) are read too. doccano has one list of labels: a trigger is labelled ``Trigger:`` and its
event type, an extent that is no entity ``Argument``, and roles are relations from the trigger. Offsets are code
points. ``document``, ``layers`` and ``meta`` are further keys, which doccano keeps as a record's metadata and exports
again. The project must allow overlapping spans.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from khabar.document import DataError, Document
from khabar.formats import lines
from khabar.formats.spans import ARGUMENT, Kind, Link, Span, dumps, gather, layers_of, lose, records, spread

__all__ = ["read", "write"]

_TRIGGER = "Trigger:"
_KEPT = ("id", "text", "data", "document", "layers", "meta", "entities", "relations", "label", "labels", "Comments")


def write(path: Path | str, documents: Iterable[Document], *, report: Counter[str] | None = None) -> None:
    """Write records, whole or not at all. Scores are not held, and counted in ``report``.

    Raises `DataError` for entity types that would be read as something else (``Argument``, ``Trigger:…``).
    """
    report = Counter() if report is None else report
    lines.write(path, (dumps(d, _record(d, report)) for d in documents))


def _record(document: Document, report: Counter[str]) -> dict[str, Any]:
    lose(document, report, "scores")
    spans, links = spread(document)
    for span in spans:
        if span.kind == "entity" and span.label.startswith(_TRIGGER):
            raise DataError(f"document {document.id!r}: entity type {span.label!r} would be read as a trigger")
    return {
        "text": document.text,
        "entities": [
            {
                "id": number,
                "label": (_TRIGGER if span.kind == "trigger" else "") + span.label,
                "start_offset": span.start,
                "end_offset": span.end,
            }
            for number, span in enumerate(spans)
        ],
        "relations": [
            {"id": number, "from_id": link.trigger, "to_id": link.argument, "type": link.role}
            for number, link in enumerate(links)
        ],
        "document": document.id,
        "layers": layers_of(document),
        "meta": dict(document.meta),
    }


def read(
    path: Path | str, *, layers: Collection[str] | None = None, report: Counter[str] | None = None
) -> Iterator[Document]:
    """Read records; a record without our ``document`` key has its ``id`` as id, or else its line's number.

    ``layers``: what was annotated, where the record does not say. Comments and what a document cannot hold are
    counted in ``report``. Raises `DataError` that names file and line.
    """
    report = Counter() if report is None else report
    for number, line in lines.read(path):
        if line.strip():
            place = f"{path}: line {number}"
            try:
                yield _document(records(line, place), number, place, layers, report)
            except (TypeError, ValueError, KeyError, AttributeError) as error:
                if isinstance(error, DataError):
                    raise
                raise DataError(f"{place}: not what doccano exports ({type(error).__name__}: {error})") from None


def _document(record: Any, number: int, place: str, layers: Collection[str] | None, report: Counter[str]) -> Document:
    text = record.get("text", record.get("data")) if isinstance(record, Mapping) else None
    if not isinstance(text, str):
        raise DataError(f"{place}: expected an object with a string text")
    if record.get("Comments"):
        report["doccano comment left out"] += len(record["Comments"])
    entities = record.get("entities")
    if entities is None:
        lists = record.get("label", record.get("labels")) or []
        if not all(isinstance(part, list) and len(part) == 3 for part in lists):
            raise DataError(f"{place}: expected labels as lists of start, end and label")
        entities = [{"id": n, "start_offset": s, "end_offset": e, "label": x} for n, (s, e, x) in enumerate(lists)]
    spans: list[Span] = []
    ids: dict[Any, int] = {}
    for n, entity in enumerate(entities):
        start, end, label = entity["start_offset"], entity["end_offset"], entity["label"]
        if type(start) is not int or type(end) is not int or not isinstance(label, str):
            raise DataError(f"{place}: expected integer offsets and a string label, got {entity!r}")
        ids[entity.get("id", n)] = len(spans)
        kind: Kind = "argument" if label == ARGUMENT else "trigger" if label.startswith(_TRIGGER) else "entity"
        spans.append(Span(kind, start, end, label.removeprefix(_TRIGGER) if kind == "trigger" else label))
    links = []
    for relation in record.get("relations") or ():
        if not {relation["from_id"], relation["to_id"]} <= ids.keys() or not isinstance(relation["type"], str):
            raise DataError(f"{place}: expected a relation of two of its entities, got {relation!r}")
        links.append(Link(ids[relation["from_id"]], ids[relation["to_id"]], relation["type"]))
    meta = record["meta"] if isinstance(record.get("meta"), Mapping) else {}
    meta = {**{key: value for key, value in record.items() if key not in _KEPT}, **meta}
    name = str(record.get("document", record.get("id", number)))
    own = record.get("layers") if layers is None else layers
    if own is not None and not isinstance(own, list | tuple | set):
        raise DataError(f"{place}: expected layers as a list, got {own!r}")
    return gather(name, text, spans, links, place=place, layers=own, meta=meta, report=report)
