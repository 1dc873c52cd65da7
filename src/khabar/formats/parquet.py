"""Parquet: one document a row, read and written in batches of rows.

The columns are those of the native format (`khabar.formats.jsonl`): ``id``, ``text``, ``entities`` and ``events`` as
lists of structs, where a null list is a layer that was not annotated, and ``meta`` as a JSON string. Of files that
others wrote only ``id`` and ``text`` are needed; what other columns they have goes into the metadata.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet as pq

from khabar.document import DataError, Document
from khabar.formats import lines

__all__ = ["SCHEMA", "join", "read", "record", "rows", "write"]


def _mention(label: str) -> Any:
    numbers = [("start", pa.int32()), ("end", pa.int32())]
    return pa.struct([*numbers, (label, pa.string()), ("score", pa.float64())])


SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
        ("entities", pa.list_(_mention("type"))),
        ("events", pa.list_(pa.struct([("trigger", _mention("type")), ("arguments", pa.list_(_mention("role")))]))),
        ("meta", pa.string()),
    ]
)
ROWS, CHARACTERS = 1024, 1 << 22  # of a row group, at most; a longer article is one alone
BATCH = 16  # rows read at a time


def read(path: Path | str) -> Iterator[Document]:
    """Read documents one by one. Raises `DataError` that names file and row, as `khabar.formats.jsonl.read` does."""
    seen: dict[str, int] = {}
    for number, row in rows(path):
        place = f"{path}: row {number}"
        found = record(row, place)
        try:
            document = Document.from_json(found)
        except DataError as error:
            raise DataError(f"{place}: {error}") from None
        if document.id in seen:
            raise DataError(f"{place}: id {document.id!r} is also in row {seen[document.id]}")
        seen[document.id] = number
        yield document


def rows(path: Path | str) -> Iterator[tuple[int, Any]]:
    """Yield the rows of a file with their numbers from 1, each a record batch of one row, for `record`.

    Raises `DataError` where the file is not there, is no Parquet, or lacks the columns id and text.
    """
    try:
        # The buffer size keeps it from reading whole columns of a row group at once.
        with pq.ParquetFile(path, buffer_size=1 << 20) as file:
            schema, number = file.schema_arrow, 0
            for name in ("id", "text"):
                index = schema.get_field_index(name)
                if index < 0 or not _is_text(schema.field(index).type):
                    found = ", ".join(f"{field.name} ({field.type})" for field in schema)
                    raise DataError(f"{path}: expected the columns id and text, one of each, of strings; got {found}")
            for batch in file.iter_batches(BATCH):
                for index in range(len(batch)):
                    yield (number := number + 1), batch.slice(index, 1)
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file") from None
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path}: cannot be read as Parquet: {error}") from None


def _is_text(kind: Any) -> bool:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    texts = (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view)
    tests = (*texts, pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view)
    return any(test(kind) for test in tests)


def record(row: Any, place: str) -> dict[str, Any]:
    """One row as the object that `khabar.formats.jsonl` would read; columns of no meaning here go into ``meta``.

    Values that JSON does not have become the nearest it has: times and decimals strings, bytes base64, not-a-number
    null. Raises `DataError` that names ``place`` where a string is not UTF-8, or meta is no JSON object.
    """
    found: dict[str, Any] = {}
    for name, column in zip(row.schema.names, row.columns, strict=True):
        if name in ("id", "text"):
            if pa.types.is_dictionary(column.type):
                column = column.dictionary_decode()
            large = pa.types.is_large_string(column.type) or pa.types.is_large_binary(column.type)
            # Arrow takes it on trust that a string is UTF-8, so the bytes are decoded here.
            value = column.cast(pa.large_binary() if large else pa.binary())[0].as_py()
            found[name] = None if value is None else lines.decode(value, f"{place}: {name}")
        else:
            try:
                found[name] = _plain(column[0].as_py())
            except ValueError as error:  # no UTF-8, or a time that Python cannot say
                raise DataError(f"{place}: column {name!r}: {error}") from None
    result = {name: found.pop(name) for name in ("id", "text")}
    for name in ("entities", "events"):
        if (layer := found.pop(name, None)) is not None:
            result[name] = _without_nulls(layer)
    meta = found.pop("meta", None)
    if isinstance(meta, str):
        try:
            meta = json.loads(meta)
        except (RecursionError, ValueError) as error:
            raise DataError(f"{place}: meta is not JSON: {error}") from None
    if meta is not None and not isinstance(meta, dict):
        raise DataError(f"{place}: expected a JSON object as meta, got {type(meta).__name__}")
    return {**result, "meta": {**(meta or {}), **found}}


def _plain(value: Any) -> Any:
    """The nearest JSON value."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, date | datetime | time):
        return value.isoformat()
    return base64.b64encode(value).decode() if isinstance(value, bytes) else str(value)


def _without_nulls(value: Any) -> Any:
    """What a struct writes as null, JSON leaves out."""
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value


def write(path: Path | str, documents: Iterable[Document]) -> None:
    """Write documents, whole or not at all, a row group at a time.

    Raises `DataError` where a document cannot be written; what stood at ``path`` then stays.
    """
    with lines.replaced(path) as partial, pq.ParquetWriter(partial, SCHEMA, compression="zstd") as file:
        group: list[dict[str, Any]] = []
        size = 0
        for document in documents:
            if group and (len(group) == ROWS or size + len(document.text) > CHARACTERS):
                file.write_table(pa.Table.from_pylist(group, SCHEMA))
                group, size = [], 0
            group.append(_row(document))
            size += len(document.text)
        if group:
            file.write_table(pa.Table.from_pylist(group, SCHEMA))


def _row(document: Document) -> dict[str, Any]:
    row = document.to_json()
    try:
        meta = row.get("meta")
        row["meta"] = None if meta is None else json.dumps(meta, ensure_ascii=False, allow_nan=False)
        for value in (document.id, row["meta"] or "", *(mention.label for mention in document.mentions())):
            value.encode()
    except (TypeError, ValueError) as error:  # UnicodeEncodeError is a ValueError
        raise DataError(f"document {document.id!r} cannot be written as Parquet: {error}") from None
    return row


def join(parts: Iterable[Path], output: Path) -> None:
    """Write the row groups of files that `write` wrote into one file; no more than one of them is held."""
    with pq.ParquetWriter(output, SCHEMA, compression="zstd") as file:
        for part in parts:
            with pq.ParquetFile(part) as source:
                for index in range(source.num_row_groups):
                    file.write_table(source.read_row_group(index))
