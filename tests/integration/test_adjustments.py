"""Adjustments: net figures become what is wanted, once, and every total follows."""

import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import text

from spend import adjustments
from spend.adjustments import Adjusted, Wanted
from spend.pricing import Origin, Usage
from spend.pricing.booking import GATEWAY
from spend.pricing.versions import resolve
from tests.support import ledger
from tests.support.waiting import wait_for
from worker.database import transaction

_WAITING = """SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"""
AT = datetime(2026, 11, 20, 10, tzinfo=UTC)
OTHER = Origin("override", "9")


def version(origin: Origin = GATEWAY) -> int:
    with transaction() as session:
        return resolve(session, [origin])[origin]


def adjust(wanted: Sequence[Wanted]) -> Adjusted:
    with transaction() as session:
        return adjustments.adjust(session, wanted)


def booked() -> list[Any]:
    with transaction("spendbeat_reader") as session:
        sql = "SELECT id, started_at FROM cost_logs WHERE adjusts_id IS NULL ORDER BY id"
        return list(session.execute(text(sql)))


def net() -> list[Decimal | None]:
    with transaction("spendbeat_reader") as session:
        return list(session.scalars(text("SELECT cost_usd FROM token_usage ORDER BY id")))


@pytest.fixture
def requests(database: str) -> list[Any]:
    """Three requests, the second one unpriced, the third in another month."""
    with transaction() as session:
        ledger.add(
            session,
            [
                {"started_at": AT, "cost_usd": Decimal("0.25")},
                {"started_at": AT + timedelta(hours=1), "cost_usd": None, "input_tokens": 7},
                {"started_at": AT + timedelta(days=30), "cost_usd": Decimal(3)},
            ],
            provider="acme",
            model="la\trge\\",
            status="failure",
        )
    return booked()


def test_net_figures_become_what_is_wanted(requests: list[Any]) -> None:
    """Also those of an unpriced request; rollups and audit agree."""
    ledger.roll()
    costs = [Decimal("0.1"), Decimal("0.000000000001"), Decimal(3)]
    wanted = [
        Wanted(*row, cost, None, version()) for row, cost in zip(requests, costs, strict=True)
    ]
    assert adjust(wanted) == Adjusted(2, Decimal("-0.149999999999"))
    assert net() == costs
    assert adjust(wanted) == Adjusted(0, Decimal(0))
    ledger.roll()
    assert ledger.summary() == {("acme", "la\trge\\"): sum(costs)}
    assert ledger.scalar("SELECT unpriced FROM spend_summary") == 0
    assert ledger.scalar("SELECT requests FROM spend_summary") == 3
    assert ledger.verify().mismatches == ()


def test_an_adjustment_is_like_its_row_but_no_request(requests: list[Any]) -> None:
    """Time, provider, model, attribution and status are the row's, so it meets its own bucket."""
    adjust([Wanted(*row, Decimal(9), None, version()) for row in requests])
    same = """SELECT count(*) FROM cost_logs AS a JOIN cost_logs AS r ON r.id = a.adjusts_id
      AND (a.started_at, a.provider, a.model, a.attribution_id, a.status)
        = (r.started_at, r.provider, r.model, r.attribution_id, r.status)"""
    assert ledger.scalar(same) == 3


def test_a_price_can_be_taken_back(requests: list[Any]) -> None:
    adjust([Wanted(*requests[1], Decimal(2), None, version())])
    adjust([Wanted(*row, None, None, version(OTHER)) for row in requests[:2]])
    assert net() == [None, None, Decimal(3)]
    ledger.roll()
    assert ledger.scalar("SELECT unpriced FROM spend_summary") == 2
    assert ledger.scalar("SELECT total_cost FROM spend_summary") == 3


def test_tokens_follow_where_a_usage_is_wanted(requests: list[Any]) -> None:
    adjust([Wanted(*requests[1], None, Usage(3, 4, 1), version())])
    sql = "SELECT (input_tokens, output_tokens, cache_read_tokens) = (3, 4, 1) FROM token_usage"
    assert ledger.scalar(f"{sql} WHERE id = {requests[1].id}")
    ledger.roll()
    assert ledger.scalar("SELECT input_tokens FROM spend_summary") == 3
    assert ledger.verify().mismatches == ()


def test_one_source_may_change_its_mind(requests: list[Any]) -> None:
    """There is one adjustment per request and price version, so later ones say which they are."""
    for cost in (1, 2, 3):
        adjust([Wanted(*requests[0], Decimal(cost), None, version())])
    assert net()[0] == 3
    with transaction("spendbeat_reader") as session:
        sql = """SELECT source, assumption FROM cost_logs AS l
          JOIN price_versions AS v ON v.id = l.price_version_id
          WHERE adjusts_id IS NOT NULL ORDER BY l.id"""
        said = [tuple(row) for row in session.execute(text(sql))]
    assert said == [("gateway", ""), ("gateway", "again 2"), ("gateway", "again 3")]


def test_requests_that_are_gone_are_counted_and_change_nothing(requests: list[Any]) -> None:
    """As is one whose time is another than the ledger's: both parts name a row."""
    wrong = [
        Wanted(10**9, AT, Decimal(1), None, version()),
        Wanted(requests[0].id, AT - timedelta(microseconds=1), Decimal(1), None, version()),
        Wanted(*requests[1], None, None, version()),
    ]
    assert adjust(wrong) == Adjusted(0, Decimal(0), gone=2)


def test_two_at_once_correct_a_request_once(requests: list[Any]) -> None:
    """The second waits for the first, and then sees what it wrote."""
    wanted = [Wanted(*requests[0], Decimal(1), None, version())]
    other = [Wanted(*requests[0], Decimal(1), None, version(OTHER))]
    results: list[Adjusted] = []
    with transaction() as session:
        results.append(adjustments.adjust(session, wanted))
        waiting = threading.Thread(target=lambda: results.append(adjust(other)))
        waiting.start()
        wait_for(lambda: ledger.scalar(_WAITING), "the second one to wait")
    waiting.join()
    assert [result.rows for result in results] == [1, 0]
    assert net()[0] == 1
