"""Table `event_inbox`: events that gateways put into Postgres, on their way to the ledger."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlalchemy import text
from sqlalchemy.orm import Session

from spend.sql import query

if TYPE_CHECKING:  # every tick asks for what is waiting; only a drain needs the capture's libraries
    from spend.capture.desk import Desk

BATCH = 5_000
MOST_KEPT = 10_000


@dataclass(frozen=True, slots=True)
class DrainResult:
    """What became of the events taken out; rejected ones stay in the inbox with their reason."""

    rows: int
    imported: int
    known: int
    conflicts: int
    rejected: int
    more: bool


def waiting(session: Session) -> bool:
    """Whether there is anything to book."""
    return bool(session.scalar(query("inbox", "waiting")))


def drain(session: Session, desk: "Desk", limit: int = BATCH) -> DrainResult:
    """Book the oldest events. The session's transaction holds them; the desk books in its own.

    A drain that dies between the two leaves events that are booked already: the next one finds
    them known. Two drains take different events.
    """
    events = session.execute(query("inbox", "take"), {"limit": limit}).all()
    if not events:
        return DrainResult(0, 0, 0, 0, 0, more=False)
    from spend.capture.inbox_events import read  # noqa: PLC0415 - see above

    booked = desk.book([read(e.route, e.body) for e in events], route="inbox", strict=False)
    refused = {problem.index: problem.reason for problem in booked.rejected}
    session.execute(
        query("inbox", "settle"),
        {
            "booked": [e.id for index, e in enumerate(events) if index not in refused],
            "refused": [events[index].id for index in refused],
            "reasons": list(refused.values()),
        },
    )
    return DrainResult(
        rows=len(events),
        imported=booked.imported,
        known=booked.known,
        conflicts=len(booked.conflicts),
        rejected=len(refused),
        more=len(events) == limit,
    )


def keep(session: Session, route: str, bodies: Sequence[str], reasons: Sequence[str]) -> None:
    """Keep events that could not be booked and that their sender will not send again.

    Beyond MOST_KEPT they are left out: somebody sends what will never be right.
    """
    session.execute(
        query("inbox", "keep"),
        {"route": route, "bodies": list(bodies), "reasons": list(reasons), "most": MOST_KEPT},
    )


def retry(session: Session) -> int:
    """Let the events that could not be booked be tried again; how many there are."""
    statement = text("UPDATE event_inbox SET error = NULL WHERE error IS NOT NULL")
    return int(session.execute(statement).rowcount)  # type: ignore[attr-defined]  # an UPDATE has one
