"""An import: rows are read and priced in Python while Postgres books the batch before.

Two connections: one for the short transactions that record dimensions and partitions, and one,
used by a thread of its own, for the batches. psycopg2 waits without the interpreter's lock.
"""

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from datetime import tzinfo

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from spend.attribution import rules
from spend.capture.batch import Batch
from spend.capture.building import Builder, Numbered, RejectsSink, Source
from spend.capture.dimensions import Dimensions
from spend.capture.fields import arrange
from spend.capture.normalise import Normaliser
from spend.capture.request import Rejected
from spend.capture.staging import Stager, attribute
from spend.capture.store import Store, StoreResult
from spend.capture.summary import ImportSummary
from spend.collecting import little_collecting
from spend.errors import UnavailableError
from spend.pricing import PriceBook, overrides

BATCH_ROWS = 25_000

OnProgress = Callable[[ImportSummary], None]


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
    with Session(engine) as session:
        book = PriceBook(overrides.load(session))
        who = attribute(rules.load(session))
    dimensions = Dimensions(engine)
    stager = Stager(book, dimensions.attributions, dimensions.versions, who)
    builder = Builder(source, Normaliser(zone), stager, dimensions.prepare, rejects)
    with (
        engine.connect() as connection,
        ThreadPoolExecutor(1, "spendbeat-store") as executor,
        little_collecting(),
    ):
        booking = _Booking(executor, Store(connection), builder, rejects)
        while (batch := builder.batch(batch_rows)) is not None:
            booking.book(batch)
            if on_progress:
                on_progress(booking.summary)
        booking.settle()
    if on_progress:
        on_progress(booking.summary)
    return booking.summary


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


class _Booking:
    """Hands batches over: at most one is being booked while the next is built."""

    def __init__(
        self,
        executor: ThreadPoolExecutor,
        store: Store,
        builder: Builder,
        rejects: RejectsSink | None,
    ) -> None:
        self._executor = executor
        self._store = store
        self._builder = builder
        self._rejects = rejects
        self._waiting: Future[StoreResult] | None = None
        self._began = time.monotonic()
        self.summary = ImportSummary()

    def book(self, batch: Batch) -> None:
        """Begin to book a batch when the one before is in."""
        self.settle()
        self._waiting = self._executor.submit(self._store, batch)

    def settle(self) -> None:
        """Wait for the batch that is being booked."""
        result = StoreResult(0, 0, [], 0)
        if self._waiting is not None:
            try:
                result = self._waiting.result()
            except UnavailableError as error:
                raise UnavailableError(
                    f"{error}\n{self.summary.imported:,} rows were booked before that. Run the"
                    " same import again to book the rest; nothing is booked twice."
                ) from error
            finally:
                self._waiting = None
        self.summary = replace(
            self.summary.stored(result),
            read=self._builder.read,
            rejected=self._builder.rejected,
            seconds=time.monotonic() - self._began,
        )
        if self._rejects:
            for conflict in result.conflicts:
                self._rejects.add(conflict.line, conflict.reason, conflict.raw)
