"""Folders and binary files written whole or not at all, and the names that documents have in folders."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, unquote

from khabar.document import DataError

__all__ = ["file_name", "identifier", "new", "put"]

# What some file system forbids, what would hide a file, and the escape itself.
_UNSAFE = re.compile(r'[\x00-\x1f\x7f%\\:*?"<>|]|^\.|[. ]$')
_LONGEST = 200  # bytes; file systems allow 255, with the suffix


@contextmanager
def new(path: Path | str) -> Iterator[Path]:
    """A folder to fill, which gets its name when everything is in it.

    Raises `DataError` where there is a file of that name, or a folder with something in it: it is not ours to replace.
    """
    path = Path(path)
    if path.is_dir() and any(path.iterdir()):
        raise DataError(f"{path}: this folder is not empty; give the name of a new one")
    if path.exists() and not path.is_dir():
        raise DataError(f"{path}: expected a folder to write, this is a file")
    path.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}-"))
    try:
        yield staging
        staging.chmod(0o755)
        if path.is_dir():
            path.rmdir()
        os.replace(staging, path)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def put(path: Path | str, data: bytes) -> None:
    """Write a file, whole or not at all, with the folders it stands in."""
    path = Path(path)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(data)
        partial.replace(path)
    except (FileExistsError, NotADirectoryError, IsADirectoryError):
        raise DataError(f"{path}: the id of one document is a folder of another's") from None
    finally:
        if partial.parent.is_dir():
            partial.unlink(missing_ok=True)


def file_name(name: str) -> str:
    """The id of a document as a path without suffix; ``2015/story`` stays as it is, what is unsafe becomes ``%XX``.

    Raises `DataError` for an id that is empty, longer than file names may be, or not Unicode.
    """
    parts = name.split("/")
    slash = "/" if all(parts) else "%2F"  # one that parts nothing is no folder
    try:
        found = slash.join(_UNSAFE.sub(lambda c: "%2E" if c[0] == "." else quote(c[0]), part) for part in parts)
        longest = max(len(part.encode()) for part in found.split("/"))
    except UnicodeEncodeError:
        raise DataError(f"document {name!r}: lone surrogate in the id") from None
    if not name or longest > _LONGEST:
        raise DataError(f"document {name!r}: an id of 1 to {_LONGEST} bytes is needed for the name of its file")
    return found


def identifier(path: str) -> str:
    """The id that `file_name` wrote."""
    return unquote(path)
