import csv
import io
import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Protocol

import click
import pyarrow as pa
import pyarrow.parquet as pq

from models import ATTRIBUTION_FIELDS
from spend import generate as traffic
from spend.errors import BadInputError
from worker.cli.progress import progress

_CHUNK = 20_000
Row = dict[str, object]
# Columns that are empty in a whole chunk would otherwise have no type.
_TEXTS = frozenset({*ATTRIBUTION_FIELDS, "tags"})


@dataclass(frozen=True, slots=True)
class _Written:
    read: int
    seconds: float


@click.command
@click.option("--rows", type=click.IntRange(1), required=True, help="How many requests.")
@click.option("--seed", default=1, show_default=True, help="Another seed, other traffic.")
@click.option("--day", type=click.DateTime(["%Y-%m-%d"]), help="First day, UTC. Default: today.")
@click.option("--days", type=click.IntRange(1, 3660), default=1, show_default=True)
@click.option(
    "--format",
    "format_",
    type=click.Choice(["csv", "jsonl", "parquet"]),
    default="csv",
    show_default=True,
)
@click.option("-o", "--output", default="-", help="A file; - (default) is standard output.")
def generate(
    *, rows: int, seed: int, day: datetime | None, days: int, format_: str, output: str
) -> None:
    """Write made-up traffic of a company with many models: the same for the same seed.

    \b
    Examples:
      spendbeat generate --rows 100000 | spendbeat import -
      spendbeat generate --rows 10000000 --days 30 --format parquet -o month.parquet
    """
    first = day.date() if day else datetime.now(UTC).date()
    if first.year < 2015 or first.year > datetime.now(UTC).year + 1:  # noqa: PLR2004 - see capture.times
        raise BadInputError("--day is outside what an import takes: 2015 to the end of next year.")
    if format_ == "parquet" and output == "-" and sys.stdout.isatty():
        raise BadInputError("Parquet is not for a terminal; use -o FILE.")
    began = time.monotonic()
    with _target(output) as file, progress("Generating", rows, lambda: done) as show:
        done = 0
        write: _Writer = _WRITERS[format_](file)
        made = traffic.requests(rows, seed, first, days)
        while chunk := list(islice(made, _CHUNK)):
            write.rows(chunk)
            done += len(chunk)
            show(_Written(done, time.monotonic() - began))
        write.close()
    seconds = time.monotonic() - began
    click.echo(f"{rows:,} requests in {seconds:.1f} s ({rows / seconds:,.0f} rows/s)", err=True)


@contextmanager
def _target(output: str) -> Iterator[BinaryIO]:
    if output == "-":
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    try:
        with Path(output).open("wb") as file:
            yield file
    except OSError as error:
        raise BadInputError(f"{output} cannot be written: {error.strerror}.") from error


class _Writer(Protocol):
    def rows(self, chunk: Sequence[Row]) -> None: ...

    def close(self) -> None: ...


class _Csv:
    def __init__(self, file: BinaryIO) -> None:
        self._text = io.TextIOWrapper(file, "utf-8", newline="", write_through=False)
        self._writer = csv.writer(self._text, lineterminator="\n")
        self._begun = False

    def rows(self, chunk: Sequence[Row]) -> None:
        if not self._begun:
            self._writer.writerow(chunk[0].keys())
            self._begun = True
        self._writer.writerows(row.values() for row in chunk)

    def close(self) -> None:
        self._text.flush()
        self._text.detach()


class _Jsonl:
    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._encode = json.JSONEncoder(separators=(",", ":")).encode

    def rows(self, chunk: Sequence[Row]) -> None:
        self._file.write("".join(f"{self._encode(row)}\n" for row in chunk).encode())

    def close(self) -> None:
        self._file.flush()


class _Parquet:
    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._writer: pq.ParquetWriter | None = None

    def rows(self, chunk: Sequence[Row]) -> None:
        columns = zip(*(row.values() for row in chunk), strict=True)
        table = pa.table(
            {
                name: pa.array(values, type=pa.string() if name in _TEXTS else None)
                for name, values in zip(chunk[0], columns, strict=True)
            }
        )
        times = table.column("started_at").cast(pa.timestamp("us", "UTC"))
        table = table.set_column(table.schema.names.index("started_at"), "started_at", times)
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._file, table.schema)
        self._writer.write_table(table)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()


def write_csv(file: BinaryIO, rows: Iterable[Row]) -> None:
    """All rows as CSV; for benchmarks and tests."""
    writer, made = _Csv(file), iter(rows)
    while chunk := list(islice(made, _CHUNK)):
        writer.rows(chunk)
    writer.close()


_WRITERS: dict[str, Callable[[BinaryIO], _Writer]] = {
    "csv": _Csv,
    "jsonl": _Jsonl,
    "parquet": _Parquet,
}
commands = {"generate": generate}
