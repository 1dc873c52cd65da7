"""Text files as numbered lines: read with every error named, written whole or not at all."""

from __future__ import annotations

import gzip
import lzma
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from khabar.document import DataError

__all__ = ["decode", "read", "write"]

_OPENERS: Mapping[str, Any] = {".gz": gzip.open, ".xz": lzma.open}


def read(path: Path | str) -> Iterator[tuple[int, str]]:
    """Yield the lines of a UTF-8 file with their numbers from 1, without line ends.

    ``.gz`` and ``.xz`` are unpacked. Only a line feed ends a line (with a carriage return before it or not):
    U+2028 and its like are text.

    Raises `DataError` naming the file where it cannot be opened, and the line where it is not UTF-8.
    """
    path = Path(path)
    try:
        with _OPENERS.get(path.suffix, open)(path, "rb") as file:
            for number, line in enumerate(file, start=1):
                text = decode(line, f"{path}: line {number}")
                if number == 1:
                    text = text.removeprefix("\ufeff")  # the byte order mark of some editors
                yield number, text.removesuffix("\n").removesuffix("\r")
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file") from None
    except IsADirectoryError:
        raise DataError(f"{path}: expected a file, this is a folder") from None
    except (EOFError, gzip.BadGzipFile, lzma.LZMAError) as error:
        raise DataError(f"{path}: cannot be unpacked: {error}") from None


def decode(data: bytes, place: str) -> str:
    """Decode UTF-8; raises `DataError` that names ``place``, the byte and the likely remedy."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{place}: not UTF-8 at byte {error.start} (0x{data[error.start]:02x}); "
            "older Arabic files are often windows-1256: iconv -f WINDOWS-1256 -t UTF-8"
        ) from None


def write(path: Path | str, lines: Iterable[str]) -> None:
    """Write lines, a line feed after each. The file appears whole: it is replaced only when all is written.

    Raises `DataError` where a line cannot be written as UTF-8; what stood at ``path`` then stays.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # In the same folder, because a rename is atomic only within one file system.
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("w", encoding="utf-8", newline="\n") as file:
            for number, line in enumerate(lines, start=1):
                try:
                    file.write(line + "\n")
                except UnicodeEncodeError as error:
                    raise DataError(
                        f"{path}: line {number}: lone surrogate at character {error.start}: {line[:60]!r}"
                    ) from None
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
