"""The web service loads what guards miss; commands and metrics say how guards stand."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest
from click.testing import CliRunner
from prometheus_client import CollectorRegistry, generate_latest
from spendbeat_gateway.guard import Guard, Hold, publishing

from tasks.guard import reconcile as reconcile_task
from tests.support import ledger
from tests.support.reconciling import blocked, counter, name_of, record, reserve, used
from tests.support.valkey import Valkey, valkey
from tests.support.waiting import wait_for
from web.loader import Loader
from worker import guard
from worker.cli.root import cli
from worker.database import engine
from worker.guard_figures import GuardCollector
from worker.settings import settings


@pytest.fixture
def redis(database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Valkey]:
    with valkey() as server:
        path = server.url.removeprefix("unix://")
        monkeypatch.setenv("SPENDBEAT_GUARD_REDIS_URL", f"redis+socket://{path}")
        settings.cache_clear()
        guard.client.cache_clear()
        yield server
        guard.client.cache_clear()


@pytest.fixture
def loader(redis: Valkey) -> Iterator[Loader]:
    found = Loader(engine(), settings().guard_url)
    found.start()
    yield found
    found.stop()


@pytest.fixture
def asker(redis: Valkey) -> Iterator[Guard]:
    found = Guard(redis.url)
    yield found
    found.close()


def run(*words: str) -> str:
    result = CliRunner().invoke(cli, words, standalone_mode=False)
    assert result.exception is None, result.exception
    return result.output


def test_the_first_call_finds_what_postgres_knows(
    redis: Valkey, loader: Loader, asker: Guard
) -> None:
    blocked("shop", 10, scope={"project": "shop"})
    hold = reserve(asker, 1)
    assert hold.enforced
    assert used(redis.client, "shop") == 1


def test_eight_callers_after_a_flush_wait_for_one_load_and_all_are_counted(
    redis: Valkey, loader: Loader, asker: Guard
) -> None:
    blocked("shop", 10, scope={"project": "shop"})
    record(reserve(asker, 4), 4)
    ledger.roll()
    redis.client.flushall()
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: asker.reserve(
            {"project": "shop"}, Decimal(1), provider="openai", model="a-model"
        ), range(8)))  # fmt: skip
    held = [one for one in answers if isinstance(one, Hold)]
    # The 4 that Postgres knows leave room for 6.
    assert (len(held), {one.enforced for one in held}) == (6, {True})
    assert used(redis.client, "shop") == 10


def test_a_loader_outlives_its_servers(redis: Valkey, loader: Loader, asker: Guard) -> None:
    blocked("shop", 10, scope={"project": "shop"})
    reserve(asker, 1)
    redis.kill()
    redis.start()
    wait_for(lambda: _warm(redis), "the loader to be back")


def _warm(redis: Valkey) -> bool:
    for name in ("rules", ":".join(name_of("shop"))):
        publishing.want(redis.client, name)
    try:
        return bool(wait_for(lambda: counter(redis.client, "shop"), "a counter", 2))
    except AssertionError:
        return False


def test_the_task_reconciles_and_status_says_so(redis: Valkey, asker: Guard) -> None:
    assert "No budget says" in run("guard", "status")
    blocked("shop", 10, scope={"project": "shop"})
    blocked("day", 1, period="day")
    assert "not loaded" in run("guard", "status")
    assert reconcile_task()["counters"] == 2
    asker.settle(reserve(asker, "0.25"), Decimal("0.25"))
    reserve(asker, "0.5")
    reconcile_task()
    told = json.loads(run("guard", "status", "--json"))
    [shop] = [one for one in told["counters"] if one["budget"] == "shop"]
    assert (shop["limit"], shop["spent"], shop["settled"], shop["held"], shop["left"]) == (
        "10", "0", "0.25", "0.5", "9.25",
    )  # fmt: skip
    assert (told["readings"], told["behind"], told["pending"]) == (2, False, 1)
    assert told["age_seconds"] < 60
    assert told["decisions"]["allowed"] >= 1  # guards tell of them once a second
    assert "$9.25" in run("guard", "status")
    assert "2 counters are loaded" in run("guard", "reload")


def test_a_scrape_says_how_guards_stand(redis: Valkey, asker: Guard) -> None:
    blocked("shop", 10, scope={"project": "shop"})
    reconcile_task()
    asker.settle(reserve(asker, 2), Decimal(2))
    reserve(asker, 1)
    reconcile_task()
    registry = CollectorRegistry()
    registry.register(GuardCollector(settings().guard_url))
    found = dict(
        line.rsplit(" ", 1)
        for line in generate_latest(registry).decode().splitlines()
        if not line.startswith("#")
    )
    assert float(found['spendbeat_guard_decisions_total{decision="allowed"}']) >= 1
    assert float(found['spendbeat_guard_decisions_total{decision="refused:budget"}']) == 0
    assert float(found["spendbeat_guard_holds"]) == 1
    assert float(found["spendbeat_guard_pending"]) == 1
    assert 0 <= float(found["spendbeat_guard_pending_age_seconds"]) < 60
    assert float(found["spendbeat_guard_drift_dollars"]) == 0
    assert float(found["spendbeat_guard_readings_total"]) == 2
    assert float(found["spendbeat_guard_behind"]) == 0
    redis.kill()
    assert generate_latest(registry) == b""
    redis.start()


def test_drift_is_what_no_guard_was_asked_about(redis: Valkey, asker: Guard) -> None:
    blocked("shop", 10, scope={"project": "shop"})
    reconcile_task()
    hold = reserve(asker, 1)
    asker.settle(hold, Decimal(1))
    record(hold, 1)
    with_guard = reserve(asker, 3)
    asker.release(with_guard)
    record(with_guard, 3)
    ledger.roll()
    assert Decimal(reconcile_task()["drift"]) == -3
    assert used(redis.client, "shop") == 4


def test_rates_are_published_and_commands_change_them(redis: Valkey, asker: Guard) -> None:
    run("rates", "add", "batch", "--scope", "tag=batch", "--per-minute", "2")
    assert "tag=batch" in run("rates", "list")
    reconcile_task()
    call = {"project": "shop", "tags": ["batch"]}

    def ask() -> bool:
        return asker.reserve(call, Decimal(1), provider="openai", model="a-model").allowed

    assert [ask() for _ in range(3)] == [True, True, False]
    run("rates", "edit", "batch", "--per-minute", "3")
    assert json.loads(run("rates", "list", "--json"))[0]["per_minute"] == 3
    reconcile_task()
    assert [ask() for _ in range(2)] == [True, False]
    run("rates", "pause", "batch")
    reconcile_task()
    assert ask()
    run("rates", "remove", "batch")
    assert "There are none" in run("rates", "list")
