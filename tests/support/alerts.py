"""Spend, checks and alerts for tests, at moments of their choosing."""

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import text

from spend.alerts import checks, listing
from spend.alerts.alert import Alert, Change
from spend.alerts.checks import Checked
from tests.support import ledger
from worker.database import transaction


def spend(dollars: str | int, at: datetime, **fields: Any) -> None:
    """One request of so many dollars, counted by its shard."""
    with transaction() as session:
        ledger.add(session, cost_usd=Decimal(dollars), started_at=at, **fields)
    ledger.roll()


def check(now: datetime) -> None:
    """All that beat would ring for until nothing is left to do."""
    for _ in range(20):
        with transaction() as session:
            shards = checks.shards(session)
            due = checks.waiting(session, now)
        if not shards and not due:
            return
        for provider in shards:
            one(lambda session, provider=provider: checks.check(session, provider, now))
        one(lambda session: checks.check_due(session, now))
    raise AssertionError("there is always something left to check")


def one(do: Callable[..., Checked]) -> Checked:
    with transaction() as session:
        return do(session)


def told(now: datetime | None = None, **wanted: Any) -> list[Alert]:
    """Every alert, the oldest first; after a check at `now`, if that is given."""
    if now is not None:
        check(now)
    with transaction("spendbeat_reader") as session:
        return listing.alerts(session, most=10_000, **wanted)[::-1]


def names(now: datetime | None = None, **wanted: Any) -> list[tuple[str, str, str]]:
    """Budget, threshold and state of every alert, the oldest first."""
    return [(alert.budget, alert.threshold, alert.state) for alert in told(now, **wanted)]


def history(alert_id: int) -> list[Change]:
    with transaction("spendbeat_reader") as session:
        return listing.history(session, alert_id)


def messages() -> list[dict[str, Any]]:
    """What was put into the outbox, in the order of its lanes: type, lane and body."""
    with transaction("spendbeat_reader") as session:
        rows = session.execute(
            text("SELECT id, type, lane, channel_id, body FROM outbox ORDER BY lane, position")
        )
        return [dict(row) for row in rows.mappings()]
