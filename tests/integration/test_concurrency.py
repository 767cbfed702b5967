"""The totals are what was committed, whatever writers and workers do at the same time."""

from threading import Thread

from sqlalchemy import Connection, text
from sqlalchemy.orm import Session

from spend import rollups
from tests.support import ledger
from tests.support.storm import Committed, storm
from tests.support.waiting import wait_for
from worker.database import engine, transaction


def test_totals_are_exact_under_a_storm_and_naive_rollups_are_caught(database: str) -> None:
    """Commits out of order, rollbacks, savepoints, a transaction held open, workers killed with
    SIGKILL, every message twice. If the naive ways came out right the storm would prove nothing.
    """

    def enough(committed: Committed, kills: int) -> bool:
        batches = int(ledger.scalar("SELECT coalesce(sum(batches_total), 0) FROM cursors"))
        return kills >= 5 and committed.rows > 200 and batches > 40

    outcome = storm(seconds=180, enough=enough)
    assert enough(outcome.committed, outcome.kills)
    ledger.roll()
    assert ledger.summary() == dict(outcome.committed.dollars)
    audit = ledger.verify()
    assert (audit.agrees, audit.rows) == (True, outcome.committed.rows)
    assert outcome.by_id < outcome.committed.total
    assert outcome.by_arrival < outcome.committed.total


def test_a_rollup_under_a_table_lock_stalls_writers_and_ours_does_not(database: str) -> None:
    """The third naive way: exact, but every writer waits for it."""
    with transaction() as session:
        ledger.add(session)
    assert writers_stall("LOCK TABLE cost_logs IN SHARE MODE")
    assert not writers_stall(None)


def writers_stall(lock: str | None) -> bool:
    """Whether a writer waits while a rollup is under way: ours, or one behind a table lock."""
    waiting = (
        "SELECT count(*) FROM pg_locks WHERE NOT granted AND database ="
        " (SELECT oid FROM pg_database WHERE datname = current_database())"
    )

    def write() -> None:
        with transaction() as session:
            ledger.add(session)

    writer = Thread(target=write)
    with engine("spendbeat_owner" if lock else "spendbeat_writer").connect() as rollup:
        ledger.tick()
        if lock:
            rollup.execute(text(lock))
        else:
            _advance(rollup)
        writer.start()
        stalled = wait_for(
            lambda: "done" if not writer.is_alive() else "waits" if ledger.scalar(waiting) else "",
            "the writer to be done or to wait",
        )
        rollup.rollback()
    writer.join(30)
    return stalled == "waits"


def _advance(connection: Connection) -> None:
    assert rollups.advance(Session(bind=connection), "openai").outcome == "moved"
