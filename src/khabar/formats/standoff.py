"""Stand-off annotation: the labels of texts that may not be passed on, without a word of the texts.

One JSON object a line: ``id``, ``sha256`` of the text in UTF-8, ``entities`` and ``events`` as in the native
format, ``meta``. Whoever has the texts joins them by their checksum, whatever name they carry there.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

from khabar.document import DataError, Document
from khabar.formats import jsonl, lines, trec

__all__ = ["checksum", "join", "read", "records", "write"]


def checksum(text: str) -> str:
    """The sha256 of a text, white space at its ends aside, in hexadecimal."""
    return hashlib.sha256(text.strip().encode()).hexdigest()


def read(path: Path | str, source: Path | str, *, report: Counter[str] | None = None) -> Iterator[Document]:
    """Join annotation with its texts, found by their checksum in ``source``.

    ``source`` is JSONL, a file of TREC records, or a folder of either. Raises `DataError` that names file, line and
    id where a record is not one, or where no text has its checksum: a part of a corpus would be another corpus.
    Nothing is repaired or dropped, so nothing is counted in ``report``.
    """
    source = Path(source)
    files = sorted(source.rglob("*.jsonl")) if source.is_dir() else [source] if ".jsonl" in source.suffixes else []
    documents = chain.from_iterable(map(jsonl.read, files)) if files else trec.read(source)
    texts = {checksum(document.text): document.text for document in documents}
    for place, key, record in records(path):
        if key not in texts:
            raise DataError(f"{place}: {source} has no text with the checksum of {record['id']!r} ({key})")
        yield join(place, record, texts[key])


def records(path: Path | str) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """The place, checksum and record of each line. Raises `DataError` where a line is not one."""
    for number, line in lines.read(path):
        if not line.strip():
            continue
        place = f"{path}: line {number}"
        try:
            record: Any = json.loads(line)
            key = record.pop("sha256")
            if not isinstance(key, str) or not isinstance(record.get("id"), str):
                raise TypeError("they are strings")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(f"{place}: expected an object with id and sha256 ({error})") from None
        yield place, key, record


def join(place: str, record: Mapping[str, Any], text: str) -> Document:
    """A record with its text. Raises `DataError` that names ``place`` where its offsets are not of the text."""
    try:
        return Document.from_json({**record, "text": text.strip()})
    except DataError as error:
        raise DataError(f"{place}: {error}") from None


def write(path: Path | str, documents: Iterable[Document], meta: Collection[str] = ("category", "source")) -> None:
    """Write the annotation of documents without their texts, whole or not at all.

    Of ``meta`` only these keys are written: a title or an abstract is text too. Raises `DataError` where a text has
    white space at its ends (its checksum would say nothing of the offsets) and where a document cannot be written.
    """
    kept = (replace(d, meta={key: value for key, value in d.meta.items() if key in meta}) for d in documents)
    lines.write(path, map(_line, kept))


def _line(document: Document) -> str:
    if document.text != document.text.strip():
        raise DataError(f"document {document.id!r}: white space at the ends of its text")
    record = json.loads(jsonl.dumps(document))
    del record["text"]
    return json.dumps({"id": record.pop("id"), "sha256": checksum(document.text), **record}, ensure_ascii=False)
