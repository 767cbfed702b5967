"""Requests whose month was dropped are counted and not there: going over them takes little."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event

from spend import requests, sealing
from tests.support import ledger
from worker.database import engine, transaction

FEBRUARY = datetime(2024, 2, 10, 8, tzinfo=UTC)
NOW = datetime(2026, 11, 21, tzinfo=UTC)


@pytest.mark.usefixtures("database")
def test_a_small_page_does_not_look_for_dropped_requests_quarter_by_quarter() -> None:
    with transaction() as session:
        quarters = [FEBRUARY + timedelta(minutes=15 * n) for n in range(300)]
        ledger.add(session, [{"started_at": at} for at in quarters])
        ledger.add(session, started_at=FEBRUARY - timedelta(days=20), request_id="older")
    ledger.roll()
    with transaction("spendbeat_owner") as session:
        sealing.seal(session, FEBRUARY.date(), NOW)
    said: list[str] = []

    def note(*executed: Any) -> None:
        said.append(executed[2])

    with transaction("spendbeat_reader") as session:
        event.listen(engine("spendbeat_reader"), "before_cursor_execute", note)
        page = requests.page(session, most=1, patience=600)
    assert [found.request_id for found in page.requests] == ["older"]
    assert page.following is None
    assert len(said) < 40
