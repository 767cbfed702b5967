"""Files of requests: what kind they are, and how far they are read."""

import gzip
import io
import os
import stat
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal, Protocol, cast

from spend.capture.building import Source
from spend.capture.csv_files import CsvSource
from spend.capture.jsonl_files import JsonlSource
from spend.capture.mapping import Columns
from spend.capture.parquet_files import ParquetSource
from spend.errors import BadInputError

Format = Literal["csv", "jsonl", "parquet"]
FORMATS: tuple[Format, ...] = ("csv", "jsonl", "parquet")
_GZIP = b"\x1f\x8b"
_PARQUET = b"PAR1"
_PEEK = 4096


class FileSource(Source, Protocol):
    """A source of one format."""

    columns: Columns


@dataclass(frozen=True, slots=True)
class Opened:
    """A file that is ready to be read."""

    source: FileSource
    format: Format
    size: int | None  # bytes, None for a pipe
    position: Callable[[], int]  # bytes read so far, as they are on the disk


@contextmanager
def opened(
    path: str,
    *,
    maps: Mapping[str, str],
    constants: Mapping[str, str],
    format_: Format | None = None,
    delimiter: str | None = None,
) -> Iterator[Opened]:
    """Open a file (`-` is standard input), find out what it is and match its columns.

    Raises BadInputError when it cannot be read, or its columns do not fit.
    """
    with _raw(path) as raw:
        stream = _unpacked(raw)
        kind = format_ or _sniff(stream, path)
        try:
            if kind == "csv":
                source: FileSource = CsvSource(stream, maps, constants, delimiter)
            elif kind == "jsonl":
                source = JsonlSource(stream, maps, constants)
            else:
                source = ParquetSource(stream, maps, constants)
        except (OSError, EOFError) as error:
            raise unreadable(path, error) from error
        regular = path != "-" and stat.S_ISREG(os.fstat(raw.fileno()).st_mode)
        size = os.fstat(raw.fileno()).st_size if regular else None
        position = raw.tell if regular else lambda: 0
        try:
            yield Opened(source, kind, size, position)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise unreadable(path, error) from error


def unreadable(path: str, error: BaseException) -> BadInputError:
    """What to say when a file breaks off or is damaged."""
    name = "standard input" if path == "-" else path
    return BadInputError(f"{name} cannot be read: {error}")


@contextmanager
def _raw(path: str) -> Iterator[BinaryIO]:
    if path == "-":
        yield sys.stdin.buffer
        return
    try:
        with Path(path).open("rb", buffering=0) as file:
            yield cast(BinaryIO, file)
    except IsADirectoryError as error:
        raise BadInputError(f"{path} is a folder.") from error
    except (FileNotFoundError, PermissionError) as error:
        raise BadInputError(f"{path} cannot be opened: {error.strerror}.") from error


def _unpacked(raw: BinaryIO) -> io.BufferedReader:
    """The content, unpacked where it is gzipped (by its first bytes, not by its name)."""
    stream = (
        raw
        if isinstance(raw, io.BufferedReader)
        else io.BufferedReader(cast(io.RawIOBase, raw), 1 << 17)
    )
    if stream.peek(2)[:2] == _GZIP:
        return io.BufferedReader(cast(io.RawIOBase, gzip.GzipFile(fileobj=stream)), 1 << 17)
    return stream


def _sniff(stream: io.BufferedReader, path: str) -> Format:
    try:
        start = stream.peek(_PEEK)[:_PEEK]
    except (OSError, EOFError) as error:
        raise unreadable(path, error) from error
    if start[:4] == _PARQUET:
        return "parquet"
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip()
    if not text:
        raise BadInputError(f"{'Standard input' if path == '-' else path} is empty.")
    return "jsonl" if text[:1] in b"{[" else "csv"
