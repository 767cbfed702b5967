"""Repairs: recomputing rollups from the ledger and the seals."""

from dataclasses import dataclass

from sqlalchemy.orm import Session

from spend import audit, cursors, feed, ticks, zones
from spend.audit import AuditResult
from spend.budgets import sums
from spend.errors import BadInputError
from spend.sql import query

_MAX = 2**63 - 1


@dataclass(frozen=True)
class RebuildResult:
    """before: how the shard differed from the ledger. rows: ledger rows counted anew."""

    provider: str
    rows: int
    before: AuditResult


def is_restored(session: Session) -> bool:
    """Whether the newest tick was taken in another cluster than this one."""
    last = session.execute(query("ticks", "previous")).mappings().one()
    return last["id"] is not None and last["system_identifier"] != last["current_identifier"]


def shard(session: Session, provider: str) -> RebuildResult:
    """Recompute one shard's totals at the newest tick, under its lock, in this transaction."""
    cursors.open_for(session, [provider], _newest(session))
    cursors.take(session, provider, wait=True)
    # Only now: a batch that was waited for may have passed what was the newest tick before it,
    # and the news in between may be pruned.
    tick = _newest(session)
    session.execute(query("rollups", "prepare"), {"lock": sums.LOCK})
    before = audit.verify(session, provider)
    zone = session.scalars(query("rollups", "zone")).one()
    binds = {"provider": provider, "zone": zone, "budgets": False, **feed.UNTOLD}
    for name in ("clear_buckets", "buckets_from_seals"):
        session.execute(query("rebuild", name), binds)
    rows = sum(_count(session, binds | part) for part in _everything(session, tick))
    for name in ("clear_days", "clear_models", "days_from_buckets", "models_from_buckets"):
        session.execute(query("rebuild", name), binds)
    sums.recompute(session, provider=provider)
    cursors.reset(session, provider, tick)
    audit.record(session, before, "rebuild")
    feed.put_reset(session)
    return RebuildResult(provider, rows, before)


def _newest(session: Session) -> int:
    tick = ticks.newest(session)
    if tick is None:
        raise BadInputError("Nothing to rebuild: no tick was taken yet.")
    return tick


def _count(session: Session, binds: dict[str, object]) -> int:
    rows = session.execute(query("rollups", "apply"), binds).one().rows
    return int(rows)


def _everything(session: Session, tick: int) -> list[dict[str, object]]:
    """All rows visible in a tick: those below its fence by id, the others by transaction."""
    found = ticks.window(session, tick, tick)
    below = found | {
        "fence": -1,
        "first_id": 0,
        "last_id": found["fence"],
        "after": 0,
        "before": _MAX,
        "settled": _MAX,
    }
    above = found | {"first_id": found["fence"] + 1, "last_id": _MAX, "after": 0}
    return [below, above] if found["fence"] else [above]


def set_zone(session: Session, zone: str) -> None:
    """Cut days in another zone from now on, and those of the past anew, in this transaction.

    Raises BadInputError for what is no time zone.
    """
    zones.known(session, zone)
    session.execute(query("rebuild", "hold_all"))
    session.execute(query("rebuild", "set_zone"), {"zone": zone})
    binds = {"provider": None, "zone": zone}
    session.execute(query("rebuild", "clear_days"), binds)
    session.execute(query("rebuild", "days_from_buckets"), binds)
    feed.put_reset(session)
