"""The daily tables, where spend logs are off: what is left of a day when its logs are taken off.

LiteLLM then keeps sums per day (UTC), user, key, model and provider, and no requests. Each such
sum becomes one request of the ledger, which grows with the day. Nothing is booked twice:
- A day's sums count without what its logs say, so logs may be switched on and off within a day.
- Days of which logs were booked are left alone as soon as they are out of the overlap, since
  LiteLLM may have dropped their logs by then.
- Where the ledger has a day's requests of the same model from elsewhere (LiteLLM's callback, say),
  a sum is left out, and the run says so: sums have no ids to tell whether they are the same.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

from sqlalchemy import Connection, Engine
from sqlalchemy.orm import Session

from models import LitellmSource
from spend.capture.desk import Desk
from spend.capture.normalise import Normaliser
from spend.litellm import names, state
from spend.litellm.booking import Asked, Booker, look_up
from spend.litellm.daily_rows import Group, Tables, day_start
from spend.litellm.keys import key_of
from spend.litellm.pages import PageResult
from spend.litellm.source import Source
from spend.sql import query

# Logs and daily tables are written by one process within a minute or so of each other.
_APART = timedelta(minutes=15)
_NOTE = (
    "Spend logs are off in LiteLLM (disable_spend_logs), so its daily tables were read: one"
    " request stands for all of a day, user, key, model and provider; times, sessions, tags and"
    " end users are not known, and a cost changes while the day goes on."
)


@dataclass(frozen=True, slots=True)
class DailyResult:
    """What the daily tables brought, in which mode the source is, and what to tell people."""

    page: PageResult
    mode: str
    notes: tuple[str, ...] = ()


def read(
    engine: Engine,
    desk: Desk,
    source: Source,
    source_id: int,
    *,
    since: datetime | None,
    horizon: datetime,
    dry_run: bool,
    every: timedelta,
    late: Callable[[], bool],
) -> DailyResult | None:
    """Book what the daily tables know and the logs do not; None where there is nothing to do.

    every: read again only when the last time is so long ago, since a sum that grows gets a
    correction each time. late: whether to stop; the next run begins with the first day again, and
    passes quickly over what it knows.
    """
    with Session(engine) as session:
        here = state.get(session, source_id)
    with source.connect() as connection:
        tables = Tables.of(source, connection)
        ahead = tables is not None and tables.ahead(connection, horizon.date(), _APART)
    if tables is None or not (ahead or (here.daily_at and here.daily_at > horizon)):
        _mode(engine, source_id, "logs", dry_run=dry_run)
        return None
    work = _Days(engine, desk, source, source_id, tables=tables, horizon=horizon, dry_run=dry_run)
    if not since and not _due(here, every):
        return DailyResult(PageResult(), here.mode, (_NOTE,) if ahead else ())
    first = since or (horizon if here.daily_at else None)
    result = work.run(first.date() if first else None, late)
    if result is None:
        return DailyResult(work.total, here.mode, (_NOTE,) if ahead else ())
    mode = "daily" if ahead else "logs"
    _mode(engine, source_id, mode, dry_run=dry_run, read=True)
    return DailyResult(result, mode, ((_NOTE,) if ahead else ()) + work.notes())


def _mode(engine: Engine, source_id: int, mode: str, *, dry_run: bool, read: bool = False) -> None:
    if dry_run:
        return
    with Session(engine) as session, session.begin():
        state.set_mode(session, source_id, mode, read=read)


def _due(here: LitellmSource, every: timedelta) -> bool:
    read_at = here.daily_read_at
    return read_at is None or datetime.now(UTC) - read_at >= every


def _without_nothing(
    session: Session, said: Mapping[UUID, Group], asked: Mapping[UUID, Asked]
) -> dict[UUID, Asked]:
    """Leave out sums of which nothing is left, unless the ledger has them."""
    empty = [asked[key] for key in asked if said[key].empty]
    if not empty:
        return dict(asked)
    known = look_up(session, empty)
    return {key: row for key, row in asked.items() if key in known or not said[key].empty}


class _Days:
    """Works through the days of the daily tables, each in a transaction of its own."""

    def __init__(
        self,
        engine: Engine,
        desk: Desk,
        source: Source,
        source_id: int,
        *,
        tables: Tables,
        horizon: datetime,
        dry_run: bool,
    ) -> None:
        self._engine = engine
        self._source = source
        self._id = source_id
        self._tables = tables
        self._horizon = horizon
        self._dry = dry_run
        self._booker = Booker(desk, dry_run=dry_run, exact=True)
        self._normaliser = Normaliser()
        self.total = PageResult()
        self._left_out: dict[tuple[str, str], int] = {}

    def run(self, first: date | None, late: Callable[[], bool]) -> PageResult | None:
        """All days from one on; None where it got too late."""
        with Session(self._engine) as session:
            logged = state.days(session, self._id)
        with self._source.connect() as connection:
            days = self._tables.days(connection, first)
        for day in days:
            # Logs of an older day may be gone, and what they said is in the ledger.
            if day in logged and day < self._horizon.date():
                continue
            if late():
                return None
            self.total = self.total.plus(self._day(day, logged=day in logged))
        return self.total

    def _day(self, day: date, *, logged: bool) -> PageResult:
        with Session(self._engine) as session, session.begin():
            if state.lock(session, self._id, wait=True) is None:
                return PageResult()
            with self._source.connect() as connection:
                groups = self._tables.groups(connection, day)
                called = self._names(session, connection, groups)
            result = self._book(session, day, groups, called, logged=logged)
            if self._dry:
                session.rollback()
            return result

    def _book(
        self,
        session: Session,
        day: date,
        groups: Sequence[Group],
        called: Mapping[str, str],
        *,
        logged: bool,
    ) -> PageResult:
        said = {key_of(group.id): group for group in groups}
        hashes = {key: UUID(group.hash) for key, group in said.items()}
        same = state.unchanged(session, self._id, list(hashes.items()))
        asked = {
            key: Asked.of(group.fields(called), self._normaliser)
            for key, group in said.items()
            if key not in same
        }
        asked = _without_nothing(session, said, asked)
        if not logged:
            asked = self._without_others(session, day, asked)
        outcome = self._booker.book(session, list(asked.values()))
        kept = [(key, hashes[key], asked[key].request.started_at) for key in asked]
        state.saw(session, self._id, kept)
        state.count(session, self._id, rows=outcome.imported, settled=outcome.settled, rejected=0)
        return PageResult(
            read=len(groups),
            unchanged=len(same),
            imported=outcome.imported,
            known=outcome.known,
            settled=outcome.settled,
            conflicts=outcome.conflicts,
            unpriced=outcome.unpriced,
            delta=outcome.delta,
        )

    def _without_others(
        self, session: Session, day: date, asked: Mapping[UUID, Asked]
    ) -> dict[UUID, Asked]:
        """Only those of which the ledger has no requests from elsewhere that day."""
        if not asked:
            return {}
        start = day_start(day)
        binds = {
            "first": start,
            "last": start + timedelta(days=1),
            "mine": self._tables.prefix,
        }
        others = {tuple(row) for row in session.execute(query("litellm", "other_requests"), binds)}
        kept: dict[UUID, Asked] = {}
        for key, row in asked.items():
            named = row.request.provider, row.request.model
            if named in others:
                self._left_out[named] = self._left_out.get(named, 0) + 1
            else:
                kept[key] = row
        return kept

    def _names(
        self, session: Session, connection: Connection, groups: Sequence[Group]
    ) -> dict[str, str]:
        hashes = {group.api_key for group in groups if group.api_key}
        found = names.known(session, hashes) if hashes else {}
        if missing := hashes - found.keys():
            asked = names.ask(self._source, connection, missing)
            names.learn(session, asked)
            found.update(asked)
        return found

    def notes(self) -> tuple[str, ...]:
        if not self._left_out:
            return ()
        few = ", ".join(f"{provider} {model}" for provider, model in sorted(self._left_out)[:5])
        note = (
            f"{sum(self._left_out.values()):,} daily sums were left out, since the ledger has"
            f" requests of those days from elsewhere: {few}. If LiteLLM also reports by callback or"
            " logger, its daily tables are not needed: SPENDBEAT_LITELLM_DAILY=off."
        )
        return (note,)
