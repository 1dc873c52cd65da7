"""TREC news: files of ``<DOC>`` records with tagged fields, as ANT Corpus distributes its articles.

A record holds ``<DOCNO>``, the id, ``<TEXT>``, the article, and other fields (``<TITLE>``, ``<TIME>``), which
become ``meta`` under their names in lower case. The tags are literal: nothing in them is escaped.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from khabar.document import DataError, Document
from khabar.formats import lines

__all__ = ["read"]

_RECORD = re.compile(r"<DOC>(.*?)</DOC>", re.DOTALL)
_FIELD = re.compile(r"<([A-Z]+)>(.*?)</\1>", re.DOTALL)


def read(path: Path | str, *, report: Counter[str] | None = None) -> Iterator[Document]:
    """Read a file, or the ``*.txt`` files of a folder and of the folders in it that hold records.

    Texts are stripped of white space at their ends, line ends become line feeds. Files of a folder without any
    record (a README) are counted in ``report``. Raises `DataError` that names the file where it is not UTF-8, where a
    record is not closed, lacks its id or text or has a field twice, and where nothing was found at all.
    """
    path = Path(path)
    files = sorted(path.rglob("*.txt")) if path.is_dir() else [path]
    found = False
    for file in files:
        try:
            content = lines.decode(file.read_bytes(), str(file)).replace("\r\n", "\n")
        except FileNotFoundError:
            raise DataError(f"{path}: there is no such file or folder") from None
        records = _RECORD.findall(content)
        if not content.count("<DOC>") == content.count("</DOC>") == len(records):
            raise DataError(f"{file}: a <DOC> without its </DOC>, or the other way round")
        if not records and report is not None:
            report["file without a <DOC> record"] += 1
        for number, record in enumerate(records, start=1):
            found = True
            pairs = _FIELD.findall(record)
            fields = {name.lower(): value.strip() for name, value in pairs}
            if len(fields) < len(pairs):
                raise DataError(f"{file}: record {number}: a field is there twice")
            if missing := {"docno", "text"} - fields.keys():
                raise DataError(f"{file}: record {number}: no field {sorted(missing)}, expected <DOCNO> and <TEXT>")
            name, text = fields.pop("docno"), fields.pop("text")
            if report is not None and not text:
                report["document without text"] += 1
            yield Document(name, text, meta={key: value for key, value in fields.items() if value})
    if not found:
        raise DataError(f"{path}: no <DOC> record in {len(files)} files")
