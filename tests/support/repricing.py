"""Requests as capture books them, prices of one's own, and repricings of them."""

from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import text

from spend.capture.pipeline import import_requests
from spend.pricing import Rates, Tier, overrides
from spend.repricing import runs
from spend.repricing.runs import Preview, Run
from spend.repricing.scope import Scope
from worker.database import engine, transaction

BEGIN = datetime(2026, 11, 1, tzinfo=UTC)
END = datetime(2026, 12, 1, tzinfo=UTC)
_UTC = ZoneInfo("UTC")


def book(rows: Iterable[dict[str, Any]]) -> None:
    """Book requests through capture; what a row does not say is filled in."""
    usual = {"provider": "acme", "model": "large", "started_at": BEGIN}
    import_requests(engine(), [{**usual, **row} for row in rows])


def price(input_: str, output: str = "0", *, model: str = "large", since: datetime = BEGIN) -> int:
    """Record a price of one's own for a model of acme; its id."""
    rates = Rates(input=Decimal(input_), output=Decimal(output))
    with transaction() as session:
        made = overrides.add(
            session, provider="acme", model=model, tiers=[Tier(0, rates)], valid_from=since
        )
        return made.id


def scope(model: str = "large", *, since: datetime = BEGIN, until: datetime = END) -> Scope:
    return Scope(model, None, since, until)


def preview(where: Scope | None = None, **options: Any) -> Preview:
    return runs.preview(engine(), where or scope(), **{"zone": _UTC, **options})


def reprice(where: Scope | None = None, **options: Any) -> Run:
    """Find out what to do, and do it."""
    return runs.execute(engine(), preview(where, **options), by="test")


def net() -> dict[str, Decimal | None]:
    """What each request costs with all its adjustments, by the sender's id."""
    with transaction("spendbeat_reader") as session:
        rows = session.execute(text("SELECT request_id, cost_usd FROM token_usage"))
        return {row.request_id: row.cost_usd for row in rows}


def total() -> Decimal:
    """The sum of the ledger."""
    with transaction("spendbeat_reader") as session:
        found = session.scalar(text("SELECT coalesce(sum(cost_usd), 0) FROM cost_logs"))
        assert found is not None
        return Decimal(found)
