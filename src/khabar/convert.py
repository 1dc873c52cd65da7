"""Convert documents from one format to another, and say what the other cannot hold."""

from __future__ import annotations

import inspect
import logging
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from khabar.document import DataError, Document
from khabar.formats import brat, cas, conll, docbin, doccano, jsonl, label_studio, lines, oneie, parquet, rows
from khabar.formats.spans import as_layer, lose, of_layer
from khabar.ontology import Ontology

__all__ = ["FORMATS", "Format", "convert"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Format:
    """A format: its reader, ``read(path, *, report)``, and its writer, ``write(path, documents, *, report)``."""

    read: Callable[..., Iterable[Document]]
    write: Callable[..., None]


def _read_columns(
    path: Path | str, *, layer: str = "entities", report: Counter[str] | None = None, **options: Any
) -> Iterator[Document]:
    """Read one layer; a file with ``-DOCSTART-`` is cut there, another at each sentence, if not told otherwise."""
    first = next((line for _, line in lines.read(path) if line.strip()), "")
    options = {"sentences_per_document": sys.maxsize if first.startswith("-DOCSTART-") else 1, **options}
    return (of_layer(document, layer) for document in conll.read(path, report=report, **options))


def _write_columns(
    path: Path | str,
    documents: Iterable[Document],
    *,
    layer: str = "entities",
    move_to_tokens: bool = True,
    report: Counter[str] | None = None,
) -> None:
    """Write one layer, ``entities`` or ``triggers``, as IOB2; what columns cannot hold is counted."""
    report = Counter() if report is None else report
    lost = report

    def spans() -> Iterator[Document]:
        for document in documents:
            lose(document, lost, "ids", "meta", "scores")
            if document.text != "\n".join(" ".join(line.split()) for line in document.text.split("\n") if line.split()):
                lost["text whose white space is changed"] += 1
            yield as_layer(document, layer, lost)

    conll.write(path, spans(), move_to_tokens=move_to_tokens, report=report)


def _write_lines(path: Path | str, documents: Iterable[Document], *, report: Counter[str] | None = None) -> None:
    jsonl.write(path, documents)  # holds everything


def _read_parquet(path: Path | str, *, report: Counter[str] | None = None) -> Iterator[Document]:
    return parquet.read(path)  # other columns become metadata: nothing is lost


def _write_parquet(path: Path | str, documents: Iterable[Document], *, report: Counter[str] | None = None) -> None:
    parquet.write(path, documents)  # holds everything


FORMATS: Mapping[str, Format] = {
    "jsonl": Format(jsonl.read, _write_lines),
    "parquet": Format(_read_parquet, _write_parquet),
    "conll": Format(_read_columns, _write_columns),
    "brat": Format(brat.read, brat.write),
    "label_studio": Format(label_studio.read, label_studio.write),
    "doccano": Format(doccano.read, doccano.write),
    "oneie": Format(oneie.read, oneie.write),
    "cas": Format(cas.read, cas.write),
    "spacy": Format(docbin.read, docbin.write),
    "huggingface": Format(rows.read, rows.write),
}


def convert(
    source_format: str,
    target_format: str,
    source: Path | str,
    output: Path | str,
    *,
    ontology: Ontology | None = None,
    reading: Mapping[str, Any] | None = None,
    writing: Mapping[str, Any] | None = None,
) -> Counter[str]:
    """Read documents in one format, write them in another; return, and log as warnings, what was changed or lost.

    Args:
        source_format, target_format: names in `FORMATS`.
        source: a file, or a folder where the format is one.
        output: what to write; it appears whole, when everything is written.
        ontology: types for the labelling configuration of Label Studio and brat; documents are checked against it.
        reading, writing: further parameters of the reader and the writer, such as ``layer: triggers`` for CoNLL.

    Raises `DataError` for a format that is not known, a parameter that the format does not have, and whatever its
    reader and writer raise.

    """
    for name in (source_format, target_format):
        if name not in FORMATS:
            raise DataError(f"there is no format {name!r}, expected one of {', '.join(FORMATS)}")
    if Path(source).resolve() == Path(output).resolve():
        raise DataError(f"{output}: source and output are one")
    report: Counter[str] = Counter()
    read, write = FORMATS[source_format].read, FORMATS[target_format].write
    parameters = dict(writing or {})
    if ontology is not None and "ontology" in inspect.signature(write).parameters:
        parameters["ontology"] = ontology
    number = 0

    def documents() -> Iterator[Document]:
        nonlocal number
        found = read(source, report=report, **_accepted(source_format, read, reading or {}, {"path", "report"}))
        for document in tqdm(found, desc=f"{source_format} to {target_format}", unit=" documents"):
            number += 1
            yield document if ontology is None else ontology.check(document)

    _accepted(target_format, write, writing or {}, {"path", "documents", "report", "ontology"})
    write(output, documents(), report=report, **parameters)
    for message, count in sorted(report.items()):
        log.warning("%s: %d", message, count)
    log.info("%s: %d documents", output, number)
    return report


def _accepted(
    name: str, function: Callable[..., Any], options: Mapping[str, Any], reserved: set[str]
) -> dict[str, Any]:
    """The options, where the function has them all."""
    function = conll.read if function is _read_columns else function
    known = set(inspect.signature(function).parameters) - reserved | ({"layer"} if name == "conll" else set())
    if unknown := set(options) - known:
        raise DataError(f"{name} has no parameters {sorted(unknown)}, expected some of {sorted(known)}")
    return dict(options)
