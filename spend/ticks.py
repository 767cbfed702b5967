"""Ticks: numbered snapshots of the ledger, and what each brought to which shard.

The idea is PgQ's: a batch is the rows whose transactions one snapshot shows and an earlier one
does not. Ids and arrival times cannot tell that, because transactions commit out of order.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
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
    of this tick. parts: the partitions that they are in. 'busy' is somebody else's tick.
    """

    outcome: Literal["taken", "busy"]
    tick_id: int | None = None
    shards: tuple[str, ...] = ()
    rows: int = 0
    parts: tuple[str, ...] = ()


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
    rows, parts = _store_news(session, last["id"], tick_id, found.mappings())
    return TickResult("taken", tick_id, cursors.lagging(session), rows, parts)


def _previous(session: Session) -> dict[str, int]:
    row = session.execute(query("ticks", "previous")).mappings().one()
    here = row["current_identifier"]
    if row["id"] is None:
        genesis = session.scalars(query("ticks", "genesis"), {"system": here}).one()
        return {"id": genesis, "system": here, "fence": 0}
    if row["system_identifier"] != here:
        raise RestoredClusterError
    return {"id": row["id"], "system": here, "fence": row["fence_id"]}


def _store_news(
    session: Session, previous: int, tick_id: int, found: Iterable[RowMapping]
) -> tuple[int, tuple[str, ...]]:
    by_provider: dict[str, list[RowMapping]] = defaultdict(list)
    for row in found:
        by_provider[row["provider"]].append(row)
    cursors.open_for(session, sorted(by_provider), previous)
    for provider, rows in sorted(by_provider.items()):
        session.execute(
            query("ticks", "add_news"),
            {
                "tick": tick_id,
                "provider": provider,
                "rows": sum(r["rows"] for r in rows),
                "first_id": min(r["first_id"] for r in rows),
                "last_id": max(r["last_id"] for r in rows),
            },
        )
    everything = [r for rows in by_provider.values() for r in rows]
    return sum(r["rows"] for r in everything), tuple(sorted({r["part"] for r in everything}))


def window(session: Session, earlier: int, later: int) -> dict[str, Any]:
    """The binds that select the rows between two ticks, for the queries that take a window.

    Raises RestoredClusterError where the two were not taken in one cluster.
    """
    found = session.execute(query("ticks", "window"), {"earlier": earlier, "later": later})
    binds = dict(found.mappings().one())
    if not binds.pop("same_cluster"):
        raise RestoredClusterError
    return binds


def summarize(session: Session, parts: Iterable[str]) -> int:
    """Bring the block range index of partitions up to date; returns how many ranges were behind.

    Without this an idle tick reads every row since the last vacuum.
    """
    return sum(session.scalars(query("ticks", "summarize"), {"part": part}).one() for part in parts)


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


def newest(session: Session) -> int | None:
    """The id of the newest tick; None before the first one."""
    found = session.execute(query("ticks", "previous")).mappings().one()["id"]
    return None if found is None else int(found)


def providers(session: Session) -> list[str]:
    """Every provider that the ledger or the rollups know; reads the whole ledger."""
    return list(session.scalars(query("ticks", "providers")))
