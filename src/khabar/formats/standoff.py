"""Stand-off annotation: the labels of texts that may not be passed on, without a word of the texts.

One JSON object a line: ``id``, ``sha256`` of the text in UTF-8, ``entities`` and ``events`` as in the native
format, ``meta``. Whoever has the texts joins them by their checksum, whatever name they carry there.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

from khabar.document import DataError, Document
from khabar.formats import jsonl, lines, trec

__all__ = ["checksum", "read", "write"]


def checksum(text: str) -> str:
    """The sha256 of a text, white space at its ends aside, in hexadecimal."""
    return hashlib.sha256(text.strip().encode()).hexdigest()


def read(path: Path | str, source: Path | str, *, report: Counter[str] | None = None) -> Iterator[Document]:
    """Join annotation with its texts, found by their checksum in ``source``.

    ``source`` is JSONL, a file of TREC records, or a folder of either. Raises `DataError` that names file, line and
    id where a record is not one, or where no text has its checksum: a part of a corpus would be another corpus.
    """
    source = Path(source)
    files = sorted(source.rglob("*.jsonl")) if source.is_dir() else [source] if ".jsonl" in source.suffixes else []
    documents = chain.from_iterable(map(jsonl.read, files)) if files else trec.read(source)
    texts = {checksum(document.text): document.text.strip() for document in documents}
    for number, line in lines.read(path):
        if not line.strip():
            continue
        place = f"{path}: line {number}"
        try:
            record: Any = json.loads(line)
            name, key = record["id"], record.pop("sha256")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(f"{place}: expected an object with id and sha256 ({error})") from None
        if key not in texts:
            raise DataError(f"{place}: {source} has no text with the checksum of {name!r} ({key})")
        try:
            yield Document.from_json({**record, "text": texts[key]})
        except DataError as error:
            raise DataError(f"{place}: {error}") from None


def write(path: Path | str, documents: Iterable[Document]) -> None:
    """Write the annotation of documents without their texts, whole or not at all.

    Raises `DataError` where a text has white space at its ends: its checksum would say nothing of the offsets.
    """
    lines.write(path, map(_line, documents))


def _line(document: Document) -> str:
    if document.text != document.text.strip():
        raise DataError(f"document {document.id!r}: white space at the ends of its text")
    record = document.to_json()
    del record["text"]
    return json.dumps({"id": record.pop("id"), "sha256": checksum(document.text), **record}, ensure_ascii=False)
