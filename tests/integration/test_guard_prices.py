"""Prices of the ledger's database reach whoever guards calls, through Redis alone."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from spendbeat_gateway.guard import AsyncGuard, Guard, Hold, Refusal, encodings, keys
from spendbeat_gateway.guard.estimate import AsyncEstimator, Estimate, Estimator, Limits
from spendbeat_gateway.guard.prices import PRICES, Prices, publish_prices

from spend.enforcement import prices
from spend.pricing import Rates, Tier, overrides
from tests.support import guards, ledger
from tests.support.valkey import Valkey, valkey
from worker import guard_prices
from worker.database import transaction

SOME = Limits(max_tokens=100)


@pytest.fixture(autouse=True)
def _new(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process knows one database, and encodings; here each test has its own, and none yet."""
    monkeypatch.setattr(guard_prices, "_publisher", prices.Publisher())
    monkeypatch.setattr(encodings, "_loaded", {})
    monkeypatch.setattr(encodings, "_begun", set())


@pytest.fixture
def server() -> Iterator[Valkey]:
    with valkey() as running:
        yield running


def set_price(model: str, rate: str, **times: datetime) -> int:
    tiers = [Tier(0, Rates(input=Decimal(rate), output=Decimal(rate)))]
    begins = times.get("begins", datetime(2020, 1, 1, tzinfo=UTC))
    with transaction() as session:
        made = overrides.add(
            session, provider="openai", model=model, tiers=tiers, valid_from=begins
        )
    return made.id


def in_the_ledger(provider: str, model: str) -> None:
    with transaction() as session:
        ledger.add(session, provider=provider, model=model)
    ledger.roll()


def publish(server: Valkey) -> int:
    with transaction() as session:
        return guard_prices.publish(server.client, session)


@contextmanager
def serving(server: Valkey) -> Iterator[None]:
    """What the service's loader does with prices that somebody misses."""
    done = threading.Event()

    def serve() -> None:
        while not done.is_set():
            if server.client.brpop([keys.BELL], timeout=1) is None:
                continue
            wanted = {name.removeprefix("price:") for name in server.client.smembers(keys.WANTED)}
            server.client.delete(keys.WANTED)
            with transaction() as session:
                guard_prices.publish_wanted(server.client, session, wanted)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield
    finally:
        done.set()
        server.client.lpush(keys.BELL, "end")
        thread.join()


def sync(server: Valkey, wait: float = 5.0, fresh: float = 60.0) -> Callable[..., Estimate]:
    return Estimator(lambda: Redis.from_url(server.url), wait=wait, fresh=fresh).estimate


def awaited(server: Valkey, wait: float = 5.0, fresh: float = 60.0) -> Callable[..., Estimate]:
    async def estimate(*said: Any) -> Estimate:
        async with AsyncRedis.from_url(server.url) as client:
            estimator = AsyncEstimator(lambda: client, wait=wait, fresh=fresh)
            return await estimator.estimate(*said)

    return lambda *said: asyncio.run(estimate(*said))


BOTH = pytest.mark.parametrize("asking", [sync, awaited])


@BOTH
def test_once_a_guard_is_in_use_the_models_of_the_ledger_are_there_before_it_asks(
    database: str, server: Valkey, asking: Callable[..., Callable[..., Estimate]]
) -> None:
    in_the_ledger("openai", "gpt-4o")
    assert publish(server) == 0
    publish_prices(server.client, {"openai/o3": "old"})
    assert publish(server) == 2
    assert publish(server) == 0
    found = asking(server, wait=0)("openai", "gpt-4o", "x" * 9872, SOME)
    assert found == Estimate(
        Decimal(10_008 * 25 + 1000 * 10) / 10**7, 10_108, upper_bound=True, how=found.how
    )


@BOTH
def test_a_model_that_is_missed_is_served_at_once(
    database: str, server: Valkey, asking: Callable[..., Callable[..., Estimate]]
) -> None:
    set_price("own", "1")
    with serving(server):
        estimate = asking(server)
        found = estimate("openai", "own", "x", SOME)
        assert found.dollars == Decimal(found.tokens) / 10**6
        assert "override" in found.how
        unknown = estimate("made-up", "x", "x", SOME)
    assert unknown.dollars is None
    assert unknown.tokens > 100
    assert server.client.hget(PRICES, "made-up/x") is not None


def test_a_new_price_reaches_guards_without_a_word(database: str, server: Valkey) -> None:
    set_price("own", "1")
    with transaction() as session:
        guard_prices.publish_wanted(server.client, session, ["openai/own"])
    estimate = sync(server, fresh=0)
    first = estimate("openai", "own", "x", SOME)
    set_price("own", "3")
    assert publish(server) == 1
    second = estimate("openai", "own", "x", SOME)
    assert first.dollars is not None
    assert second.dollars == 3 * first.dollars


