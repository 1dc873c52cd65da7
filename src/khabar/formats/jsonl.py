"""The native format: one document a line as JSON, offsets in code points of its text.

``{"id": …, "text": …, "entities": [{"start", "end", "type"}], "events": [{"trigger": {"start", "end",
"type"}, "arguments": [{"start", "end", "role"}]}], "meta": {…}}``. Only ``id`` and ``text`` are needed;
a layer that is absent was not annotated.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from khabar.document import DataError, Document
from khabar.formats import lines

__all__ = ["dumps", "loads", "read", "record", "write"]


def read(path: Path | str, *, report: Counter[str] | None = None) -> Iterator[Document]:
    """Read documents one by one; blank lines are allowed, documents without text are counted in ``report``.

    Raises `DataError` that names file, line and id for what is not UTF-8, not JSON, not a document, or an id
    that came before.
    """
    seen: dict[str, int] = {}
    for number, line in lines.read(path):
        if not line.strip():
            continue
        document = loads(line, f"{path}: line {number}")
        if document.id in seen:
            raise DataError(f"{path}: line {number}: id {document.id!r} is also on line {seen[document.id]}")
        seen[document.id] = number
        if report is not None and not document.text.strip():
            report["document without text"] += 1
        yield document


def loads(line: str, place: str) -> Document:
    """One line of JSON as a document.

    Raises `DataError` that names ``place`` for what is not JSON or not a document.
    """
    found = record(line, place)
    try:
        document = Document.from_json(found)
        document.id.encode()
    except UnicodeEncodeError as error:
        raise DataError(f"{place}: lone surrogate in the id {error.object!r}") from None
    except DataError as error:
        raise DataError(f"{place}: {error}") from None
    return document


def record(line: str, place: str) -> dict[str, Any]:
    """One line of JSON as an object; raises `DataError` that names ``place`` for anything else."""
    try:
        found = json.loads(line)
    except json.JSONDecodeError as error:
        raise DataError(f"{place}: not JSON: {error.msg} at character {error.pos}") from None
    except (RecursionError, ValueError) as error:  # nested too deeply; an integer of thousands of digits
        raise DataError(f"{place}: JSON that cannot be read: {error}") from None
    if not isinstance(found, dict):
        raise DataError(f"{place}: expected a JSON object, got {type(found).__name__}")
    return found


def dumps(document: Document) -> str:
    """One document as a line of JSON, without the line end.

    Raises `DataError` that names the document where its metadata is not JSON or holds a lone surrogate.
    """
    try:
        line = json.dumps(document.to_json(), ensure_ascii=False, allow_nan=False)
        line.encode()
    except (TypeError, ValueError) as error:  # UnicodeEncodeError is a ValueError
        raise DataError(f"document {document.id!r} cannot be written as JSON: {error}") from None
    return line


def write(path: Path | str, documents: Iterable[Document]) -> None:
    """Write documents, whole or not at all.

    Raises `DataError` where an id comes twice or a document cannot be written (`dumps`).
    """
    lines.write(path, _unique(path, documents))


def _unique(path: Path | str, documents: Iterable[Document]) -> Iterator[str]:
    seen: set[str] = set()
    for document in documents:
        if document.id in seen:
            raise DataError(f"{path}: document {document.id!r} is there twice")
        seen.add(document.id)
        yield dumps(document)
