"""Tables litellm_sources, litellm_seen and litellm_days: how far a source is read."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, or_, select, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from models import LitellmDay, LitellmSource
from spend.litellm.logs import Head
from spend.sql import query

_FORGOTTEN_AT_ONCE = 50_000


def open_source(session: Session, name: str) -> LitellmSource:
    """The source of this name; made where it is new."""
    session.execute(insert(LitellmSource).values(name=name).on_conflict_do_nothing())
    return session.scalars(select(LitellmSource).where(LitellmSource.name == name)).one()


def lock(session: Session, source_id: int, *, wait: bool) -> LitellmSource | None:
    """The source, ours until the transaction ends; None where another sync has it."""
    wanted = select(LitellmSource).where(LitellmSource.id == source_id)
    held = wanted.with_for_update(skip_locked=not wait)
    return session.scalars(held.execution_options(populate_existing=True)).one_or_none()


def get(session: Session, source_id: int) -> LitellmSource:
    """A source as it stands."""
    return session.scalars(select(LitellmSource).where(LitellmSource.id == source_id)).one()


def set_mode(session: Session, source_id: int, mode: str, *, read: bool) -> None:
    """Note whether logs or daily tables are what LiteLLM writes, and that those were read."""
    now = func.clock_timestamp()
    at = {"daily_read_at": now} if read else {}
    if mode == "daily":
        at["daily_at"] = now
    change(session, source_id, mode=mode, **at)


def unchanged(session: Session, source_id: int, said: Sequence[tuple[UUID, UUID]]) -> set[UUID]:
    """Which keys said the same (by their hashes) when they were last read."""
    binds = {
        "source": source_id,
        "keys": [key.hex for key, _ in said],
        "hashes": [found.hex for _, found in said],
    }
    return {UUID(str(key)) for key in session.scalars(query("litellm", "unchanged"), binds)}


def saw(session: Session, source_id: int, rows: Sequence[tuple[UUID, UUID, datetime]]) -> None:
    """Keep what rows said: their keys, hashes and times."""
    if rows:
        binds = {
            "source": source_id,
            "keys": [key.hex for key, _, _ in rows],
            "hashes": [found.hex for _, found, _ in rows],
            "times": [at for _, _, at in rows],
        }
        session.execute(query("litellm", "saw"), binds)


def forget(session: Session, source_id: int, before: datetime) -> int:
    """Drop what rows said that began before a time, so many at once; returns how many."""
    binds = {"source": source_id, "oldest": before, "limit": _FORGOTTEN_AT_ONCE}
    return int(session.execute(query("litellm", "forget"), binds).rowcount)  # type: ignore[attr-defined]  # a DELETE has one


def mark_days(session: Session, source_id: int, days: Iterable[date]) -> None:
    """Remember that spend logs of these days were booked."""
    rows = [{"source_id": source_id, "day": day} for day in sorted(set(days))]
    if rows:
        session.execute(insert(LitellmDay).on_conflict_do_nothing(), rows)


def days(session: Session, source_id: int) -> set[date]:
    """The days of which spend logs were booked."""
    found = select(LitellmDay.day).where(LitellmDay.source_id == source_id)
    return set(session.scalars(found))


def advance(session: Session, source_id: int, to: datetime, id_: str) -> None:
    """Say that everything up to here was read; never goes back."""
    mine = LitellmSource.id == source_id
    place = tuple_(LitellmSource.read_to, LitellmSource.read_to_id)
    later = or_(LitellmSource.read_to.is_(None), place < tuple_(to, id_))
    session.execute(update(LitellmSource).where(mine, later).values(read_to=to, read_to_id=id_))


def change(session: Session, source_id: int, **values: Any) -> None:
    """Set columns of a source."""
    session.execute(update(LitellmSource).where(LitellmSource.id == source_id).values(values))


def count(session: Session, source_id: int, *, rows: int, settled: int, rejected: int) -> None:
    """Add to what a source brought, of all time."""
    if not rows and not settled and not rejected:
        return
    change(
        session,
        source_id,
        rows_total=LitellmSource.rows_total + rows,
        settled_total=LitellmSource.settled_total + settled,
        rejected_total=LitellmSource.rejected_total + rejected,
    )


def ended(session: Session, source_id: int, *, error: str | None, caught_up: bool) -> None:
    """Note the end of a run, and why it ended early."""
    # The time of the transaction: both are equal where the last run reached the end.
    at = {"caught_up_at": func.now()} if caught_up else {}
    change(session, source_id, run_at=func.now(), error=error, **at)


def after(head: Head) -> tuple[datetime, str]:
    """The place in the order of the logs behind a row."""
    return head.started_at, head.request_id


def status(session: Session) -> list[Mapping[str, Any]]:
    """Every source as a mapping of its figures; lag in seconds."""
    return [dict(row) for row in session.execute(query("litellm", "status")).mappings()]
