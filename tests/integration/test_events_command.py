"""`spendbeat events`, and the tasks that ring for those who listen."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import IO

import pytest

import celeryconfig
from tasks.budgets import check
from tasks.maintenance import prune_feed
from tasks.rollups import roll_up
from tests.conftest import forget_caches
from tests.support import alerts, budgets, feeds, ledger
from tests.support.programs import ROOT
from tests.support.valkey import Valkey, valkey
from worker import bell
from worker.database import transaction

NOW = datetime.now(UTC)


@pytest.fixture
def redis(database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Valkey]:
    with valkey() as server:
        monkeypatch.setenv("REDIS_URL", f"redis+socket://{server.url.removeprefix('unix://')}")
        forget_caches()
        yield server


def spend(dollars: int) -> None:
    with transaction() as session:
        ledger.add(session, cost_usd=dollars)
    ledger.roll()


@contextmanager
def following(database: str, *arguments: str) -> Iterator[IO[str]]:
    """What the command prints."""
    command = [sys.executable, "-m", "worker.cli", "events", *arguments]
    environment = {**os.environ, "DATABASE_URL": database}
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=pipe, stderr=pipe, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            assert "Ctrl-C" in process.stderr.readline()
            yield process.stdout
        finally:
            process.kill()


def test_it_says_what_happens_from_now_on(database: str) -> None:
    budgets.add("[red]shop", period="total", hard_limit=10, thresholds=["50%"])
    spend(1)
    feeds.number()
    with (
        following(database) as people,
        following(database, "--json", "--kind", "alert") as program,
    ):
        spend(5)
        alerts.check(NOW)
        assert people.readline()[10:] == "spend  openai  1 requests  $5.00  (unattributed)\n"
        alert = "alert  [red]shop 50% raised  warning  $6.00 of $10.00\n"
        assert people.readline()[10:] == alert
        said = json.loads(program.readline())
        assert (said["event"], said["change"], said["position"]) == ("alert", "raised", 3)


def test_tasks_ring_once_their_transaction_is_committed(
    redis: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever hears it finds the entry in Postgres."""
    # Another test's Redis may have been away a moment ago.
    monkeypatch.setattr(bell, "_quiet_until", 0.0)
    ear = redis.client.pubsub(ignore_subscribe_messages=True)
    ear.subscribe(bell.CHANNEL)
    ear.get_message(timeout=5)
    assert ear.get_message(timeout=0.1) is None
    with transaction() as session:
        ledger.add(session)
    ledger.tick()
    roll_up.apply(kwargs={"provider": "openai"}, throw=True)
    assert ear.get_message(timeout=5)
    assert ledger.scalar("SELECT count(*) FROM feed_entries WHERE kind = 'spend'") == 1
    budgets.add("shop", period="total", thresholds=["1"])
    spend(5)
    check.apply(kwargs={"provider": "openai"}, throw=True)
    assert ear.get_message(timeout=5)
    assert ledger.scalar("SELECT count(*) FROM feed_entries WHERE kind = 'alert'") == 1


def test_a_task_without_redis_counts_all_the_same(redis: Valkey) -> None:
    with transaction() as session:
        ledger.add(session)
    ledger.tick()
    redis.kill()
    roll_up.apply(kwargs={"provider": "openai"}, throw=True)
    assert ledger.scalar("SELECT count(*) FROM feed_entries") == 1


def test_beat_forgets_what_nobody_can_ask_for_any_more(database: str) -> None:
    spend(1)
    feeds.number()
    spend(2)
    ledger.run_as("spendbeat_owner", "UPDATE feed_entries SET at = now() - interval '25 hours'")
    ledger.run_as(
        "spendbeat_owner",
        "UPDATE feed_entries SET numbered_at = now() - interval '23 hours' WHERE position = 1",
    )
    prune_feed.apply(throw=True)
    assert [entry.position for entry in feeds.entries()] == [1]
    ledger.run_as("spendbeat_owner", "UPDATE feed_entries SET numbered_at = now() - interval '2 d'")
    prune_feed.apply(throw=True)
    assert feeds.entries() == []
    assert celeryconfig.beat_schedule["prune-feed"]["task"] == prune_feed.name
