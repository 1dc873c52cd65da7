"""Where articles come from: files, folders and standard input as one stream, in memory that does not grow with it."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO, cast

from khabar.document import DataError, Document
from khabar.formats import jsonl, lines

__all__ = ["ERRORS", "MANIFEST", "STDIN", "Refused", "articles", "is_stream", "readable"]

STDIN = "-"
INPUT = "standard input"
JSONL = (".jsonl", *(f".jsonl{suffix}" for suffix in lines.PACKED))
PARQUET = ".parquet"
DEPTH = 100  # levels of metadata: what is nested deeper cannot be written again everywhere
MANIFEST, ERRORS = "manifest.jsonl", ".errors.jsonl"  # which `khabar.shards` writes beside the articles
REASON = 500  # characters
_NO_TEXTS = {".json", ".ndjson", ".csv", ".tsv"}


@dataclass(frozen=True)
class Refused:
    """An article that cannot be labelled: its id where it could be read, where it stands, and why."""

    id: str | None
    source: str
    reason: str


def articles(sources: Sequence[Path | str], longest: int = 1_000_000) -> Iterator[Document | Refused]:
    """The articles of files, folders and standard input, one by one, in the order given.

    A source is a text file, a JSONL file (``.jsonl``, also ``.gz``, ``.zst``, ``.xz``), a ``.parquet`` file, a folder
    of such files, or a stream: ``-`` for standard input, or a pipe, which is JSONL where it begins with a brace and
    else one text. In a folder texts come first, then the other files, each in order of their paths; the manifest and
    the error records that labelling leaves there are no articles.

    An article is `Refused`, and the others go on, where it is not UTF-8, not JSON, not a document, longer than
    ``longest`` characters, or without a letter or digit. Whether an id comes twice is not looked at: that would take
    memory that grows with the stream. `khabar.formats.jsonl.read` refuses it when the labelled articles are read.

    Raises `DataError` for a source that is not there, is given twice or holds no articles, at once; and for one that
    cannot be read on, after the articles before that place were given.
    """
    if longest < 1:
        raise DataError(f"longest={longest}: expected a number of characters from 1")
    if isinstance(sources, str | Path) or not sources:
        raise DataError(f"sources={sources!r}: expected a list of files, folders or {STDIN!r}")
    _check(sources)
    return chain.from_iterable(_source(source, longest) for source in sources)


def is_stream(source: Path | str) -> bool:
    """Whether a source is standard input or a pipe, which is read once."""
    path = Path(source)
    return str(source) in (STDIN, "/dev/stdin") or not (path.is_file() or path.is_dir())


def _check(sources: Sequence[Path | str]) -> None:
    seen: set[Path | str] = set()
    for source in sources:
        path = Path(source)
        place = STDIN if str(source) == STDIN else path.resolve()
        if place in seen:
            raise DataError(f"{source}: this source is given twice")
        seen.add(place)
        if place != STDIN and not path.exists():
            raise DataError(f"{source}: there is no such file or folder")
        if path.suffix in _NO_TEXTS and path.is_file():
            raise DataError(f"{source}: expected text, JSON lines named .jsonl, or .parquet: this would be one text")
        if path.is_dir() and place != STDIN and not any(chain(_texts(path), _records(path))):
            raise DataError(f"{source}: no *.txt, *.jsonl or *.parquet files in this folder")
    for place in seen:
        if isinstance(place, Path) and (folder := next((p for p in place.parents if p in seen), None)):
            raise DataError(f"{place}: this source is given twice: it also lies in {folder}")


def _walk(folder: Path) -> Iterator[Path]:
    """The files of a folder and of those in it, in order of their paths; holds the names of one folder at a time."""
    try:
        with os.scandir(folder) as found:
            entries = sorted((entry.name, entry.is_dir()) for entry in found)
    except OSError as error:
        raise DataError(f"{folder}: cannot be read: {error.strerror}") from None
    for name, is_folder in entries:
        if is_folder:
            yield from _walk(folder / name)
        else:
            yield folder / name


def _texts(folder: Path) -> Iterator[Path]:
    return (file for file in _walk(folder) if file.suffix == ".txt")


def _records(folder: Path) -> Iterator[Path]:
    kept = (file for file in _walk(folder) if file.name.endswith((*JSONL, PARQUET)))
    return (file for file in kept if file.name != MANIFEST and not file.name.endswith(ERRORS))


def _source(source: Path | str, longest: int) -> Iterator[Document | Refused]:
    path = Path(source)
    if str(source) == STDIN:
        return _stream(cast("io.BufferedReader", sys.stdin.buffer), "stdin", INPUT, longest)
    if path.is_dir():
        named = ((file, file.relative_to(path).with_suffix("").as_posix()) for file in _texts(path))
        texts = (_text(file, name, longest) for file, name in named)
        return chain(texts, chain.from_iterable(_file(file, longest) for file in _records(path)))
    return _file(path, longest)


def _file(path: Path, longest: int) -> Iterator[Document | Refused]:
    if path.name.endswith(JSONL):
        return _lines(lines.raw(path, _most(longest)), str(path), longest)
    if path.suffix == PARQUET:
        return _rows(path, longest)
    if is_stream(path):
        return _pipe(path, longest)
    return iter([_text(path, path.stem, longest)])


def _most(longest: int) -> int:
    """Bytes of a line beyond which no article of this many characters needs it, each written as two escapes."""
    return 16 * longest + (1 << 20)


def _text(path: Path, name: str, longest: int) -> Document | Refused:
    with lines.opened(path) as file:
        return _plain(file, name, str(path), longest)


def _plain(file: BinaryIO, name: str, place: str, longest: int, before: bytes = b"") -> Document | Refused:
    """The rest of a file as one article, as it is, but for a byte order mark."""
    data = before + file.read(4 * longest + 4)  # a character has at most four bytes, the byte order mark three
    if len(data) > 4 * longest + 3:
        return Refused(name, place, _too_long(f"more than {longest:,}", longest))
    try:
        text = lines.decode(data, place).removeprefix("\ufeff")
    except DataError as error:
        return Refused(name, place, _reason(error, place))
    return readable({"id": name, "text": text}, place, longest)


def _lines(numbered: Iterator[tuple[int, bytes | None]], place: str, longest: int) -> Iterator[Document | Refused]:
    for number, line in numbered:
        if line is None or line.strip():  # blank lines are allowed
            yield _line(line, f"{place}: line {number}", longest)


def _line(line: bytes | None, place: str, longest: int) -> Document | Refused:
    if line is None:
        return Refused(None, place, f"a line of more than {_most(longest):,} bytes: an article may be {longest:,} long")
    try:
        return readable(jsonl.record(lines.decode(line, place), place), place, longest)
    except DataError as error:
        return Refused(None, place, _reason(error, place))


def _rows(path: Path, longest: int) -> Iterator[Document | Refused]:
    from khabar.formats import parquet  # imports pyarrow

    for number, row in parquet.rows(path):
        place = f"{path}: row {number}"
        try:
            yield readable(parquet.record(row, place), place, longest)
        except DataError as error:
            yield Refused(None, place, _reason(error, place))


def _pipe(path: Path, longest: int) -> Iterator[Document | Refused]:
    with lines.opened(path) as stream:
        yield from _stream(cast("io.BufferedReader", stream), path.name, str(path), longest)


def _stream(stream: io.BufferedReader, name: str, place: str, longest: int) -> Iterator[Document | Refused]:
    """A stream without a suffix to tell what it is: that shows at the first byte that is not blank."""
    blank, first = b"", 1
    while (ahead := stream.peek(1)) and not ahead.removeprefix(lines.BOM).strip():
        passed = stream.read(len(ahead))
        first += passed.count(b"\n")
        if len(blank) <= 4 * longest:  # more white space is too long for a text anyway
            blank += passed
    if not ahead.removeprefix(lines.BOM).lstrip().startswith(b"{"):
        yield _plain(stream, name, place, longest, blank)
    else:
        yield from _lines(lines.numbered(stream, _most(longest), first), place, longest)


def readable(record: dict[str, Any], place: str, longest: int) -> Document | Refused:
    """A record as an article, if it is one that can be labelled and written again; ``place`` says where it stands."""
    name: Any = record.get("id")
    text = record.get("text")
    try:
        if isinstance(text, str) and len(text) > longest:
            raise DataError(_too_long(f"{len(text):,}", longest))
        if _is_deep(record.get("meta")):
            raise DataError(f"metadata nested deeper than {DEPTH} levels")
        document = Document.from_json(record)
        if record.keys() > {"id", "text"} or not name.isascii():
            jsonl.dumps(document)  # metadata may be what is no JSON, such as NaN
        if not any(map(str.isalnum, document.text)):
            raise DataError("no letter or digit" if text else "empty")
    except DataError as error:
        return Refused(_encodable(name), place, _reason(error, place))
    return document


def _is_deep(value: Any) -> bool:
    level = [value]
    for _ in range(DEPTH):
        level = [
            child
            for parent in level
            for child in (parent.values() if isinstance(parent, dict) else parent if isinstance(parent, list) else ())
        ]
        if not level:
            return False
    return True


def _too_long(characters: str, longest: int) -> str:
    return f"{characters} characters: longer than {longest:,} (longest)"


def _encodable(name: Any) -> str | None:
    return name if isinstance(name, str) and not any("\ud800" <= c <= "\udfff" for c in name) else None


def _reason(error: DataError, place: str) -> str:
    reason = str(error).removeprefix(f"{place}: ").encode(errors="backslashreplace").decode()
    return reason if len(reason) <= REASON else reason[:REASON] + "…"
