"""Dropping a month's rows changes no total, and no row is dropped that was not counted."""

from datetime import UTC, date, datetime
from decimal import Decimal
from threading import Thread

import pytest
from sqlalchemy import text

from spend import rebuild, sealing
from spend.errors import BadInputError
from spend.sealing import NotSealableError
from tests.support import ledger
from tests.support.waiting import wait_for
from worker.database import engine, transaction

FEBRUARY = datetime(2024, 2, 10, 8, tzinfo=UTC)
MARCH = datetime(2024, 3, 1, tzinfo=UTC)
NOW = datetime(2026, 11, 21, tzinfo=UTC)


def seal(month: date | None = None) -> int:
    with transaction("spendbeat_owner") as session:
        return sealing.seal(session, month or FEBRUARY.date(), NOW).rows


def two_months() -> None:
    with transaction() as session:
        for at in (FEBRUARY, FEBRUARY, MARCH):
            ledger.add(session, started_at=at)
        ledger.add(session, started_at=FEBRUARY, provider="other", cost_usd=None)
    ledger.roll()


def test_totals_stay_when_a_month_is_dropped(database: str) -> None:
    two_months()
    before = ledger.summary(), ledger.verify().total_cost
    assert seal() == 3
    assert ledger.scalar("SELECT count(*) FROM cost_logs") == 1
    assert (ledger.summary(), ledger.verify().total_cost) == before
    assert ledger.verify().agrees


def test_rows_that_come_late_for_a_dropped_month_are_counted_and_sealed_again(
    database: str,
) -> None:
    two_months()
    seal()
    with transaction() as session:
        ledger.add(session, started_at=FEBRUARY)
    assert ledger.roll() == 1
    assert ledger.verify().agrees
    assert seal() == 1
    assert ledger.verify().agrees
    assert ledger.summary()["openai", "gpt-4o"] == Decimal(4)


def test_a_rebuild_adds_what_was_sealed(database: str) -> None:
    two_months()
    seal()
    before = ledger.summary()
    ledger.run_as("spendbeat_writer", "DELETE FROM spend_buckets")
    for provider in ("openai", "other"):
        with transaction() as session:
            rebuild.shard(session, provider)
    assert ledger.summary() == before
    assert ledger.verify().agrees


def test_a_month_with_rows_that_are_not_counted_yet_is_refused(database: str) -> None:
    two_months()
    with transaction() as session:
        ledger.add(session, started_at=FEBRUARY)
    with pytest.raises(NotSealableError, match="1 rows of 2024-02 are not counted yet"):
        seal()
    ledger.tick()
    with pytest.raises(NotSealableError):
        seal()
    ledger.roll()
    assert seal() == 4


def test_a_month_of_a_provider_that_no_tick_has_seen_is_refused(database: str) -> None:
    with transaction() as session:
        ledger.add(session, started_at=FEBRUARY, provider="unseen")
    with pytest.raises(NotSealableError):
        seal()


def test_a_month_whose_buckets_disagree_is_refused(database: str) -> None:
    two_months()
    ledger.run_as("spendbeat_writer", "UPDATE spend_buckets SET total_cost = total_cost + 1")
    with pytest.raises(NotSealableError, match="spendbeat verify"):
        seal()
    assert ledger.scalar("SELECT count(*) FROM cost_logs") == 4


def test_a_dropped_month_is_guarded_again(database: str) -> None:
    two_months()
    seal()
    with pytest.raises(Exception, match="append-only"):
        ledger.run_as("spendbeat_owner", "TRUNCATE cost_logs_y2024m02")


def test_a_writer_in_the_middle_is_waited_for_and_not_lost(database: str) -> None:
    """Its row is not counted, so the month is not dropped."""
    two_months()
    writer = engine().connect()
    writer.execute(
        text(
            "INSERT INTO cost_logs (provider, model, cost_usd, started_at)"
            " VALUES ('openai', 'gpt-4o', 1, '2024-02-11Z')"
        )
    )
    with pytest.raises(NotSealableError, match="still being written"):
        seal()
    writer.commit()
    writer.close()
    assert ledger.roll() == 1
    assert seal() == 4


def test_a_writer_that_comes_during_a_drop_is_counted_afterwards(database: str) -> None:
    """It waits for the lock, then goes on in the emptied month."""
    two_months()

    def write() -> None:
        with transaction() as session:
            ledger.add(session, started_at=FEBRUARY)

    thread = Thread(target=write)
    with transaction("spendbeat_owner") as session:
        sealing.seal(session, FEBRUARY.date(), NOW)
        thread.start()
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND database = (SELECT oid FROM"
        waiting += " pg_database WHERE datname = current_database())"
        wait_for(lambda: ledger.scalar(waiting), "the writer to wait")
    thread.join(10)
    assert ledger.roll() == 1
    assert ledger.verify().agrees
    assert ledger.summary()["openai", "gpt-4o"] == Decimal(4)


def test_only_a_past_month_that_exists_can_be_dropped(database: str) -> None:
    with pytest.raises(BadInputError, match="not over"):
        seal(NOW.date())
    with pytest.raises(BadInputError, match="no partition"):
        seal(date(2001, 1, 1))
