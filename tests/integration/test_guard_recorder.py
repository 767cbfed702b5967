"""A recorded call with a guard: asked, recorded and settled under one id."""

import asyncio
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from spendbeat_gateway import Recorder
from spendbeat_gateway.database import FILE
from spendbeat_gateway.guard import Guard, RefusedError
from spendbeat_gateway.guard.prices import publish_prices

from tests.support import guards
from tests.support.valkey import Valkey, valkey
from tests.support.waiting import wait_for

WHAT: dict[str, Any] = {"provider": "openai", "model": "gpt-4o", "project": "shop"}
ANSWER: dict[str, object] = {
    "id": f"chatcmpl-{'a' * 24}",
    "model": "gpt-4o",
    "usage": {"prompt_tokens": 5},
}
TIER = {"above": 0, "service": "", "rates": {"input": "10", "output": "20"}}  # per million tokens
DAILY = [{"from": 0, "tiers": [TIER]}]
PRICE = json.dumps({"segments": [{"until": None, "source": "test", "daily": DAILY}]})
CENT = Decimal("0.01")


@pytest.fixture
def server() -> Iterator[Valkey]:
    with valkey() as started:
        guards.publish(started.client, guards.budget(1, "project=shop", name="shop"))
        guards.fill(started.client, 1, "0.10")
        publish_prices(started.client, {"openai/gpt-4o": PRICE})
        yield started


@pytest.fixture
def guard(server: Valkey) -> Iterator[Guard]:
    made = Guard(server.url)
    yield made
    made.close()


@pytest.fixture
def recorder(tmp_path: Path) -> Iterator[Recorder]:
    made = Recorder(url="http://127.0.0.1:9", spool=tmp_path / "spool")
    yield made
    made.close(0)


def now(redis: Redis) -> tuple[int, int]:
    """Nano-dollars held and settled."""
    found = guards.counter(redis, 1)
    return found.held, found.settled


def becomes(redis: Redis, held: int, settled: int) -> None:
    wait_for(lambda: now(redis) == (held, settled), f"{held} held and {settled} settled", 5)


def events(recorder: Recorder) -> list[dict[str, Any]]:
    with closing(sqlite3.connect(recorder.settings.spool / FILE)) as spool:
        return [json.loads(body) for (body,) in spool.execute("SELECT body FROM events")]


def test_a_call_holds_what_it_may_cost_and_settles_what_it_did(
    guard: Guard, recorder: Recorder, server: Valkey
) -> None:
    with recorder.call(guard=guard, estimate=CENT, **WHAT) as call:
        assert now(server.client) == (10_000_000, 0)
        call.see(ANSWER)
        call.add(provider_cost_usd="0.004")
    becomes(server.client, 0, 4_000_000)
    (event,) = events(recorder)
    assert event["other_ids"] == list(guards.pending(server.client, 1))
    assert event["id"] == ANSWER["id"]


def test_a_cost_that_nobody_says_counts_as_the_estimate_of_the_request(
    guard: Guard, recorder: Recorder, server: Valkey
) -> None:
    request = {"messages": [{"role": "user", "content": "hello"}], "max_tokens": 100}
    with recorder.call(guard=guard, request=request, id="mine", **WHAT) as call:
        held, _ = now(server.client)
        assert held > 2_000_000
        call.see(ANSWER)
    becomes(server.client, 0, held)
    (event,) = events(recorder)
    assert event["other_ids"] == [ANSWER["id"], *guards.pending(server.client, 1)]


def test_a_refusal_is_raised_and_nothing_is_called_or_recorded(
    guard: Guard, recorder: Recorder, server: Valkey
) -> None:
    with pytest.raises(RefusedError, match="Budget 'shop' has") as raised:  # noqa: SIM117 - which raises
        with recorder.call(guard=guard, estimate=Decimal(1), **WHAT):
            pytest.fail("the block was entered")
    assert raised.value.refusal.budget == "shop"
    assert recorder.stats().waiting == 0
    assert now(server.client) == (0, 0)


def test_a_call_that_failed_without_using_anything_holds_nothing(
    guard: Guard, recorder: Recorder, server: Valkey
) -> None:
    with pytest.raises(ZeroDivisionError):  # noqa: SIM117 - which raises
        with recorder.call(guard=guard, estimate=CENT, **WHAT):
            raise ZeroDivisionError
    becomes(server.client, 0, 0)


def test_tracked_functions_ask_with_their_arguments(
    guard: Guard, recorder: Recorder, server: Valkey
) -> None:
    @recorder.track(guard=guard, provider="openai", project="shop")
    async def later(**request: object) -> dict[str, object]:
        assert now(server.client)[0] > 0
        return ANSWER

    @recorder.track(guard=guard, provider="openai", project="shop")
    def stream(**request: object) -> Iterator[dict[str, object]]:
        yield ANSWER
        assert now(server.client)[0] > 0

    asked = {"model": "gpt-4o", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 9}
    asyncio.run(later(**asked))
    wait_for(lambda: now(server.client)[0] == 0, "the call to settle")
    once = now(server.client)[1]
    assert list(stream(**asked)) == [ANSWER]
    becomes(server.client, 0, 2 * once)
    with pytest.raises(RefusedError):
        asyncio.run(later(**{**asked, "max_tokens": 10_000}))
    with pytest.raises(RefusedError):
        stream(**{**asked, "max_tokens": 10_000})


def test_a_stream_that_nobody_reads_on_is_settled(
    guard: Guard, recorder: Recorder, server: Valkey
) -> None:
    @recorder.track(guard=guard, estimate=CENT, **WHAT)
    def stream() -> Iterator[dict[str, object]]:
        yield ANSWER
        yield ANSWER

    opened = stream()
    next(opened)
    assert now(server.client) == (10_000_000, 0)
    del opened
    becomes(server.client, 0, 10_000_000)


def test_a_call_is_made_where_the_guard_itself_fails(recorder: Recorder) -> None:
    class Broken:
        def reserve(self, *_: object, **__: object) -> None:
            raise RuntimeError

    with recorder.call(guard=Broken(), estimate=CENT, **WHAT) as call:  # type: ignore[arg-type] # broken
        call.see(ANSWER)
    assert recorder.stats().waiting == 1
