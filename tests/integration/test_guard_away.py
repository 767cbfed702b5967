"""Redis away: each budget's policy, a bounded allowance, and nothing forgotten when it is back."""

import asyncio
import logging
import os
import time
from collections.abc import Iterator
from decimal import Decimal

import pytest
from spendbeat_gateway.guard import AsyncGuard, Guard, Hold, core, keys, publishing
from spendbeat_gateway.guard.settings import GuardSettings

from tests.support.guards import (
    CALL,
    FIRST,
    budget,
    counter,
    fill,
    held,
    pending,
    publish,
    refused,
)
from tests.support.valkey import Valkey, valkey
from tests.support.waiting import wait_for

DOLLAR = 10**9
ONE = Decimal(1)


@pytest.fixture
def server() -> Iterator[Valkey]:
    with valkey() as running:
        yield running


@pytest.fixture
def guard(server: Valkey) -> Iterator[Guard]:
    guard = Guard(server.url, wait=0.1)
    yield guard
    guard.close()


def allow(server: Valkey, allowance: int) -> None:
    """Budget 1, which fails open for so many dollars."""
    open_one = budget(1, unreachable="open", allowance=str(allowance * DOLLAR))
    publish(server.client, open_one)
    fill(server.client, 1, 100)


def test_a_budget_that_fails_closed_lets_nothing_through(server: Valkey, guard: Guard) -> None:
    publish(server.client, budget(1))
    fill(server.client, 1, 100)
    held(guard.reserve({}, ONE, **CALL))
    server.kill()
    refusal = refused(guard.reserve({}, ONE, **CALL), "unreachable")
    assert refusal.budget == "b1"
    assert refusal.retry_after is not None


def test_one_that_fails_open_lets_its_allowance_through_and_no_more(
    server: Valkey, guard: Guard
) -> None:
    allow(server, 2)
    held(guard.reserve({}, ONE, **CALL))
    server.kill()
    first = held(guard.reserve({}, ONE, **CALL))
    assert first.local
    again = held(guard.reserve({}, ONE, id=first.id, **CALL))
    assert again.id == first.id
    guard.settle(first, ONE)  # spent: does not come back
    second = held(guard.reserve({}, ONE, **CALL))
    refused(guard.reserve({}, ONE, **CALL), "unreachable")
    guard.release(second)
    half = Decimal("0.5")
    guard.settle(held(guard.reserve({}, ONE, **CALL)), half)
    held(guard.reserve({}, half, **CALL))
    assert "used up" in refused(guard.reserve({}, half, **CALL), "unreachable").message


def test_of_two_budgets_the_one_that_fails_closed_decides(server: Valkey, guard: Guard) -> None:
    publish(server.client, budget(1, unreachable="open", allowance="9000000000"), budget(2))
    for number in (1, 2):
        fill(server.client, number, 100)
    held(guard.reserve({}, ONE, **CALL))
    server.kill()
    assert refused(guard.reserve({}, ONE, **CALL), "unreachable").budget == "b2"


def test_calls_under_no_budget_pass(server: Valkey, guard: Guard) -> None:
    publish(server.client, budget(1, "project=shop"))
    assert not held(guard.reserve({}, ONE, **CALL)).enforced
    server.kill()
    assert held(guard.reserve({}, ONE, **CALL)).nano == DOLLAR


def test_what_was_settled_meanwhile_is_told_when_redis_is_back(
    server: Valkey, guard: Guard
) -> None:
    allow(server, 2)
    before = held(guard.reserve({}, ONE, **CALL))
    server.kill()
    guard.settle(before, ONE)  # the first to find it away
    local = held(guard.reserve({}, ONE, **CALL))
    guard.settle(local, ONE)
    server.start()
    allow(server, 2)
    wait_for(lambda: not held(guard.reserve({}, Decimal(0), **CALL)).local, "Redis", 10)
    assert pending(server.client, 1) == {before.id: DOLLAR, local.id: DOLLAR}
    assert counter(server.client, 1).used == 2 * DOLLAR


