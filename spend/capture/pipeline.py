"""An import: rows are read and priced in Python while Postgres books the batch before.

Two connections: one for the short transactions that record dimensions and partitions, and one,
used by a thread of its own, for the batches. psycopg2 waits without the interpreter's lock.
"""

import gc
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import tzinfo
from itertools import islice
from typing import Protocol

from sqlalchemy import Connection, Engine
from sqlalchemy.orm import Session

from spend.capture.dimensions import Dimensions
from spend.capture.fields import arrange
from spend.capture.normalise import Normaliser
from spend.capture.request import Rejected, Request
from spend.capture.staging import Stager
from spend.capture.store import Store, StoreResult
from spend.capture.summary import ImportSummary
from spend.errors import UnavailableError
from spend.pricing import PriceBook, overrides

BATCH_ROWS = 25_000

OnProgress = Callable[[ImportSummary], None]
# What a source gives for each row: its line, and its values in the order of FIELDS or a verdict.
Numbered = tuple[int, Sequence[object] | Rejected]


class Source(Protocol):
    """Where rows come from."""

    def __iter__(self) -> Iterator[Numbered]: ...

    def raw(self) -> str:
        """The row that was given last, as it was read."""
        ...


class RejectsSink(Protocol):
    """Where rows go that are not booked."""

    def add(self, line: int, reason: str, raw: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Chunk:
    """Rows of a source that can be booked, the line of each, and how many others there were."""

    lines: list[int]
    requests: list[Request]
    rejected: int

    @property
    def read(self) -> int:
        return len(self.lines) + self.rejected


def normalised(
    rows: Iterable[Numbered],
    normaliser: Normaliser,
    raw: Callable[[], str],
    rejects: RejectsSink | None,
) -> Chunk:
    """Bring rows to one form; those that cannot be go to `rejects`."""
    lines: list[int] = []
    requests: list[Request] = []
    rejected = 0
    request_of = normaliser.row
    for line, row in rows:
        try:
            if isinstance(row, Rejected):
                raise row
            requests.append(request_of(row))
            lines.append(line)
        except Rejected as verdict:
            rejected += 1
            if rejects:
                rejects.add(line, str(verdict), raw())
    return Chunk(lines, requests, rejected)


def import_source(
    engine: Engine,
    source: Source,
    *,
    zone: tzinfo | None = None,
    batch_rows: int = BATCH_ROWS,
    rejects: RejectsSink | None = None,
    on_progress: OnProgress | None = None,
) -> ImportSummary:
    """Book all rows of a source, in batches of one transaction each.

    Stopped at any moment, everything of a batch is in or nothing, and the same import again
    books what is missing. Raises UnavailableError when Postgres does not take a batch.
    """
    with (
        engine.connect() as connection,
        ThreadPoolExecutor(1, "spendbeat-store") as executor,
        _little_collecting(),
    ):
        running = _Import(engine, connection, executor, rejects)
        normaliser = Normaliser(zone)
        rows = iter(source)
        while running.read(islice(rows, batch_rows), normaliser, source.raw):
            if on_progress:
                on_progress(running.summary)
        running.settle()
    if on_progress:
        on_progress(running.summary)
    return running.summary


@contextmanager
def _little_collecting() -> Iterator[None]:
    """Look for reference cycles a hundred times less often: rows have none, and are many.

    With the default threshold a third of an import's time went there.
    """
    before = gc.get_threshold()
    gc.set_threshold(before[0] * 100, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


def import_requests(
    engine: Engine,
    rows: Iterable[Mapping[str, object]],
    *,
    zone: tzinfo | None = None,
    batch_rows: int = BATCH_ROWS,
    rejects: RejectsSink | None = None,
    on_progress: OnProgress | None = None,
) -> ImportSummary:
    """Book mappings of field names (see capture.fields) to values; otherwise as import_source."""
    return import_source(
        engine,
        _Mappings(rows),
        zone=zone,
        batch_rows=batch_rows,
        rejects=rejects,
        on_progress=on_progress,
    )


class _Mappings:
    """A source of mappings; the first is line 1."""

    def __init__(self, rows: Iterable[Mapping[str, object]]) -> None:
        self._rows = rows
        self._last: Mapping[str, object] = {}

    def __iter__(self) -> Iterator[Numbered]:
        for line, row in enumerate(self._rows, 1):
            self._last = row
            try:
                yield line, arrange(row)
            except Rejected as verdict:
                yield line, verdict

    def raw(self) -> str:
        return json.dumps(dict(self._last), default=str)


class _Import:
    """One import on its way: at most one batch is being booked while the next is made."""

    def __init__(
        self,
        engine: Engine,
        connection: Connection,
        executor: ThreadPoolExecutor,
        rejects: RejectsSink | None,
    ) -> None:
        with Session(engine) as session:
            self._stager = Stager(PriceBook(overrides.load(session)))
        self._dimensions = Dimensions(engine)
        self._store = Store(connection)
        self._executor = executor
        self._rejects = rejects
        self._booking: Future[StoreResult] | None = None
        self._chunk = Chunk([], [], 0)
        self._began = time.monotonic()
        self.summary = ImportSummary()

    def read(
        self, rows: Iterable[Numbered], normaliser: Normaliser, raw: Callable[[], str]
    ) -> bool:
        """Read a batch, and hand it over when the one before is booked; False at the end."""
        chunk = normalised(rows, normaliser, raw, self._rejects)
        self._count(chunk.read, chunk.rejected)
        if chunk.requests:
            self._dimensions.prepare(chunk.requests)
            batch = self._stager.stage(
                chunk.requests, self._dimensions.attributions, self._dimensions.versions
            )
            self.settle()
            self._booking = self._executor.submit(self._store, batch)
            self._chunk = chunk
        return bool(chunk.read)

    def settle(self) -> None:
        """Wait for the batch that is being booked."""
        if self._booking is None:
            return
        try:
            result = self._booking.result()
        except UnavailableError as error:
            raise UnavailableError(
                f"{error}\n{self.summary.imported:,} rows were booked before that. Run the same"
                " import again to book the rest; nothing is booked twice."
            ) from error
        finally:
            self._booking = None
        self.summary = self.summary.stored(result)
        if self._rejects:
            for conflict in result.conflicts:
                line = self._chunk.lines[conflict.index]
                request = self._chunk.requests[conflict.index]
                self._rejects.add(line, conflict.reason, request.as_json())
        self._count(0, 0)

    def _count(self, read: int, rejected: int) -> None:
        self.summary = replace(
            self.summary,
            read=self.summary.read + read,
            rejected=self.summary.rejected + rejected,
            seconds=time.monotonic() - self._began,
        )