def test_a_price_that_begins_later_is_published_before_it_does(
    database: str, server: Valkey
) -> None:
    """So an hour without the service is no hour of wrong prices."""
    soon = datetime.now(UTC) + timedelta(hours=1)
    ids = set_price("own", "1"), set_price("own", "7", begins=soon)
    with transaction() as session:
        guard_prices.publish_wanted(server.client, session, ["openai/own"])
    price = Prices(lambda: server.client, wait=0, fresh=60).find("openai", "own")
    assert price is not None
    at = soon.timestamp()
    assert (price.source(at - 1), price.source(at)) == (f"override {ids[0]}", f"override {ids[1]}")


@BOTH
def test_without_redis_nothing_raises_and_what_was_known_stays(
    database: str, server: Valkey, asking: Callable[..., Callable[..., Estimate]]
) -> None:
    set_price("own", "1")
    with transaction() as session:
        guard_prices.publish_wanted(server.client, session, ["openai/own"])
    estimate = sync(server, fresh=0)
    known = estimate("openai", "own", "x", SOME)
    server.kill()
    assert estimate("openai", "own", "x", SOME) == known
    fresh = asking(server)("openai", "own", "x", SOME)
    assert (fresh.dollars, fresh.tokens, fresh.upper_bound) == (None, known.tokens, True)


def test_a_flush_is_noticed_and_what_was_known_stays(database: str, server: Valkey) -> None:
    set_price("own", "1")
    with transaction() as session:
        guard_prices.publish_wanted(server.client, session, ["openai/own"])
    estimate = sync(server, wait=0, fresh=0)
    known = estimate("openai", "own", "x", SOME)
    server.client.flushall()
    assert estimate("openai", "own", "x", SOME) == known
    assert server.client.smembers(keys.WANTED) == {"price:openai/own"}


def test_what_is_known_is_not_asked_for_again(database: str, server: Valkey) -> None:
    publish_prices(server.client, {"openai/own": '{"segments": []}'})
    estimate = sync(server)
    estimate("openai", "own", "x", SOME)
    before = server.client.info("commandstats")["cmdstat_hget"]["calls"]
    for _ in range(20):
        estimate("openai", "own", "x", SOME)
    assert server.client.info("commandstats")["cmdstat_hget"]["calls"] == before


@pytest.mark.parametrize(
    "text", ["", "null", "[]", '{"segments": [{}]}', '{"segments": 1}', "\xff"]
)
def test_what_is_no_price_is_unpriced(database: str, server: Valkey, text: str) -> None:
    publish_prices(server.client, {"openai/own": text})
    assert sync(server)("openai", "own", "x", SOME).dollars is None


def test_names_that_anybody_may_send_do_not_pile_up(
    database: str, server: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(guard_prices, "MOST_ASKED", 10)
    in_the_ledger("openai", "gpt-4o")
    names = {f"made-up/{number}" for number in range(20)} | {"no provider", "x/" + "y" * 5000}
    with transaction() as session:
        guard_prices.publish_wanted(server.client, session, names)
    assert server.client.hlen(PRICES) == 20
    publish(server)
    assert server.client.hkeys(PRICES) == ["openai/gpt-4o"]


def test_the_loop_goes_on_while_a_long_prompt_is_counted(server: Valkey) -> None:
    publish_prices(server.client, {"openai/own": '{"segments": []}'})
    # Slow to normalise: each character becomes eighteen.
    text = "\ufdfa" * 400_000

    async def turns() -> int:
        client = AsyncRedis.from_url(server.url)
        estimator = AsyncEstimator(lambda: client)
        assert (await estimator.estimate("openai", "own", "x", SOME)).dollars is None
        running = asyncio.create_task(estimator.estimate("openai", "own", text, SOME))
        taken = 0
        while not running.done():
            await asyncio.sleep(0.001)
            taken += 1
        await client.aclose()
        return taken

    assert asyncio.run(turns()) > 3


def test_what_is_estimated_is_held_and_the_call_that_would_not_fit_is_refused(
    database: str, server: Valkey
) -> None:
    set_price("own", "1")
    guards.publish(server.client, guards.budget(1))
    guards.fill(server.client, 1, "0.001")
    guard = Guard(server.url)
    with serving(server):
        found = guard.estimate("openai", "own", {"prompt": "x", "max_tokens": 600})
    assert found.dollars is not None
    assert found.dollars > Decimal("0.0005")
    first = guard.reserve({}, found, provider="openai", model="own")
    second = guard.reserve({}, found, provider="openai", model="own")
    assert isinstance(first, Hold)
    assert first.nano == found.dollars * 10**9
    assert isinstance(second, Refusal)
    guard.settle(first, Decimal("0.0001"))
    assert guard.reserve({}, found, provider="openai", model="own").allowed
    guard.close()


def test_the_guard_for_asyncio_estimates_the_same(database: str, server: Valkey) -> None:
    set_price("own", "1")

    async def estimate() -> Estimate:
        guard = AsyncGuard(server.url)
        try:
            return await guard.estimate("openai", "own", "x", max_tokens=600)
        finally:
            await guard.aclose()

    with serving(server):
        found = asyncio.run(estimate())
    assert found == Guard(server.url).estimate("openai", "own", "x", max_tokens=600)
    assert found.dollars == Decimal(found.tokens) / 10**6