def test_an_outage_that_comes_and_goes_lets_no_more_through(server: Valkey, guard: Guard) -> None:
    """Redis knows nothing of what is still under way, so that goes on using the allowance up."""
    allow(server, 2)
    held(guard.reserve({}, ONE, **CALL))
    for round_ in range(3):
        server.kill()
        passed = [guard.reserve({}, ONE, **CALL) for _ in range(4)]
        assert sum(answer.allowed for answer in passed) == (2 if round_ == 0 else 0)
        server.start()
        allow(server, 2)
        wait_for(lambda: not _local(guard), "Redis", 10)


def _local(guard: Guard) -> bool:
    answer = guard.reserve({}, Decimal(0), **CALL)
    return not isinstance(answer, Hold) or answer.local


def test_it_is_said_once_and_counted(
    server: Valkey, guard: Guard, caplog: pytest.LogCaptureFixture
) -> None:
    allow(server, 2)
    held(guard.reserve({}, ONE, **CALL))
    server.kill()
    with caplog.at_level(logging.WARNING, "spendbeat_gateway"):
        for _ in range(5):
            guard.reserve({}, ONE, **CALL)
    assert [record.message.partition(" (")[0] for record in caplog.records] == [
        "The guard's Redis does not answer"
    ]
    assert guard.stats() == {
        "allowed": 1,
        "away": 1,
        "local:allowed": 2,
        "refused:unreachable": 3,
    }
    server.start()
    allow(server, 2)
    wait_for(lambda: not _local(guard), "Redis", 10)
    guard.close()
    # What Redis counted before it began anew is gone; what it was told later is there.
    counts = publishing.counts(server.client)
    assert counts["refused:unreachable"] == 3
    assert counts["local:allowed"] == guard.stats()["local:allowed"]


