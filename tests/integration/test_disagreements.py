"""Costs of one request that disagree: kept with the batch that brought them, and folded later."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from spend.pricing import UNPRICED, Origin
from spend.pricing.booking import GATEWAY, PROVIDER, Booked
from spend.pricing.disagreements import Seen, differ, fold, found, record
from spend.pricing.money import PICO
from tests.support import ledger
from worker.database import engine, transaction
from worker.exporter import PostgresCollector, reader

AT = datetime(2026, 11, 20, 23, 59, tzinfo=UTC)
LIBRARY = Origin("genai-prices", "0.2.3")


def seen(row_id: int, booked: Booked, *, minutes: int = 0) -> Seen:
    at = AT + timedelta(minutes=minutes)
    return Seen(row_id, "acme", "large", int(at.timestamp()) * 1_000_000, booked)


def save(*rows: Seen) -> int:
    with engine().begin() as connection:
        return record(connection, rows)


@pytest.mark.parametrize(
    ("one", "other", "apart"),
    [
        (PICO, PICO + PICO // 100, False),  # one per cent of the larger is still rounding
        (PICO, PICO + PICO // 50, True),
        (PICO // 50 + PICO, PICO, True),
        (10**6, 10**6 - 10**6 // 2, False),  # half a millionth of a dollar is nothing
        (0, 10**6, True),
        (0, 10**6 - 1, False),
        (0, 0, False),
    ],
)
def test_a_disagreement_is_beyond_both_tolerances(one: int, other: int, *, apart: bool) -> None:
    assert differ(one, other) is apart


def test_only_what_disagrees_is_kept_by_day_model_and_pair_of_sources(database: str) -> None:
    save(
        seen(1, Booked(PICO, PROVIDER, computed=2 * PICO, gateway=PICO)),
        seen(2, Booked(PICO, PROVIDER, computed=PICO // 2)),
        seen(3, Booked(PICO, PROVIDER, computed=PICO)),
        seen(4, Booked(PICO, PROVIDER, computed=3 * PICO), minutes=2),
        seen(5, Booked(PICO, GATEWAY, computed=0)),
        seen(6, Booked(None, UNPRICED)),
    )
    with transaction() as session:
        rows = found(session)
    assert [
        (r.day.day, r.booked_source, r.other_source, r.requests, r.other_usd, r.difference_usd)
        for r in rows
    ] == [
        (21, "provider", "computed", 1, Decimal(3), Decimal(2)),
        (20, "provider", "computed", 2, Decimal("2.5"), Decimal("1.5")),
        (20, "gateway", "computed", 1, Decimal(0), Decimal(1)),
    ]
    assert {r.example_row_id for r in rows} == {1, 4, 5}


def test_batches_are_folded_and_nothing_is_lost(database: str) -> None:
    """Also the second time, when there is nothing left to fold."""
    for row_id in range(1, 6):
        save(seen(row_id, Booked(PICO, LIBRARY, gateway=2 * PICO)))
    save(seen(9, Booked(PICO, LIBRARY, provider=2 * PICO)))
    with transaction() as session:
        before = found(session)
        assert fold(session) == 4
        assert fold(session) == 0
        assert found(session) == before
    assert ledger.scalar("SELECT count(*) FROM price_disagreements") == 2
    assert ledger.scalar("SELECT sum(difference_usd) FROM price_disagreements") == 6


def test_they_can_be_asked_for_by_model_and_day(database: str) -> None:
    save(
        seen(1, Booked(PICO, LIBRARY, gateway=0)),
        seen(2, Booked(PICO, LIBRARY, gateway=0), minutes=5),
    )
    with transaction("spendbeat_reader") as session:
        assert len(found(session, model="LARGE")) == 2
        assert found(session, model="small") == []
        assert [r.day for r in found(session, since=date(2026, 11, 21))] == [date(2026, 11, 21)]


def test_a_scrape_counts_them_by_provider(database: str) -> None:
    """Requests and dollars; 0 for a provider without any."""
    save(seen(1, Booked(PICO, LIBRARY, gateway=3 * PICO, provider=2 * PICO)))
    with transaction() as session:
        ledger.add(session, provider="openai")
    ledger.roll()
    ours = reader(database)
    said = {
        (sample.name, sample.labels["provider"]): sample.value
        for family in PostgresCollector(ours).collect()
        for sample in family.samples
        if sample.name.startswith("spendbeat_price_disagreement")
    }
    ours.dispose()
    assert said == {
        ("spendbeat_price_disagreements", "acme"): 2,
        ("spendbeat_price_disagreement_dollars", "acme"): 3,
        ("spendbeat_price_disagreements", "openai"): 0,
        ("spendbeat_price_disagreement_dollars", "openai"): 0,
    }
