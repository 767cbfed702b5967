"""Which budgets are to be looked at: those that a shard moved, and those whose time has come."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy.orm import Session

from spend.alerts import judging, states
from spend.alerts.judging import Judged
from spend.sql import query

# So many budgets are judged in one transaction, and held for so long.
BUDGETS_AT_ONCE = 500
_NEWS_AT_ONCE = 200
# After rows of its own a forecast is made anew, but not with every batch.
_FORECAST_OLD = timedelta(minutes=5)


@dataclass(frozen=True)
class Checked:
    """One check. 'busy': another worker has the shard's. more: there is work left.

    looked: budgets with a new verdict; review() is to look at them again after the commit.
    """

    outcome: Literal["checked", "busy"]
    judged: Judged = field(default_factory=Judged)
    woken: int = 0
    more: bool = False
    looked: tuple[int, ...] = ()

    @property
    def told(self) -> bool:
        """Whether messages wait in the outbox."""
        return bool(self.judged.messages or self.woken)


def shards(session: Session) -> list[str]:
    """Shards that moved budgets which nobody has looked at since."""
    return list(session.scalars(query("alerts", "shards")))


def check(session: Session, provider: str, now: datetime) -> Checked:
    """Look at the budgets that a shard moved since its last check, in this transaction.

    If it dies, the news is still there; it may run as often as it likes.
    """
    if not session.scalar(query("alerts", "lock_shard"), {"provider": provider}):
        return Checked("busy")
    binds = {
        "provider": provider,
        "most": _NEWS_AT_ONCE,
        "forecast_before": now - _FORECAST_OLD,
    }
    moved = [(row[0], row[1]) for row in session.execute(query("alerts", "take_news"), binds)]
    ids = sorted({id_ for id_, _ in moved})
    later = set(ids[BUDGETS_AT_ONCE:])
    if rest := [pair for pair in moved if pair[0] in later]:
        session.execute(
            query("alerts", "put_back"),
            {
                "provider": provider,
                "ids": [pair[0] for pair in rest],
                "starts": [pair[1] for pair in rest],
            },
        )
    judged = judging.judge(session, ids[:BUDGETS_AT_ONCE], now)
    return Checked("checked", judged, more=bool(rest), looked=tuple(ids[:BUDGETS_AT_ONCE]))


def waiting(session: Session, now: datetime) -> bool:
    """Whether time has brought something to check_due()."""
    binds = {"now": now, "most": 1}
    return bool(
        session.execute(query("alerts", "due"), binds).first()
        or session.execute(query("alerts", "ripe"), binds).first()
    )


def check_due(session: Session, now: datetime) -> Checked:
    """Look at budgets that changed or whose time has come; escalate, and end snoozes."""
    binds = {"now": now, "most": BUDGETS_AT_ONCE}
    ids = list(session.scalars(query("alerts", "due"), binds))
    judged = judging.judge(session, ids, now)
    woken = len(states.wake(session, now, BUDGETS_AT_ONCE))
    more = BUDGETS_AT_ONCE in (len(ids), woken)
    return Checked("checked", judged, woken, more, tuple(ids))


def review(session: Session, now: datetime, ids: Sequence[int] | None = None) -> Checked:
    """Look at budgets (all, or some) whose spend is outside the range of their verdict.

    A check that compares while another one makes a verdict compares with the one before: what it
    passed by is found here, once the new one is committed.
    """
    binds = {"most": BUDGETS_AT_ONCE, "ids": None if ids is None else list(ids)}
    found = list(session.scalars(query("alerts", "moved_unseen"), binds))
    judged = judging.judge(session, found, now)
    return Checked("checked", judged, more=len(found) == BUDGETS_AT_ONCE)