def test_without_redis_from_the_start_the_process_has_an_allowance_of_its_own(
    server: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.kill()
    monkeypatch.setenv("SPENDBEAT_GATEWAY_GUARD_ALLOWANCE", "2.5")
    guard = Guard(server.url)
    first = held(guard.reserve({}, Decimal(2), **CALL))
    assert (first.local, first.counters) == (True, ())
    refused(guard.reserve({}, ONE, **CALL), "unreachable")
    guard.settle(first, Decimal("0.5"))
    held(guard.reserve({}, Decimal(2), **CALL))
    monkeypatch.setenv("SPENDBEAT_GATEWAY_GUARD_FAIL", "closed")
    refused(Guard(server.url).reserve({}, Decimal(0), **CALL), "unreachable")


def test_a_server_that_hangs_costs_a_call_its_timeout_and_the_next_ones_nothing(
    server: Valkey,
) -> None:
    guard = Guard(server.url, timeout=0.2)
    allow(server, 50)
    held(guard.reserve({}, ONE, **CALL))
    server.client.client_pause(60_000)
    assert held(guard.reserve({}, ONE, **CALL)).local
    began = time.monotonic()
    for _ in range(20):
        assert held(guard.reserve({}, ONE, **CALL)).local
    # Twenty timeouts would be four seconds; one retry may fall into this.
    assert time.monotonic() - began < 2


def test_a_counter_that_does_not_come_is_not_waited_for_by_every_call(server: Valkey) -> None:
    guard = Guard(server.url, wait=0.5)
    publish(server.client, budget(1, unreachable="open", allowance=str(3 * DOLLAR)), budget(2))
    fill(server.client, 2, 2)
    began = time.monotonic()
    first = held(guard.reserve({}, ONE, **CALL))
    second = held(guard.reserve({}, ONE, **CALL))
    assert time.monotonic() - began < 0.9
    # What is warm is enforced as ever, beside the allowance of what is cold.
    refused(guard.reserve({}, ONE, **CALL), "budget")
    assert counter(server.client, 2).held == 2 * DOLLAR
    guard.settle(first, ONE)
    guard.release(second)
    assert counter(server.client, 2).used == DOLLAR


def test_a_child_has_locks_connections_and_an_allowance_of_its_own(
    server: Valkey, guard: Guard
) -> None:
    allow(server, 2)
    held(guard.reserve({}, ONE, **CALL))
    child = os.fork()
    if child == 0:
        answer = guard.reserve({}, ONE, **CALL)
        os._exit(0 if answer.allowed and not answer.local else 1)
    held(guard.reserve({}, ONE, **CALL))
    assert os.waitpid(child, 0)[1] == 0
    assert counter(server.client, 1).held == 3 * DOLLAR


def test_coroutines_have_the_same_policies(server: Valkey) -> None:
    allow(server, 2)

    async def calls() -> None:
        guard = AsyncGuard(server.url)
        held(await guard.reserve({}, ONE, **CALL))
        server.kill()
        answers = [await guard.reserve({}, ONE, **CALL) for _ in range(3)]
        assert [answer.allowed for answer in answers] == [True, True, False]
        await guard.settle(held(answers[0]), ONE)
        server.start()
        allow(server, 2)
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            answer = await guard.reserve({}, Decimal(0), **CALL)
            if isinstance(answer, Hold) and not answer.local:
                break
            await asyncio.sleep(0.1)
        assert pending(server.client, 1) == {held(answers[0]).id: DOLLAR}
        await guard.aclose()

    asyncio.run(calls())


def test_a_counter_that_stays_cold_lets_no_more_than_the_allowance_through(
    server: Valkey, guard: Guard
) -> None:
    """Redis is told what calls cost, and has no limit to hold it against."""
    publish(server.client, budget(1, unreachable="open", allowance=str(2 * DOLLAR)))
    for _ in range(2):
        guard.settle(held(guard.reserve({}, ONE, **CALL)), ONE)
    refused(guard.reserve({}, ONE, **CALL), "cold")
    fill(server.client, 1, 100)
    assert not held(guard.reserve({}, ONE, **CALL)).local
    server.client.delete(keys.counter(f"1.1:{FIRST}"))
    assert held(guard.reserve({}, ONE, **CALL)).local  # told and counted, so it is free again


def test_without_rules_the_allowance_is_not_renewed(
    server: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(core, "_COUNT_EVERY", 0.0)
    guard = Guard(server.url, wait=0.0)
    guard.settle(held(guard.reserve({}, ONE, **CALL)), ONE)
    for _ in range(2):
        refused(guard.reserve({}, ONE, **CALL), "cold")
    guard.close()


def test_what_nobody_settles_here_stays_taken_while_redis_is_away(
    server: Valkey, guard: Guard
) -> None:
    """LiteLLM's callback settles by another guard, and holds end before outages do."""
    allow(server, 2)
    held(guard.reserve({}, ONE, **CALL))
    server.kill()
    for _ in range(2):
        hold = held(guard.reserve({}, ONE, lifetime=0.01, **CALL))
    wait_for(lambda: time.time() > hold.expires_at, "the hold's end", 10)
    refused(guard.reserve({}, ONE, **CALL), "unreachable")
    server.start()
    allow(server, 2)
    wait_for(lambda: not _local(guard), "Redis", 10)
    server.kill()
    held(guard.reserve({}, ONE, **CALL))


def test_a_call_that_is_cancelled_takes_no_settlement_of_others_with_it() -> None:
    """Those of an outage are told by the calls after it."""
    settings = GuardSettings()
    one = core.Core(settings, lifetime=900)
    hold = Hold("x", DOLLAR, (f"1.1:{FIRST}",), enforced=True)
    settling = one.settle(hold, ONE)
    assert next(settling)[0] == "settle"
    with pytest.raises(StopIteration):
        settling.throw(core.Away("away"))
    telling = one.close()
    assert next(telling)[0] == "settle"
    telling.close()
    assert next(one.close())[0] == "settle"
