"""Ticks: numbered snapshots of the ledger, and what each brought to which shard.

The idea is PgQ's: a batch is the rows whose transactions one snapshot shows and an earlier one
does not. Ids and arrival times cannot tell that, because transactions commit out of order.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import text
from sqlalchemy.engine import RowMapping
from sqlalchemy.orm import Session

from spend import cursors
from spend.errors import RestoredClusterError
from spend.sql import query

_LOCK = 0x5BEA70003
_TRY_LOCK = text("SELECT pg_try_advisory_xact_lock(:lock)")
_LOCK_AND_WAIT = text("SELECT pg_advisory_xact_lock(:lock)")


@dataclass(frozen=True)
class TickResult:
    """What a tick found.

    shards: providers with rows to count, from this tick or an earlier one. rows: new ledger rows
    of this tick. span: the first and last started_at among them. 'busy' is somebody else's tick.
    """

    outcome: Literal["taken", "busy"]
    tick_id: int | None = None
    shards: tuple[str, ...] = ()
    rows: int = 0
    span: tuple[datetime, datetime] | None = None


def take(session: Session) -> TickResult:
    """Store a tick and find what it brought; run twice at once, one of them does nothing.

    Raises RestoredClusterError where the last tick was taken in another cluster.
    """
    if not session.scalar(_TRY_LOCK, {"lock": _LOCK}):
        return TickResult("busy")
    last = _previous(session)
    tick_id: int = session.scalars(
        query("ticks", "insert"), {"system": last["system"], "fence": last["fence"]}
    ).one()
    found = session.execute(query("ticks", "news"), window(session, last["id"], tick_id))
    news = found.mappings().all()
    _store_news(session, last["id"], tick_id, news)
    return TickResult(
        "taken",
        tick_id,
        cursors.lagging(session),
        sum(row["rows"] for row in news),
        _span(news),
    )


def _span(news: Sequence[RowMapping]) -> tuple[datetime, datetime] | None:
    if not news:
        return None
    return min(row["first_start"] for row in news), max(row["last_start"] for row in news)


def _previous(session: Session) -> dict[str, int]:
    row = session.execute(query("ticks", "previous")).mappings().one()
    here = row["current_identifier"]
    if row["id"] is None:
        genesis = session.scalars(query("ticks", "genesis"), {"system": here}).one()
        return {"id": genesis, "system": here, "fence": 0}
    if row["system_identifier"] != here:
        raise RestoredClusterError
    return {"id": row["id"], "system": here, "fence": row["fence_id"]}


def _store_news(session: Session, previous: int, tick_id: int, news: Sequence[RowMapping]) -> None:
    cursors.open_for(session, [row["provider"] for row in news], previous)
    for row in news:
        session.execute(query("ticks", "add_news"), {"tick": tick_id, **row})


def window(session: Session, earlier: int, later: int) -> dict[str, Any]:
    """The binds that select the rows between two ticks, for the queries that take a window.

    Raises RestoredClusterError where the two were not taken in one cluster.
    """
    found = session.execute(query("ticks", "window"), {"earlier": earlier, "later": later})
    binds = dict(found.mappings().one())
    if not binds.pop("same_cluster"):
        raise RestoredClusterError
    return binds


def summarize(session: Session, span: tuple[datetime, datetime]) -> int:
    """Bring the block range indexes of a span's months up to date; returns how many ranges were
    behind. Without this an idle tick reads every row since the last vacuum.
    """
    binds = {"first": span[0], "last": span[1]}
    return int(session.scalars(query("ticks", "summarize"), binds).one())


def prune(session: Session) -> int:
    """Delete ticks and news that every shard has passed; returns the number of ticks."""
    session.execute(query("ticks", "prune_news"))
    deleted = session.execute(query("ticks", "prune_ticks"))
    return int(deleted.rowcount)  # type: ignore[attr-defined]  # a DELETE has one


def fence(session: Session) -> int:
    """Take a tick that counts every row there is, whatever its txid, and those after it by txid.

    Holds writers off until the transaction ends; needs the owner role. Returns the tick's id.
    """
    session.execute(_LOCK_AND_WAIT, {"lock": _LOCK})
    session.execute(query("ticks", "hold_writers"))
    highest = session.scalars(query("ticks", "highest_id")).one()
    here = session.execute(query("ticks", "previous")).mappings().one()
    tick_id: int = session.scalars(
        query("ticks", "insert"), {"system": here["current_identifier"], "fence": highest}
    ).one()
    return tick_id


@dataclass(frozen=True)
class Counted:
    """Everything that was in the ledger at this moment is in all totals. age: seconds since."""

    at: datetime
    age: float


def counted(session: Session) -> Counted | None:
    """Up to when all shards have counted; None before the first tick."""
    row = session.execute(query("ticks", "counted")).one_or_none()
    return Counted(row[0], max(float(row[1]), 0.0)) if row else None


def newest(session: Session) -> int | None:
    """The id of the newest tick; None before the first one."""
    found = session.execute(query("ticks", "previous")).mappings().one()["id"]
    return None if found is None else int(found)


def providers(session: Session) -> list[str]:
    """Every provider that the ledger or the rollups know; reads the whole ledger."""
    return list(session.scalars(query("ticks", "providers")))
