"""Runs of a repricing: table `repricings`, and the adjustments that name one."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, datetime, tzinfo
from decimal import Decimal

from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from spend import adjustments
from spend.adjustments import Correction
from spend.collecting import little_collecting
from spend.errors import BadInputError, BusyError
from spend.pricing import PriceBook, overrides
from spend.pricing.money import dollars
from spend.pricing.versions import resolve
from spend.repricing import known
from spend.repricing.preview import Change, Day, by_day, changes
from spend.repricing.scope import PORTION, Portion, Scope, Sealed, portions, sealed
from spend.sql import query

_LOCK = 0x5BEA70006
OnPortion = Callable[[Portion], None]


@dataclass(frozen=True)
class Run:
    """One repricing as it is recorded; see models.Repricing."""

    id: int
    at: datetime
    by: str
    provider: str | None
    model: str
    since: datetime
    until: datetime
    known_at: datetime
    rows: int
    delta: Decimal
    unpriced: int
    first_id: int | None
    last_id: int | None
    finished_at: datetime | None
    undone_at: datetime | None
    undone_by: str | None
    undone_rows: int
    kept_rows: int

    @property
    def scope(self) -> Scope:
        return Scope(self.model, self.provider, self.since, self.until)

    @property
    def state(self) -> str:
        """done, undone, or interrupted (which includes one that is running now)."""
        if self.undone_at:
            return "undone"
        return "done" if self.finished_at else "interrupted"


@dataclass(frozen=True)
class Preview:
    """What a repricing would do, with prices as they were known at `known_at`.

    given: requests whose cost somebody gave, which stay as they are. resumes: the interrupted run
    that would go on. portions, book: what execute() goes through, at which prices.
    """

    scope: Scope
    known_at: datetime
    days: tuple[Day, ...]
    given: int
    sealed: tuple[Sealed, ...]
    resumes: int | None
    portions: tuple[Portion, ...] = field(repr=False)
    book: PriceBook = field(repr=False)

    @property
    def requests(self) -> int:
        return sum(day.requests for day in self.days)

    @property
    def changed(self) -> int:
        return sum(day.changed for day in self.days)

    @property
    def delta(self) -> Decimal:
        return sum((day.delta for day in self.days), Decimal(0))


@little_collecting()
def preview(
    engine: Engine,
    scope: Scope,
    *,
    any_end: bool = False,
    known_at: datetime | None = None,
    zone: tzinfo,
    most: int = PORTION,
    begin: Callable[[Sequence[Portion]], None] = lambda _: None,
    on_portion: OnPortion = lambda _: None,
) -> Preview:
    """Find out what would change, a portion a transaction. begin is told what there is to do.

    An interrupted run of the same scope goes on, with its prices; with any_end also one that
    ends at another time.
    """
    with Session(engine) as session:
        resumes = _interrupted(session, scope, None if any_end else scope.until, known_at)
        if resumes is not None:
            run = get(session, resumes)
            scope, known_at = run.scope, run.known_at
        moment = known_at or session.scalars(query("repricing", "now")).one()
        book = PriceBook(overrides.load(session), known_at=moment)
        parts = portions(session, scope, most)
        gone = sealed(session, scope)
    days: dict[date, Day] = {}
    given = 0
    begin(parts)
    for portion in parts:
        with Session(engine) as session:
            found = changes(session, scope, portion, book)
        by_day(found, zone, days)
        given += sum(change.given for change in found)
        on_portion(portion)
    ordered = tuple(days[day] for day in sorted(days))
    return Preview(scope, moment, ordered, given, gone, resumes, tuple(parts), book)


@little_collecting()
def execute(
    engine: Engine, plan: Preview, *, by: str, on_portion: OnPortion = lambda _: None
) -> Run:
    """Write the adjustments of a plan, a portion a transaction, and record the run.

    What each request needs is decided anew under the lock, so whatever happened since the plan
    was made, nothing is corrected twice. Stopped at any moment, the same plan goes on. Raises
    BusyError where another repricing runs.
    """
    with alone(engine):
        with Session(engine) as session, session.begin():
            run_id = plan.resumes or open_run(session, plan, by)
        for portion in plan.portions:
            with Session(engine) as session, session.begin():
                reprice(session, run_id, plan, portion)
            on_portion(portion)
        with Session(engine) as session, session.begin():
            session.execute(query("repricing", "finish"), {"id": run_id})
            return get(session, run_id)


def reprice(session: Session, run_id: int, plan: Preview, portion: Portion) -> int:
    """Correct a portion's requests in this transaction; returns how many."""
    adjustments.lock(session)
    found = changes(session, plan.scope, portion, plan.book)
    needed = [change for change in found if change.correction]
    made = _named(session, run_id, needed)
    ids = adjustments.write(session, made)
    if ids is None:
        return 0
    binds = {
        "id": run_id,
        "rows": len(made),
        "delta": dollars(sum(correction.pico for correction in made)),
        "unpriced": sum(correction.unpriced for correction in made),
        "first_id": ids[0],
        "last_id": ids[1],
    }
    session.execute(query("repricing", "add"), binds)
    return len(made)


def _named(session: Session, run_id: int, needed: Sequence[Change]) -> list[Correction]:
    origins = {change.booked.origin for change in needed}
    ids = resolve(session, [known.corrected(run_id, origin) for origin in origins])
    versions = {origin: ids[known.corrected(run_id, origin)] for origin in origins}
    return [
        change.correction._replace(version=versions[change.booked.origin])
        for change in needed
        if change.correction is not None
    ]


def open_run(session: Session, plan: Preview, by: str) -> int:
    """Record that a run of a plan begins; its id."""
    binds = plan.scope.binds() | {"known_at": plan.known_at, "by": by}
    return int(session.scalars(query("repricing", "open"), binds).one())


def _interrupted(
    session: Session, scope: Scope, until: datetime | None, known_at: datetime | None
) -> int | None:
    binds = scope.binds() | {"until": until, "known_at": known_at}
    return session.scalars(query("repricing", "interrupted"), binds).one_or_none()


def runs(session: Session) -> list[Run]:
    """Every run, the newest first."""
    rows = session.execute(query("repricing", "runs"), {"id": None}).mappings()
    return [Run(**row) for row in rows]


def get(session: Session, run_id: int) -> Run:
    """One run. Raises BadInputError where there is none of this number."""
    row = session.execute(query("repricing", "runs"), {"id": run_id}).mappings().one_or_none()
    if row is None:
        raise BadInputError(
            f"There is no repricing {run_id}; 'spendbeat reprice list' shows those there are."
        )
    return Run(**row)


@contextmanager
def alone(engine: Engine) -> Iterator[None]:
    """Keeps a second repricing or undo from running; ends with the connection, also when killed."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if not connection.scalar(text("SELECT pg_try_advisory_lock(:lock)"), {"lock": _LOCK}):
            raise BusyError(
                "Another repricing or undo is running now; wait until it has ended. 'spendbeat"
                " reprice list' shows it."
            )
        try:
            yield
        finally:
            connection.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": _LOCK})
