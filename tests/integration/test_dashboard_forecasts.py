"""Forecasts on the dashboard: kept for a while, never below what is spent, never of another."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import event

from spend.budgets import standing
from tests.support import alerts, budgets
from web.dashboard import forecasts
from worker.database import engine, transaction

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture
def asked(database: str) -> Iterator[list[str]]:
    """What was asked of Postgres since."""
    statements: list[str] = []

    def note(*said: object) -> None:
        statements.append(str(said[2]))

    reader = engine("spendbeat_reader")
    event.listen(reader, "before_cursor_execute", note)
    yield statements
    event.remove(reader, "before_cursor_execute", note)


def test_it_is_made_once_and_spend_is_always_new(asked: list[str]) -> None:
    for day in range(20):
        alerts.spend(10, NOW - timedelta(days=day, hours=1))
    one = budgets.add("all", hard_limit=1000)
    assert look(one.id).forecast == full(one.id).forecast
    assert [statement for statement in asked if "per_day" in statement]
    asked.clear()
    first = look(one.id)
    assert not [statement for statement in asked if "per_day" in statement]
    assert first.forecast is not None
    alerts.spend(9000, NOW - timedelta(minutes=1))
    later = look(one.id)
    assert later.spend == first.spend + 9000
    assert later.forecast is not None
    assert later.forecast.expected == later.spend
    budgets.edit("all", hard_limit=2000)
    assert look(one.id).forecast == full(one.id).forecast
    assert look(one.id).limit == Decimal(2000)


def look(id_: int) -> standing.BudgetStatus:
    with transaction("spendbeat_reader") as session:
        [found] = forecasts.stands(session, NOW, [id_])
        return found


def full(id_: int) -> standing.BudgetStatus:
    with transaction("spendbeat_reader") as session:
        [found] = standing.status(session, NOW, [id_])
        return found
