"""Counters follow the ledger, and are never below what calls have cost."""

from collections.abc import Iterator
from decimal import Decimal

import pytest
from redis import Redis
from spendbeat_gateway.guard import Guard, keys, publishing

from tests.support import budgets, ledger
from tests.support.reconciling import (
    blocked,
    counter,
    name_of,
    reconcile,
    record,
    reload,
    reserve,
    serve,
    take,
    used,
)
from tests.support.valkey import valkey
from tests.support.waiting import wait_for
from worker import guard
from worker.guard import BehindError


@pytest.fixture
def redis(database: str) -> Iterator[Redis]:
    with valkey() as server:
        yield server.client


@pytest.fixture
def asker(redis: Redis) -> Iterator[Guard]:
    found = Guard(f"unix://{redis.connection_pool.connection_kwargs['path']}")
    yield found
    found.close()


def test_a_settlement_is_counted_until_the_ledgers_total_has_it(redis: Redis, asker: Guard) -> None:
    blocked("shop", scope={"project": "shop"})
    reconcile(redis)
    hold = reserve(asker, "0.5")
    assert used(redis, "shop") == Decimal("0.5")
    asker.settle(hold, Decimal("0.300000001"))
    for step in (lambda: None, lambda: record(hold, "0.300000001"), ledger.tick):
        step()
        assert reconcile(redis).pending == 1
        assert used(redis, "shop") == Decimal("0.300000001")
    ledger.advance("openai")
    done = reconcile(redis)
    assert (done.covered, done.pending, done.drift) == (1, 0, 0)
    found = counter(redis, "shop")
    assert found is not None
    assert (found.spent, found.settled, found.held) == (300_000_001, 0, 0)


def test_what_is_missed_is_loaded_when_somebody_asks(redis: Redis, asker: Guard) -> None:
    blocked("shop", scope={"project": "shop"})
    publishing.want(redis, "rules")
    assert serve(redis) is not None
    assert counter(redis, "shop") is None
    publishing.want(redis, ":".join(name_of("shop")))
    assert serve(redis) is not None
    assert counter(redis, "shop") is not None
    assert serve(redis) is None
    reserve(asker, 1)


def test_a_reading_that_comes_after_a_later_one_is_not_taken(redis: Redis, asker: Guard) -> None:
    blocked("shop", scope={"project": "shop"})
    reconcile(redis)
    hold = reserve(asker, 1)
    asker.settle(hold, Decimal(1))
    slow = take(redis)
    record(hold, 1)
    ledger.roll()
    reconcile(redis)
    assert guard.put(redis, slow) == {name_of("shop")}
    assert used(redis, "shop") == 1


def test_a_reading_from_before_redis_lost_its_data_is_not_taken(redis: Redis, asker: Guard) -> None:
    blocked("shop", scope={"project": "shop"})
    reconcile(redis)
    slow = take(redis)
    hold = reserve(asker, 1)
    asker.settle(hold, Decimal(1))
    record(hold, 1)
    ledger.roll()
    reconcile(redis)
    redis.flushall()
    guard.put(redis, slow)
    assert counter(redis, "shop") is None
    reconcile(redis)
    guard.put(redis, slow)
    assert used(redis, "shop") == 1


def test_a_settlement_that_meets_a_cold_counter_is_in_it_when_it_is_loaded(
    redis: Redis, asker: Guard
) -> None:
    blocked("shop", scope={"project": "shop"})
    reconcile(redis)
    hold = reserve(asker, 1)
    redis.flushall()
    asker.settle(hold, Decimal(2))
    assert counter(redis, "shop") is None
    reconcile(redis)
    assert used(redis, "shop") == 2


