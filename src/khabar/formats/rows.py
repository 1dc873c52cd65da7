"""A folder of the ``datasets`` library (``save_to_disk``) whose rows are documents.

Columns: ``id``, ``text``, ``entities`` (start, end, type, score), ``events`` (trigger, arguments), ``meta`` as JSON;
a layer that was not annotated is null. Sets of tokens and tags are `khabar.formats.huggingface`'s.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from khabar.document import DataError, Document
from khabar.formats import folders, huggingface, jsonl

__all__ = ["read", "write"]


def write(path: Path | str, documents: Iterable[Document], *, report: Counter[str] | None = None) -> None:
    """Write a new folder; the documents are held in memory. Nothing is lost, so nothing is counted in ``report``."""
    import datasets  # here, because it takes a second

    def mention(key: str) -> dict[str, Any]:
        whole, real = datasets.Value("int64"), datasets.Value("float64")
        return {"start": whole, "end": whole, key: datasets.Value("string"), "score": real}

    features = datasets.Features(
        {
            "id": datasets.Value("string"),
            "text": datasets.Value("string"),
            "entities": datasets.List(mention("type")),
            "events": datasets.List({"trigger": mention("type"), "arguments": datasets.List(mention("role"))}),
            "meta": datasets.Value("string"),
        }
    )
    rows = datasets.Dataset.from_list([_row(document) for document in documents], features=features)
    with folders.new(path) as folder:
        rows.save_to_disk(folder)


def _row(document: Document) -> dict[str, Any]:
    record = json.loads(jsonl.dumps(document))  # names the document where its metadata is not JSON
    meta = json.dumps(record.get("meta", {}), ensure_ascii=False)
    return {"entities": None, "events": None, **record, "meta": meta}


def read(path: Path | str, *, split: str = "train", report: Counter[str] | None = None) -> Iterator[Document]:
    """Read what `write` wrote, or the rows of a split with such columns; sets of tokens go to `huggingface.read`.

    Raises `DataError` that names the row, from 0, for what is no document.
    """
    rows = huggingface.load(path, None, split)
    if "text" not in rows.column_names:
        yield from huggingface.read(path, split=split, report=report)
        return
    for number, row in enumerate(rows):
        record = {"id": str(number), **{key: value for key, value in row.items() if value is not None}}
        try:
            if isinstance(record.get("meta"), str):
                record["meta"] = json.loads(record["meta"])
            yield Document.from_json(record)
        except ValueError as error:  # DataError is one
            raise DataError(f"{path} {split}: row {number}: {error}") from None
