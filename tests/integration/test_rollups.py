"""Each ledger row is counted once, in the tables it belongs to, whatever order things happen in."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from sqlalchemy import text

from spend import cursors, rollups, ticks
from spend.errors import RestoredClusterError
from spend.rollups import LostRowsError
from spend.sql import queries
from tests.support import ledger
from worker.database import engine, transaction

NOV = datetime(2026, 11, 3, 10, 7, tzinfo=UTC)


def test_a_batch_moves_every_table_derived_from_the_ledger(database: str) -> None:
    with transaction() as session:
        ledger.add(session, started_at=NOV, input_tokens=5, output_tokens=2)
        ledger.add(session, started_at=NOV, cost_usd=None, reasoning_tokens=1, output_tokens=1)
        ledger.add(session, started_at=NOV.replace(minute=15), cost_usd=Decimal("0.000000000001"))
    assert ledger.roll() == 3
    with transaction("spendbeat_reader") as session:
        buckets = ledger.execute(
            session,
            "SELECT bucket, requests, unpriced, input_tokens, output_tokens, reasoning_tokens,"
            " total_cost FROM spend_buckets ORDER BY bucket",
        ).all()
        day = ledger.execute(
            session, "SELECT day::text, requests, unpriced, total_cost FROM daily_cost_summaries"
        ).all()
    tiny = Decimal("0.000000000001")
    assert buckets == [
        (NOV.replace(minute=0), 2, 1, 5, 3, 1, Decimal(1)),
        (NOV.replace(minute=15), 1, 0, 0, 0, 0, tiny),
    ]
    assert day == [("2026-11-03", 3, 1, 1 + tiny)]
    assert ledger.summary() == {("openai", "gpt-4o"): 1 + tiny}


def test_rows_that_commit_out_of_order_are_counted_once(database: str) -> None:
    """An older id may commit after a younger one has been counted."""
    late = engine().connect()
    late.execute(text("INSERT INTO cost_logs (provider, model, cost_usd) VALUES ('p', 'm', 4)"))
    with transaction() as session:
        ledger.add(session, provider="p", model="m")
    assert ledger.roll() == 1
    late.commit()
    late.close()
    assert ledger.roll() == 1
    assert ledger.roll() == 0
    assert ledger.summary() == {("p", "m"): Decimal(5)}


def test_a_transaction_that_stays_open_over_many_ticks_is_counted_when_it_ends(
    database: str,
) -> None:
    held = engine().connect()
    held.execute(text("INSERT INTO cost_logs (provider, model, cost_usd) VALUES ('p', 'm', 4)"))
    for _ in range(3):
        with transaction() as session:
            ledger.add(session, provider="p", model="m")
        assert ledger.roll() == 1
    held.commit()
    held.close()
    assert ledger.roll() == 1
    assert ledger.summary() == {("p", "m"): Decimal(7)}


def test_rolled_back_rows_are_not_counted(database: str) -> None:
    with engine().connect() as connection:
        insert = text("INSERT INTO cost_logs (provider, model, cost_usd) VALUES ('p', 'm', :cost)")
        connection.execute(insert, {"cost": 1})
        savepoint = connection.begin_nested()
        connection.execute(insert, {"cost": 10})
        savepoint.rollback()
        connection.execute(insert, {"cost": 100})
        connection.commit()
        connection.execute(insert, {"cost": 1000})
        connection.rollback()
    assert ledger.roll() == 2
    assert ledger.summary() == {("p", "m"): Decimal(101)}


def test_a_batch_that_dies_before_its_commit_is_counted_once_later(database: str) -> None:
    with transaction() as session:
        ledger.add(session)
    ledger.tick()
    with transaction() as session:
        assert rollups.advance(session, "openai").rows == 1
        session.rollback()
    assert ledger.advance("openai").rows == 1
    assert ledger.advance("openai").outcome == "current"
    assert ledger.summary() == {("openai", "gpt-4o"): Decimal(1)}


def test_a_second_worker_on_a_shard_steps_aside(database: str) -> None:
    with transaction() as session:
        ledger.add(session)
    ledger.tick()
    with transaction() as session:
        assert cursors.take(session, "openai") is not None
        assert ledger.advance("openai").outcome == "busy"
    assert ledger.advance("openai").outcome == "moved"


def test_a_second_beat_steps_aside(database: str) -> None:
    with transaction() as session:
        assert ticks.take(session).outcome == "taken"
        assert ledger.tick().outcome == "busy"


def test_a_shard_whose_message_was_lost_is_named_again_by_the_next_tick(database: str) -> None:
    with transaction() as session:
        ledger.add(session)
    assert ledger.tick().shards == ("openai",)
    assert ledger.tick().shards == ("openai",)
    ledger.advance("openai")
    assert ledger.tick().shards == ()


def test_only_shards_with_something_new_get_work(database: str) -> None:
    with transaction() as session:
        ledger.add(session, provider="quiet")
    ledger.roll()
    with transaction() as session:
        ledger.add(session, provider="busy")
    assert ledger.tick().shards == ("busy",)


def test_late_rows_go_to_the_time_they_belong_to(database: str) -> None:
    with transaction() as session:
        ledger.add(session, started_at=NOV)
    ledger.roll()
    with transaction() as session:
        ledger.add(session, started_at=datetime(2021, 2, 3, tzinfo=UTC))
    ledger.roll()
    days = "SELECT array_agg(day::text ORDER BY day) FROM daily_cost_summaries"
    assert ledger.scalar(days) == ["2021-02-03", "2026-11-03"]
    assert ledger.verify().agrees


@pytest.mark.parametrize("batch_rows", [1, 7, 40, 99, 100, 1000])
def test_a_transaction_too_large_for_one_batch_is_cut_and_stays_exact(
    database: str, batch_rows: int
) -> None:
    """Also proved between two cuts, and with rows of other shards in between."""
    with transaction() as session:
        ledger.execute(
            session,
            "INSERT INTO cost_logs (provider, model, cost_usd)"
            " SELECT CASE WHEN n % 3 = 0 THEN 'other' ELSE 'large' END, 'm', n"
            " FROM generate_series(1, 100) AS n",
        )
    ledger.tick()
    batches = 0
    for provider in ("large", "other"):
        more = True
        while more:
            more = ledger.advance(provider, batch_rows).more
            batches += 1
            assert ledger.verify().agrees
    assert ledger.summary() == {("large", "m"): Decimal(3367), ("other", "m"): Decimal(1683)}
    assert (batches == 2) == (batch_rows >= 67)


def test_rows_written_while_a_shard_is_cut_are_counted_after_it(database: str) -> None:
    with transaction() as session:
        ledger.execute(
            session,
            "INSERT INTO cost_logs (provider, model, cost_usd)"
            " SELECT 'large', 'm', 1 FROM generate_series(1, 10)",
        )
    ledger.tick()
    assert ledger.advance("large", 4).more
    with transaction() as session:
        ledger.add(session, provider="large", model="m")
    assert ledger.roll(4) == 7
    assert ledger.summary() == {("large", "m"): Decimal(11)}
    assert ledger.verify().agrees


def test_many_small_ticks_are_counted_in_few_batches(database: str) -> None:
    for _ in range(5):
        with transaction() as session:
            ledger.add(session)
        ledger.tick()
    result = ledger.advance("openai", 3)
    assert (result.rows, result.more) == (3, True)
    assert ledger.advance("openai", 3).rows == 2


def test_a_batch_that_lacks_announced_rows_is_refused(database: str) -> None:
    """Somebody with every right removed rows: better no total than one that is quietly short."""
    with transaction() as session:
        ledger.add(session)
        ledger.add(session)
    ledger.tick()
    with transaction(None) as session:
        table = ledger.execute(session, "SELECT max(tableoid::regclass::text) FROM cost_logs")
        name = table.scalar_one()
        ledger.execute(session, f"ALTER TABLE {name} DISABLE TRIGGER ALL")
        ledger.execute(session, f"DELETE FROM {name} WHERE id = (SELECT min(id) FROM {name})")
    with pytest.raises(LostRowsError, match="announced 2 ledger rows, but 1"):
        ledger.advance("openai")
    assert ledger.summary() == {}


def test_ticks_that_every_shard_has_passed_are_pruned(database: str) -> None:
    with transaction() as session:
        ledger.add(session)
    for _ in range(5):
        ledger.tick()
    with transaction() as session:
        ticks.prune(session)
    assert ledger.roll() == 1
    for _ in range(3):
        ledger.roll()
    with transaction() as session:
        ticks.prune(session)
    assert ledger.scalar("SELECT count(*) FROM shard_news") == 0
    assert ledger.scalar("SELECT count(*) FROM ticks") == 2  # the newest, and the cursor's
    with transaction() as session:
        ledger.add(session)
    assert ledger.roll() == 1
    assert ledger.verify().agrees


def test_rollups_stop_in_another_cluster(database: str) -> None:
    with transaction() as session:
        ledger.add(session)
    ledger.tick()
    ledger.run_as("spendbeat_writer", "UPDATE ticks SET system_identifier = 42")
    with pytest.raises(RestoredClusterError, match="spendbeat rollups rebuild"):
        ledger.tick()


def test_an_idle_tick_finds_nothing_and_reads_no_rows(database: str) -> None:
    """The block range index is brought up to date, so unchanged pages are not read again."""
    with transaction() as session:
        ledger.execute(
            session,
            "INSERT INTO cost_logs (provider, model, cost_usd, started_at)"
            " SELECT 'p', 'm', 1, '2026-11-03Z' FROM generate_series(1, 50000)",
        )
    result = ledger.tick()
    assert result.span is not None
    with transaction() as session:
        assert ticks.summarize(session, result.span) > 0
    with transaction() as session:
        ledger.execute(session, "SET LOCAL enable_seqscan = off")
        last = ticks.newest(session)
        assert last is not None
        latest = ticks.take(session).tick_id
        assert latest is not None
        binds = ticks.window(session, last, latest)
        plan = ledger.execute(
            session, "EXPLAIN (ANALYZE, FORMAT JSON) " + queries("ticks")["news"], **binds
        ).scalar_one()
    read = [_rows_read(node) for node in _scans(plan[0]["Plan"])]
    assert sum(read) == 0


def _scans(node: dict[str, object]) -> list[dict[str, object]]:
    children = [scan for child in node.get("Plans", []) for scan in _scans(child)]
    return ([node] if "Heap Scan" in str(node["Node Type"]) else []) + children


def _rows_read(node: dict[str, object]) -> float:
    return float(node["Actual Rows"]) + float(node.get("Rows Removed by Index Recheck", 0))
