"""A sync that is killed anywhere, or runs beside another one, books each row once."""

import random
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from sqlalchemy import text

from spend.capture.desk import Desk
from spend.litellm.sync import SyncResult
from tests.support.captured import counted
from tests.support.ledger import roll, summary, verify
from tests.support.litellm_syncs import net, synced
from tests.support.litellm_tables import LitellmTables
from tests.support.programs import Program
from tests.support.waiting import wait_for
from worker.database import engine, transaction

NOW = datetime.now(UTC).replace(microsecond=0)
ROWS = 1500
MANY = """
INSERT INTO "LiteLLM_SpendLogs" (request_id, call_type, api_key, spend, prompt_tokens,
  completion_tokens, total_tokens, "startTime", "endTime", model, custom_llm_provider, cache_hit)
SELECT 'chatcmpl-of-a-busy-proxy-' || n, 'acompletion', 'hash-' || n % 5, :spend, 1000, 100, 1100,
  :at - n * interval '20 seconds', :at, 'orchid-9', 'acme', 'None'
FROM generate_series(1, :rows) AS n
"""


def fill(litellm: LitellmTables, rows: int, spend: float) -> None:
    litellm.run(MANY, rows=rows, spend=spend, at=NOW.replace(tzinfo=None))


def booked() -> int:
    with transaction("spendbeat_reader") as session:
        return int(session.scalar(text("SELECT count(*) FROM cost_logs")) or 0)


def test_a_sync_killed_in_the_middle_and_run_again_books_and_corrects_each_row_once(
    database: str, litellm: LitellmTables, desk: Desk, tmp_path: Path
) -> None:
    """Kill -9 while it books, and while it corrects rows that got their price."""
    del database
    fill(litellm, ROWS, 0.0)
    command = (sys.executable, "-m", "worker.cli", "litellm", "sync", "--batch", "20")
    program = Program("sync", command, tmp_path / "sync.log", {"LITELLM_DATABASE_URL": litellm.url})
    chance = random.Random(11)
    for phase, price in enumerate((None, Decimal("0.125"))):
        if price is not None:
            litellm.run('UPDATE "LiteLLM_SpendLogs" SET spend = 0.125')
        for _ in range(3):
            at_least = min(booked() + chance.randrange(40, 200), ROWS * (phase + 1))
            program.start()
            wait_for(
                lambda enough=at_least: booked() >= enough or not program.running,  # type: ignore[misc]  # bound now
                "some rows in the ledger",
            )
            program.kill()
        result = synced(litellm, desk)
        assert (result.rejected, result.conflicts) == (0, 0)
        assert booked() == ROWS * (phase + 1)
        assert {(cost, changes) for _, cost, changes in net()} == {(price, phase)}
    roll()
    assert summary() == {("acme", "orchid-9"): ROWS * Decimal("0.125")}
    assert verify().mismatches == ()


def test_two_syncs_at_once_book_and_correct_each_row_once(
    litellm: LitellmTables, desk: Desk
) -> None:
    fill(litellm, 600, 0.0)

    def one(_: int) -> SyncResult:
        return synced(litellm, Desk(engine()), batch=25)

    for price in (None, 0.25, 0.5):
        if price is not None:
            litellm.run('UPDATE "LiteLLM_SpendLogs" SET spend = :price', price=price)
        with ThreadPoolExecutor(2) as both:
            results = list(both.map(one, range(2)))
        assert sum(r.rows for r in results) == (600 if price is None else 0)
        assert sum(r.settled for r in results) == (0 if price is None else 600)
    assert (counted()[0], counted()[2]) == (600 * 3, 600 * Decimal("0.5"))


def test_beats_sync_steps_aside_while_another_one_works(litellm: LitellmTables, desk: Desk) -> None:
    fill(litellm, 30, 0.25)
    synced(litellm, desk)
    with transaction() as session:
        session.execute(text("SELECT * FROM litellm_sources FOR UPDATE"))
        assert synced(litellm, desk, wait=False).outcome == "busy"
    assert synced(litellm, desk, wait=False).outcome == "read"


def test_a_bounded_run_says_that_there_is_more_and_the_next_one_goes_on(
    litellm: LitellmTables, desk: Desk
) -> None:
    fill(litellm, 100, 0.25)
    runs = [synced(litellm, desk, batch=40, seconds=0.0, sweep_rows=10)]
    assert (runs[0].rows, runs[0].more) == (40, True)
    while runs[-1].more:
        runs.append(synced(litellm, desk, batch=40, seconds=0.0, sweep_rows=10))
        assert len(runs) < 10
    assert sum(run.rows for run in runs) == 100
    assert booked() == 100


def test_a_bounded_sweep_comes_round_to_every_row(litellm: LitellmTables, desk: Desk) -> None:
    fill(litellm, 300, 0.25)
    synced(litellm, desk)
    late = NOW - timedelta(minutes=95)
    litellm.log("chatcmpl-that-took-an-hour-and-a-half", late)
    runs = 0
    while not synced(litellm, desk, batch=20, sweep_rows=20).rows:
        runs += 1
        assert runs < 20, "the sweep never came to the late row"
    assert booked() == 301
