"""Guards with the real service: what beat and a worker put into Redis is what calls ask."""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from spendbeat_gateway.guard import Guard, Hold, Refusal, publishing

from spend.capture.desk import Desk
from tests.support import budgets
from tests.support.waiting import wait_for
from worker import broker, database, guard

CALL: Any = {"provider": "openai", "model": "gpt-4o"}
SHOP = {"project": "shop"}


@pytest.fixture
def guarded(environment: dict[str, str], start: Any) -> Iterator[Guard]:
    """A guard beside a worker and beat; nothing else is told of it."""
    redis = broker.client(os.environ["REDIS_URL"], 5.0)
    start("worker", "worker", "-X", "delivery")
    start("beat", "beat", "--pidfile=")
    guard.client.cache_clear()
    found = Guard(os.environ["REDIS_URL"])
    wait_for(lambda: bool(guard.noted(redis)), "the first reconciliation")
    yield found
    found.close()
    redis.close()


def book(id_: str, cost: str) -> None:
    row = {"id": id_, "started_at": datetime.now(UTC), "cost_usd": cost, **CALL, **SHOP}
    Desk(database.engine("spendbeat_writer")).book([row], route="ingest")


def test_a_budget_is_enforced_within_moments_and_calls_are_counted_once(guarded: Guard) -> None:
    """Made, enforced, held, settled, booked, counted: the room is the same all along."""
    budgets.add("shop", period="total", scope=SHOP, hard_limit=1, enforce="block")

    def refused() -> bool:
        answer = guarded.reserve(SHOP, Decimal(2), **CALL)
        if isinstance(answer, Hold):
            guarded.release(answer)
        return isinstance(answer, Refusal)

    wait_for(refused, "the budget in Redis")
    hold = guarded.reserve(SHOP, Decimal("0.7"), **CALL)
    assert isinstance(hold, Hold)
    assert hold.enforced
    guarded.settle(hold, Decimal("0.6"))
    book(hold.id, "0.6")
    redis = guard.client()
    ((name, first),) = publishing.loaded(redis)

    def counted() -> bool:
        found = publishing.counter(redis, name, first)
        assert found is not None
        assert found.spent + found.settled == 600_000_000
        return found.spent == 600_000_000

    wait_for(counted, "the call in what Postgres says")
    answer = guarded.reserve(SHOP, Decimal("0.41"), **CALL)
    assert isinstance(answer, Refusal)
    assert (answer.budget, answer.left) == ("shop", Decimal("0.4"))


def test_what_redis_forgot_comes_back_from_postgres(guarded: Guard) -> None:
    budgets.add("shop", period="total", scope=SHOP, hard_limit=1, enforce="block")
    book("before", "0.9")
    redis = guard.client()

    def full() -> bool:
        answer = guarded.reserve(SHOP, Decimal("0.2"), **CALL)
        if isinstance(answer, Hold):
            guarded.release(answer)
        return isinstance(answer, Refusal) and answer.left == Decimal("0.1")

    wait_for(full, "the call in the counter")
    redis.flushall()
    wait_for(full, "the counter from Postgres")