def test_a_restored_postgres_is_said_and_reload_makes_redis_follow_it(
    redis: Redis, asker: Guard
) -> None:
    blocked("shop", scope={"project": "shop"})
    for _ in range(3):
        reconcile(redis)
    held, spent = reserve(asker, 1), reserve(asker, 2)
    asker.settle(spent, Decimal(2))
    ledger.run_as(None, "SELECT setval('guard_readings', 1)")
    with pytest.raises(BehindError, match="guard reload"):
        reconcile(redis)
    assert guard.noted(redis)["behind"] == "1"
    assert used(redis, "shop") == 3
    reload(redis)
    assert reconcile(redis).refused == 0
    assert used(redis, "shop") == 3
    asker.release(held)
    assert used(redis, "shop") == 2


def test_settlements_that_will_never_be_recorded_can_be_forgotten(
    redis: Redis, asker: Guard
) -> None:
    blocked("shop", scope={"project": "shop"})
    reconcile(redis)
    reserve(asker, 1)
    asker.settle(reserve(asker, 2), Decimal(2))
    reload(redis)
    assert used(redis, "shop") == 3
    reload(redis, forget=True)
    assert used(redis, "shop") == 1


def test_a_call_in_several_budgets_is_covered_in_all_of_them(redis: Redis, asker: Guard) -> None:
    blocked("shop", scope={"project": "shop"})
    blocked("all", period="total")
    reconcile(redis)
    hold = reserve(asker, 1)
    asker.settle(hold, Decimal(1))
    record(hold, 1)
    ledger.roll()
    assert reconcile(redis).covered == 1
    for name in ("shop", "all"):
        found = counter(redis, name)
        assert found is not None
        assert (found.spent, found.settled) == (10**9, 0)


def test_an_edit_of_the_limit_reaches_guards_with_the_next_reconciliation(
    redis: Redis, asker: Guard
) -> None:
    blocked("shop", 10, scope={"project": "shop"})
    reconcile(redis)
    hold = reserve(asker, 8)
    budgets.edit("shop", hard_limit=20)
    reconcile(redis)
    reserve(asker, 8)
    asker.settle(hold, Decimal(8))
    found = counter(redis, "shop")
    assert found is not None
    assert (found.limit, found.used) == (20 * 10**9, 16 * 10**9)


def test_a_budget_that_comes_back_does_not_meet_its_old_counter(redis: Redis, asker: Guard) -> None:
    blocked("shop", 10, scope={"project": "shop"})
    reconcile(redis)
    budgets.set_state("shop", "paused")
    reconcile(redis)
    # Nobody is asked meanwhile, and nothing is noted in Redis.
    hold = reserve(asker, 9)
    assert not hold.enforced
    record(hold, 9)
    ledger.roll()
    budgets.set_state("shop", "resumed")
    publishing.want(redis, "rules")
    serve(redis)
    assert counter(redis, "shop") is None
    reconcile(redis)
    assert used(redis, "shop") == 9


def test_settlements_that_are_never_recorded_do_not_hide_those_that_are(
    redis: Redis, asker: Guard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard, "MOST_PENDING", 2)
    blocked("shop", scope={"project": "shop"})
    reconcile(redis)
    for _ in range(6):
        asker.settle(reserve(asker, "0.1"), Decimal("0.1"))
    recorded = reserve(asker, "0.1")
    asker.settle(recorded, Decimal("0.1"))
    record(recorded, "0.1")
    ledger.roll()
    wait_for(lambda: reconcile(redis).pending == 6, "the reading that covers it", 20)


def test_a_counter_without_end_goes_when_its_budget_is_no_longer_enforced(
    redis: Redis, asker: Guard
) -> None:
    blocked("shop", scope={"project": "shop"}, period="total")
    reconcile(redis)
    name = ":".join(name_of("shop"))
    asker.settle(reserve(asker, 1), Decimal(1))
    found = [keys.counter(name), keys.settled(name)]
    assert [redis.pttl(key) for key in found] == [-1, -1]
    budgets.set_state("shop", "paused")
    reconcile(redis)
    assert all(redis.pttl(key) > 0 for key in found)
