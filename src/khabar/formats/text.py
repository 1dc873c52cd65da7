"""Plain text: a file is an article, a folder is its ``*.txt`` files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from khabar.document import DataError, Document
from khabar.formats import lines

__all__ = ["read"]


def read(path: Path | str, *, report: Counter[str] | None = None) -> Iterator[Document]:
    """Read a text file, or the ``*.txt`` files of a folder and of the folders in it, in order of their paths.

    The id is the path below the folder without suffix (``2015/story`` for ``2015/story.txt``), or a single
    file's name without suffix. The text is the file as it is, line ends included, but for a byte order mark.
    Empty files are kept, and counted in ``report``. Raises `DataError` that names the file where it is not
    UTF-8, and the folder where it holds no text.
    """
    path = Path(path)
    if path.is_dir():
        files = sorted(file for file in path.rglob("*.txt") if file.is_file())
        names = [file.relative_to(path).with_suffix("").as_posix() for file in files]
        if not files:
            raise DataError(f"{path}: no *.txt files in this folder")
    elif path.is_file():
        files, names = [path], [path.stem]
    else:
        raise DataError(f"{path}: there is no such file or folder")
    for file, name in zip(files, names, strict=True):
        text = lines.decode(file.read_bytes(), str(file)).removeprefix("\ufeff")
        if report is not None and not text.strip():
            report["document without text"] += 1
        yield Document(name, text)
