"""Column files: a token and its tag on each line, a blank line between sentences."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

from khabar.document import DataError, Document
from khabar.formats import lines
from khabar.formats.tags import Scheme, Sentence, documents, split_tag

__all__ = ["read", "sentences", "write"]

_BOUNDARY = "-DOCSTART-"


def read(
    path: Path | str,
    *,
    token_column: int = 0,
    tag_column: int = -1,
    separator: str | None = None,
    scheme: Scheme = "IOB2",
    labels: Mapping[str, str | None] | None = None,
    sentences_per_document: int = 1,
    skip_tokens: Collection[str] = (),
    strip: str = "",
    drop_duplicates: bool = False,
    id_prefix: str | None = None,
    report: Counter[str] | None = None,
) -> Iterator[Document]:
    """Read the sentences of a column file as documents with entities; ``.gz`` and ``.xz`` are unpacked.

    Columns are counted from 0, or from the end where negative, and parted by ``separator``, or by spaces and
    tabs where it is ``None``. A ``-DOCSTART-`` line ends a document. ``id_prefix`` is the file's name without
    suffix if not given. The other parameters are those of `khabar.formats.tags.documents`.

    Raises `DataError` that names file and line for a wrong number of columns or a tag that is none.
    """
    path = Path(path)
    return documents(
        _sentences(path, token_column, tag_column, separator, strip),
        id_prefix=path.name.split(".")[0] if id_prefix is None else id_prefix,
        scheme=scheme,
        labels=labels,
        sentences_per_document=sentences_per_document,
        skip_tokens=skip_tokens,
        strip=strip,
        drop_duplicates=drop_duplicates,
        report=report,
    )


def sentences(
    path: Path | str, *, token_column: int = 0, tag_column: int = -1, separator: str | None = None
) -> Iterator[Sentence]:
    """The tokens and tags of each sentence as they stand; raises `DataError` as `read` does."""
    return (found for found in _sentences(Path(path), token_column, tag_column, separator, "") if found is not None)


def _sentences(
    path: Path, token_column: int, tag_column: int, separator: str | None, strip: str
) -> Iterator[Sentence | None]:
    """Sentences, and ``None`` at each ``-DOCSTART-``."""
    least = max(c + 1 if c >= 0 else -c for c in (token_column, tag_column, 1))
    # Counted from the end, a column is another one on a longer line: then all lines must be equally long.
    width = 0
    tokens: list[str] = []
    tags: list[str] = []
    for number, line in lines.read(path):
        is_boundary = line.startswith(_BOUNDARY)
        if is_boundary or not line.strip(" \t" + strip):
            if tokens:
                yield tokens, tags
                tokens, tags = [], []
            if is_boundary:
                yield None
            continue
        columns = re.split(r"[ \t]+", line.strip(" \t")) if separator is None else line.split(separator)
        if len(columns) < least or (width and len(columns) != width):
            expected = str(width) if width else f"at least {least}"
            problem = f"expected {expected} columns, got {len(columns)}: {line!r}"
            raise DataError(f"{path}: line {number}: {problem}")
        if min(token_column, tag_column) < 0:
            width = len(columns)
        tag = columns[tag_column].strip()
        try:
            split_tag(tag)
        except DataError as error:
            raise DataError(f"{path}: line {number}: {error}") from None
        tokens.append(columns[token_column])
        tags.append(tag)
    if tokens:
        yield tokens, tags


def write(
    path: Path | str,
    documents: Iterable[Document],
    *,
    move_to_tokens: bool = False,
    report: Counter[str] | None = None,
) -> None:
    """Write the entities of documents as IOB2 over white-space tokens, whole or not at all.

    A line of the text is a sentence; ``-DOCSTART-`` precedes each document. A mention that does not stand at
    the edges of tokens is refused, or with ``move_to_tokens`` grows to them, counted in ``report``; where it
    then meets the mention before it, it is dropped and counted.

    Raises `DataError` that names the document for such a mention, for entities that were not annotated, for
    types with white space in them, and for a token ``-DOCSTART-``.
    """
    report = Counter() if report is None else report
    lines.write(path, (line for document in documents for line in _lines(document, move_to_tokens, report)))


def _lines(document: Document, move_to_tokens: bool, report: Counter[str]) -> Iterator[str]:
    if document.entities is None:
        raise DataError(f"document {document.id!r}: its entities were not annotated")
    yield f"{_BOUNDARY} O"
    yield ""
    tokens = list(re.finditer(r"\S+", document.text))
    tags = ["O"] * len(tokens)
    for mention in document.entities:
        if not re.fullmatch(r"\S+", mention.label):
            raise DataError(f"document {document.id!r}: white space in the type {mention.label!r}")
        inside = [i for i, t in enumerate(tokens) if t.start() < mention.end and mention.start < t.end()]
        extent = (tokens[inside[0]].start(), tokens[inside[-1]].end()) if inside else None
        if extent != (mention.start, mention.end):
            if not move_to_tokens:
                raise DataError(
                    f"document {document.id!r}: {mention.label} {mention.start}..{mention.end} "
                    f"{document.surface(mention)!r} does not stand at the edges of tokens"
                )
            if not inside or tags[inside[0]] != "O":
                report["mention dropped: no token of its own"] += 1
                continue
            report["mention moved to the edges of tokens"] += 1
        for i in inside:
            tags[i] = f"{'B' if i == inside[0] else 'I'}-{mention.label}"
    end = 0
    for token, tag in zip(tokens, tags, strict=True):
        if token[0].startswith(_BOUNDARY):
            raise DataError(f"document {document.id!r}: the token {token[0]!r} would end the document")
        if "\n" in document.text[end : token.start()]:
            yield ""
        yield f"{token[0]} {tag}"
        end = token.end()
    yield ""
