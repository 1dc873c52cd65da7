"""Text files as numbered lines: read with every error named, written whole or not at all, packed by their suffix."""

from __future__ import annotations

import gzip
import io
import lzma
import os
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from khabar.document import DataError

__all__ = ["PACKED", "decode", "numbered", "opened", "raw", "read", "replaced", "sync", "write"]

BOM = b"\xef\xbb\xbf"  # the byte order mark of some editors
BLOCK = 1 << 16  # bytes read at a time where a line is passed over


def _as_it_is(file: BinaryIO) -> Any:
    return file


def _gzip_writer(file: BinaryIO) -> Any:
    # Neither name nor time: the same lines give the same bytes.
    return gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=0, compresslevel=6)


def _xz_writer(file: BinaryIO) -> Any:
    return lzma.LZMAFile(file, "wb")


def _zstd_reader(file: BinaryIO) -> Any:
    import pyarrow  # a tenth of a second that files without it do not pay

    return io.BufferedReader(pyarrow.CompressedInputStream(file, "zstd"))  # which reads frame after frame


def _zstd_writer(file: BinaryIO) -> Any:
    import pyarrow

    return pyarrow.CompressedOutputStream(file, "zstd")


_READERS: Mapping[str, Callable[[BinaryIO], Any]] = {
    ".gz": gzip.open,
    ".xz": lzma.LZMAFile,
    ".zst": _zstd_reader,
}
_WRITERS: Mapping[str, Callable[[BinaryIO], Any]] = {
    ".gz": _gzip_writer,
    ".xz": _xz_writer,
    ".zst": _zstd_writer,
}
PACKED = tuple(_WRITERS)


@contextmanager
def opened(path: Path | str) -> Iterator[BinaryIO]:
    """The bytes of a file, unpacked where its name ends in one of `PACKED`; members and frames are read one by one.

    Raises `DataError` naming the file where it cannot be opened, read or unpacked, also while it is being read.
    """
    path = Path(path)
    try:
        with path.open("rb") as file, _READERS.get(path.suffix, _as_it_is)(file) as unpacked:
            yield unpacked
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file") from None
    except IsADirectoryError:
        raise DataError(f"{path}: expected a file, this is a folder") from None
    except (EOFError, lzma.LZMAError, zlib.error, OSError) as error:  # gzip's and pyarrow's errors are OSErrors
        doing = "unpacked" if path.suffix in PACKED else "read"
        raise DataError(f"{path}: cannot be {doing}: {error}") from None


def numbered(stream: BinaryIO, longest: int = -1, first: int = 1) -> Iterator[tuple[int, bytes | None]]:
    """Yield the lines of a stream with their numbers, without line ends.

    Only a line feed ends a line (with a carriage return before it or not). Of a line of more than ``longest`` bytes
    (-1: no limit) no more than that is ever held, and `None` stands for it. ``first`` is the number of the first line.
    """
    number = first
    while line := stream.readline(longest + 2 if longest >= 0 else -1):  # and its end
        content = (line.removeprefix(BOM) if number == 1 else line).removesuffix(b"\n").removesuffix(b"\r")
        if 0 <= longest < len(content):
            while line and not line.endswith(b"\n"):
                line = stream.readline(BLOCK)
            yield number, None
        else:
            yield number, content
        number += 1


def raw(path: Path | str, longest: int = -1) -> Iterator[tuple[int, bytes | None]]:
    """Yield the undecoded lines of a file with their numbers from 1 (`numbered`); raises what `opened` raises."""
    with opened(path) as file:
        yield from numbered(file, longest)


def read(path: Path | str) -> Iterator[tuple[int, str]]:
    """Yield the lines of a UTF-8 file with their numbers from 1, without line ends; U+2028 and its like are text.

    Raises `DataError` naming the file where it cannot be read or unpacked, and the line where it is not UTF-8.
    """
    for number, line in raw(path):
        yield number, decode(line or b"", f"{path}: line {number}")


def decode(data: bytes, place: str) -> str:
    """Decode UTF-8; raises `DataError` that names ``place``, the byte and the likely remedy."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{place}: not UTF-8 at byte {error.start} (0x{data[error.start]:02x}); "
            "older Arabic files are often windows-1256: iconv -f WINDOWS-1256 -t UTF-8"
        ) from None


@contextmanager
def replaced(path: Path | str) -> Iterator[Path]:
    """A file to fill, which takes the place of ``path`` when everything is in it and on the disk."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # In the same folder, because a rename is atomic only within one file system.
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        yield partial
        sync(partial)  # else a power cut could leave the name without what it stands for
        os.replace(partial, path)
        sync(path.parent)
    finally:
        partial.unlink(missing_ok=True)


def sync(path: Path) -> None:
    """Wait until a file, or the names in a folder, are on the disk."""
    if os.name == "nt" and path.is_dir():
        return  # where a folder cannot be opened
    handle = os.open(path, os.O_RDWR if path.is_file() else os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write(path: Path | str, lines: Iterable[str]) -> None:
    """Write lines, a line feed after each, packed as the suffix says. The file appears whole or not at all.

    Raises `DataError` where a line cannot be written as UTF-8; what stood at ``path`` then stays.
    """
    path = Path(path)
    pack = _WRITERS.get(path.suffix, _as_it_is)
    with replaced(path) as partial, partial.open("wb") as file, pack(file) as packed:
        for number, line in enumerate(lines, start=1):
            try:
                packed.write(line.encode() + b"\n")
            except UnicodeEncodeError as error:
                raise DataError(
                    f"{path}: line {number}: lone surrogate at character {error.start}: {line[:60]!r}"
                ) from None
