"""A repair brings back exactly what the ledger says, and remembers what was wrong."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from spend import rebuild, ticks
from spend.errors import BadInputError
from tests.support import ledger
from worker.database import transaction

LATE_EVENING = datetime(2026, 11, 3, 22, 30, tzinfo=UTC)


def repair(provider: str = "openai") -> rebuild.RebuildResult:
    with transaction() as session:
        return rebuild.shard(session, provider)


def test_damaged_totals_are_recomputed_and_what_differed_is_recorded(database: str) -> None:
    with transaction() as session:
        ledger.add(session)
        ledger.add(session, provider="other")
    ledger.roll()
    before = ledger.summary()
    for table in ("spend_buckets", "daily_cost_summaries", "spend_summary"):
        ledger.run_as("spendbeat_writer", f"UPDATE {table} SET total_cost = total_cost + 5")
    result = repair()
    assert (result.rows, len(result.before.mismatches)) == (1, 3)
    assert {m.provider for m in ledger.verify().mismatches} == {"other"}
    repair("other")
    assert ledger.verify().agrees
    assert ledger.summary() == before
    recorded = "SELECT count(*) FROM audits WHERE kind = 'rebuild' AND difference = 5"
    assert ledger.scalar(recorded) == 2


def test_a_rebuild_counts_what_was_waiting_and_nothing_twice_afterwards(database: str) -> None:
    with transaction() as session:
        ledger.add(session)
    ledger.roll()
    with transaction() as session:
        ledger.add(session)
    ledger.tick()
    assert repair().rows == 2
    assert ledger.roll() == 0
    with transaction() as session:
        ledger.add(session)
    assert ledger.roll() == 1
    assert ledger.summary() == {("openai", "gpt-4o"): Decimal(3)}
    assert ledger.verify().agrees


def test_a_rebuild_in_the_middle_of_a_cut_batch(database: str) -> None:
    with transaction() as session:
        for _ in range(10):
            ledger.add(session)
    ledger.tick()
    ledger.advance("openai", 3)
    repair()
    assert ledger.roll() == 0
    assert ledger.summary() == {("openai", "gpt-4o"): Decimal(10)}
    assert ledger.verify().agrees


def test_days_are_cut_in_the_reporting_zone_past_and_future(database: str) -> None:
    days = "SELECT array_agg(day::text || ':' || requests ORDER BY day) FROM daily_cost_summaries"
    with transaction() as session:
        ledger.add(session, started_at=LATE_EVENING)
    ledger.roll()
    assert ledger.scalar(days) == ["2026-11-03:1"]
    with transaction() as session:
        rebuild.set_zone(session, "Asia/Kathmandu")
    assert ledger.scalar(days) == ["2026-11-04:1"]
    with transaction() as session:
        ledger.add(session, started_at=LATE_EVENING)
        ledger.add(session, started_at=LATE_EVENING.replace(hour=18, minute=14))
    ledger.roll()
    assert ledger.scalar(days) == ["2026-11-03:1", "2026-11-04:2"]
    assert ledger.verify().agrees


def test_a_zone_that_does_not_exist_changes_nothing(database: str) -> None:
    with pytest.raises(BadInputError, match="Mars/Olympus"), transaction() as session:
        rebuild.set_zone(session, "Mars/Olympus")
    assert ledger.scalar("SELECT zone FROM reporting_zone") == "UTC"


def test_a_rebuild_that_waited_for_a_batch_starts_where_that_batch_ended(database: str) -> None:
    """The batch may pass what was the newest tick, and its news may be pruned meanwhile."""
    with transaction() as session:
        ledger.add(session)
    ledger.roll()
    with transaction() as session:
        seen = ticks.newest(session)
    with transaction() as session:
        ledger.add(session)
    ledger.roll()
    with transaction() as session, pytest.MonkeyPatch.context() as patch:
        current = ticks.newest
        answers = iter([seen])  # read before the lock was there; later ones are as they are
        patch.setattr(ticks, "newest", lambda session: next(answers, None) or current(session))
        ticks.prune(session)
        assert rebuild.shard(session, "openai").rows == 2
    assert ledger.roll() == 0
    assert ledger.summary() == {("openai", "gpt-4o"): Decimal(2)}
    assert ledger.verify().agrees
