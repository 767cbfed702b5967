"""Figures of a spool, for programs and people."""

import sqlite3
import time
from dataclasses import asdict, dataclass
from typing import Protocol

from spendbeat_gateway import database, faults
from spendbeat_gateway.outbox import Outbox
from spendbeat_gateway.settings import Settings
from spendbeat_gateway.spool import Spool


@dataclass(frozen=True)
class Stats:
    """Figures of a spool since it was made, for all processes that share it; faults of this one.

    oldest_seconds: the age of the oldest event that waits, None where none does. dropped: events
    that are lost, by reason. unmeasured: calls recorded without tokens or a cost.
    last_success: seconds since 1970. elected: whether this process ships.
    """

    spool: str
    destination: str
    waiting: int = 0
    oldest_seconds: float | None = None
    shipped: int = 0
    rejected: int = 0
    dropped: int = 0
    dropped_by_reason: dict[str, int] | None = None
    unmeasured: int = 0
    bytes: int = 0
    limit_bytes: int = 0
    last_success: int | None = None
    last_error: str | None = None
    elected: bool = False
    faults: int = 0
    problem: str | None = None

    def as_dict(self) -> dict[str, object]:
        return asdict(self)


class Elected(Protocol):
    @property
    def elected(self) -> bool: ...


def collect(
    settings: Settings, outbox: Outbox, spool: Spool | None = None, shipper: Elected | None = None
) -> Stats:
    """Never raises: where the spool cannot be read, `problem` says why."""
    base = {
        "spool": str(outbox.folder),
        "destination": destination(settings),
        "limit_bytes": settings.limit,
        "elected": shipper is not None and shipper.elected,
        "faults": faults.count,
    }
    uncounted = spool.uncounted() if spool is not None else {}
    try:
        oldest, counters, notes = outbox.oldest(), outbox.counters(), outbox.notes()
        for name, n in uncounted.items():
            counters[name] = counters.get(name, 0) + n
        return Stats(
            **base,  # type: ignore[arg-type] # the mapping above has the types of these fields
            **_dropped(counters),  # type: ignore[arg-type] # likewise
            waiting=outbox.waiting(),
            oldest_seconds=max(0.0, round(time.time() - oldest / 1e9, 1)) if oldest else None,
            shipped=counters.get("shipped", 0),
            rejected=outbox.rejected_count(),
            unmeasured=counters.get("unmeasured", 0),
            bytes=database.size(outbox.folder),
            last_success=int(notes["last_success"]) if notes.get("last_success") else None,
            last_error=notes.get("last_error") or None,
        )
    except (sqlite3.Error, OSError) as error:
        problem = f"the spool cannot be read: {error}"
        return Stats(**base, **_dropped(uncounted), problem=problem)  # type: ignore[arg-type] # as above


def _dropped(counters: dict[str, int]) -> dict[str, object]:
    found = {
        name.removeprefix("dropped_"): n
        for name, n in sorted(counters.items())
        if name.startswith("dropped_")
    }
    return {"dropped": sum(found.values()), "dropped_by_reason": found}


def destination(settings: Settings) -> str:
    """For people: without passwords."""
    if settings.url:
        from spendbeat_gateway.web import Web  # noqa: PLC0415 - loaded only by who ships that way

        return Web(settings.url, None).where
    if settings.database_url:
        from spendbeat_gateway.postgres import Postgres  # noqa: PLC0415 - as above

        return Postgres(settings.database_url).where
    return "none"
