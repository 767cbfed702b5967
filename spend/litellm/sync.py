"""A run over one database of LiteLLM's: forward to its end, then again over what may change.

Rows arrive with old times (long calls, batches of writes) and are rewritten (a batch of requests
settles from 0 to its price), so a high-water mark would lose spend. Each run reads on from where
the last one came to, with the last quarter of an hour again, and goes on with a sweep over the
overlap before that: in a small database whole in every run, in a large one in many.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Literal

from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from models import LitellmSource
from spend.capture.desk import Desk
from spend.errors import SpendbeatError
from spend.litellm import daily, state
from spend.litellm.logs import Logs
from spend.litellm.pages import PageResult, Pages, Place
from spend.litellm.source import Source

# A batch of OpenAI's may take a day, and a proxy may hold rows back while its database is away.
OVERLAP = timedelta(hours=48)
RECENT = timedelta(minutes=15)
BATCH = 2_000
EARLIEST = datetime(2020, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Options:
    """How a run reads. since: read again from there, whatever was read before.

    seconds and sweep_rows bound a run (None: to the end); wait: for another sync's page to end
    instead of stepping aside. daily: whether the daily tables may stand in for logs,
    and how often they are read.
    """

    since: datetime | None = None
    overlap: timedelta = OVERLAP
    batch: int = BATCH
    seconds: float | None = None
    sweep_rows: int | None = None
    wait: bool = True
    dry_run: bool = False
    daily: Literal["auto", "off"] = "auto"
    daily_every: timedelta = timedelta(0)


@dataclass(frozen=True, slots=True)
class SyncResult:
    """What a run did. rows: booked. known and settled: requests that the ledger had already, and
    those of them that were corrected, by delta dollars. more: it stopped at its bound.
    """

    outcome: Literal["read", "busy"] = "read"
    mode: str = "logs"
    read: int = 0
    unchanged: int = 0
    empty: int = 0
    rows: int = 0
    known: int = 0
    settled: int = 0
    delta: Decimal = Decimal(0)
    conflicts: int = 0
    rejected: int = 0
    unpriced: int = 0
    reason: str | None = None
    more: bool = False
    seconds: float = 0.0
    reached: datetime | None = None
    notes: tuple[str, ...] = ()

    def plus(self, page: PageResult) -> "SyncResult":
        """With what a page brought."""
        shared = {f.name for f in fields(PageResult)} - {"imported", "last", "reason"}
        added = {name: getattr(self, name) + getattr(page, name) for name in shared}
        return replace(
            self,
            **added,
            rows=self.rows + page.imported,
            reason=self.reason or page.reason,
            reached=page.last[0] if page.last else self.reached,
        )


OnProgress = Callable[[SyncResult], None]


def sync(
    engine: Engine,
    desk: Desk,
    source: Source,
    options: Options,
    on_progress: OnProgress | None = None,
) -> SyncResult:
    """Bring the ledger up to LiteLLM's database. Stopped at any moment, the next run goes on.

    Raises LitellmError where that database cannot be read, UnavailableError where ours cannot.
    """
    with Session(engine) as session, session.begin():
        source_id = state.open_source(session, source.name).id
    try:
        result = _Run(
            engine, desk, source, source_id=source_id, options=options, on_progress=on_progress
        ).run()
    except SpendbeatError as error:
        if not options.dry_run:
            with Session(engine) as session, session.begin():
                state.ended(session, source_id, error=str(error)[:500], caught_up=False)
        raise
    return result


class _Run:
    def __init__(
        self,
        engine: Engine,
        desk: Desk,
        source: Source,
        *,
        source_id: int,
        options: Options,
        on_progress: OnProgress | None,
    ) -> None:
        self._engine = engine
        self._desk = desk
        self._source = source
        self._id = source_id
        self._options = options
        self._tell = on_progress
        self._began = time.monotonic()
        self._result = SyncResult()

    def run(self) -> SyncResult:
        options = self._options
        columns = self._source.check()
        frontier = self._clock()
        horizon = frontier - options.overlap
        pages = Pages(
            self._engine, self._desk, self._source, source_id=self._id,
            logs=Logs(self._source, columns), horizon=horizon,
            wait=options.wait, dry_run=options.dry_run,
        )  # fmt: skip
        with Session(self._engine) as session:
            here = state.get(session, self._id)
        place = self._start(here)
        start = place[0]
        if self._forward(pages, place, frontier):
            begin = here.swept_to if options.sweep_rows is not None and here.swept_to else None
            self._sweep(pages, (max(begin or horizon, horizon), here.swept_to_id), start)
            self._daily(horizon)
        self._finish(horizon)
        return replace(self._result, seconds=time.monotonic() - self._began)

    def _clock(self) -> datetime:
        with self._source.connect() as connection:
            now: datetime = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
        return now.astimezone(UTC)

    def _start(self, here: LitellmSource) -> Place:
        """Where to read on: at the last place exactly while the end was not reached."""
        if self._options.since is not None:
            return self._options.since, ""
        if here.read_to is None:
            return EARLIEST, ""
        if here.run_at is None or here.run_at != here.caught_up_at:
            return here.read_to, here.read_to_id
        return here.read_to - RECENT, ""

    def _forward(self, pages: Pages, place: Place, frontier: datetime) -> bool:
        """Read on to the end of the table; whether it was reached."""
        while True:
            page = self._page(pages, place, None)
            if page is None:
                return False
            if page.last is not None:
                place = page.last
                self._note(advance=(min(place[0], frontier), place[1]))
            if page.read < self._options.batch:
                self._note(advance=(frontier, ""))
                return True
            if self._late():
                return False

    def _sweep(self, pages: Pages, place: Place, until: datetime) -> None:
        """Look again at rows that were read before and may have come or changed since."""
        left = self._options.sweep_rows
        while place[0] < until:
            if left is not None and left <= 0:
                return
            page = self._page(pages, place, until)
            if page is None:
                return
            if page.read < self._options.batch:
                self._note(swept_to=None, swept_to_id="", sweep_ended_at=datetime.now(UTC))
                return
            place = page.last or place
            self._note(swept_to=place[0], swept_to_id=place[1])
            left = None if left is None else left - page.read
            if self._late():
                return

    def _page(self, pages: Pages, place: Place, until: datetime | None) -> PageResult | None:
        page = pages.work(place, until, self._options.batch)
        if page is None:
            self._result = replace(self._result, outcome="busy")
            return None
        self._result = replace(self._result.plus(page), seconds=time.monotonic() - self._began)
        if self._tell:
            self._tell(self._result)
        return page

    def _late(self) -> bool:
        limit = self._options.seconds
        if limit is None or time.monotonic() - self._began < limit:
            return False
        self._result = replace(self._result, more=True)
        return True

    def _note(self, advance: Place | None = None, **values: object) -> None:
        if self._options.dry_run:
            return
        with Session(self._engine) as session, session.begin():
            if advance is not None:
                state.advance(session, self._id, *advance)
            if values:
                state.change(session, self._id, **values)

    def _daily(self, horizon: datetime) -> None:
        if self._options.daily == "off" or self._result.outcome == "busy":
            return
        found = daily.read(
            self._engine, self._desk, self._source, self._id,
            since=self._options.since, horizon=horizon,
            dry_run=self._options.dry_run, every=self._options.daily_every,
            late=self._late,
        )  # fmt: skip
        if found is not None:
            self._result = replace(
                self._result.plus(found.page), mode=found.mode, notes=found.notes
            )

    def _finish(self, horizon: datetime) -> None:
        if self._options.dry_run or self._result.outcome == "busy":
            return
        with Session(self._engine) as session, session.begin():
            state.forget(session, self._id, horizon - timedelta(days=1))
            state.ended(session, self._id, error=None, caught_up=not self._result.more)
