"""The scripts of the guard in a real Valkey: room is kept in all budgets or in none, exactly."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from spendbeat_gateway.guard import (
    AmountError,
    AsyncGuard,
    Estimate,
    Guard,
    Hold,
    keys,
    publishing,
)
from spendbeat_gateway.guard.publishing import Spent

from tests.support.guards import (
    ALWAYS,
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


@pytest.fixture(scope="module")
def running() -> Iterator[Valkey]:
    with valkey() as server:
        yield server


@pytest.fixture
def server(running: Valkey) -> Valkey:
    running.client.flushall()
    running.client.script_flush()
    return running


@pytest.fixture
def guard(server: Valkey) -> Iterator[Guard]:
    guard = Guard(server.url, wait=0.2)
    yield guard
    guard.close()


def test_a_hold_is_kept_until_it_is_settled_at_what_it_has_cost(
    server: Valkey, guard: Guard
) -> None:
    publish(server.client, budget(1))
    fill(server.client, 1, 10, spent=3)
    hold = held(guard.reserve({}, Decimal("2.5"), **CALL))
    assert hold.enforced
    assert not hold.local
    assert counter(server.client, 1).held == 2.5 * DOLLAR
    guard.settle(hold, Decimal("1.25"))
    found = counter(server.client, 1)
    assert (found.held, found.settled, found.used) == (0, 1.25 * DOLLAR, 4.25 * DOLLAR)
    assert pending(server.client, 1) == {hold.id: 1.25 * DOLLAR}


def test_a_refusal_names_the_tightest_budget_what_is_left_and_its_end(
    server: Valkey, guard: Guard
) -> None:
    end = datetime(2099, 12, 1, tzinfo=UTC)
    periods = [{"first": FIRST, "starts": None, "ends": end.timestamp()}]
    publish(server.client, budget(1), budget(2, name="shop", periods=periods), budget(3))
    for number, limit in ((1, 4), (2, 3), (3, 9)):
        fill(server.client, number, limit)
    refusal = refused(guard.reserve({}, Decimal(5), **CALL), "budget")
    assert refusal.budget == "shop"
    assert (refusal.left, refusal.limit) == (Decimal(3), Decimal(3))
    assert refusal.ends == end
    assert "'shop' has $3 of $3 left until 2099-12-01" in refusal.message
    assert refusal.retry_after is not None
    assert refusal.retry_after > 86_400


def test_of_budgets_that_are_overspent_the_worst_is_named(server: Valkey, guard: Guard) -> None:
    publish(server.client, *(budget(number) for number in (1, 2, 3)))
    for number, spent in ((1, 19), (2, 30), (3, 12)):
        fill(server.client, number, 10, spent=spent)
    refusal = refused(guard.reserve({}, ONE, **CALL), "budget")
    assert (refusal.budget, refusal.left) == ("b2", 0)


def test_what_is_refused_by_one_budget_is_held_in_none(server: Valkey, guard: Guard) -> None:
    publish(server.client, *(budget(number) for number in (1, 2, 3)))
    for number, limit in ((1, 100), (2, 100), (3, 1)):
        fill(server.client, number, limit)
    refused(guard.reserve({}, Decimal(2), **CALL), "budget")
    assert [counter(server.client, number).held for number in (1, 2, 3)] == [0, 0, 0]
    assert publishing.open_holds(server.client) == 0


def test_the_last_nano_dollar_is_used_and_not_one_more(server: Valkey, guard: Guard) -> None:
    publish(server.client, budget(1))
    fill(server.client, 1, ONE, spent=Decimal("0.999999998"))
    nano = Decimal("0.000000001")
    refused(guard.reserve({}, 3 * nano, **CALL), "budget")
    held(guard.reserve({}, 2 * nano, **CALL))
    refused(guard.reserve({}, nano, **CALL), "budget")


def test_the_same_hold_id_has_the_same_answer_and_takes_nothing(
    server: Valkey, guard: Guard
) -> None:
    publish(server.client, budget(1))
    fill(server.client, 1, 10)
    first = held(guard.reserve({}, ONE, id="call-1", **CALL))
    assert held(guard.reserve({}, Decimal(7), id="call-1", **CALL)) == first
    assert counter(server.client, 1).held == DOLLAR
    guard.settle(first, ONE)
    held(guard.reserve({}, ONE, id="call-1", **CALL))
    assert counter(server.client, 1).used == DOLLAR


def test_settling_twice_counts_once(server: Valkey, guard: Guard) -> None:
    publish(server.client, budget(1))
    fill(server.client, 1, 10)
    hold = held(guard.reserve({}, ONE, **CALL))
    for actual in (Decimal(2), Decimal(5)):
        guard.settle(hold, actual)
    assert counter(server.client, 1).used == 2 * DOLLAR


def test_a_call_that_cost_more_than_was_held_is_counted_in_full(
    server: Valkey, guard: Guard
) -> None:
    publish(server.client, budget(1))
    fill(server.client, 1, 10)
    guard.settle(held(guard.reserve({}, ONE, **CALL)), Decimal(50))
    assert counter(server.client, 1).used == 50 * DOLLAR
    refused(guard.reserve({}, Decimal(0), **CALL), "budget")


def test_a_call_of_unknown_cost_settles_at_what_was_held(server: Valkey, guard: Guard) -> None:
    publish(server.client, budget(1))
    fill(server.client, 1, 10)
    guard.settle(held(guard.reserve({}, Decimal(3), **CALL)), None)
    assert counter(server.client, 1).settled == 3 * DOLLAR


def test_what_is_released_is_free_and_may_be_reserved_again(server: Valkey, guard: Guard) -> None:
    publish(server.client, budget(1))
    fill(server.client, 1, 1)
    hold = held(guard.reserve({}, ONE, id="again", **CALL))
    guard.release(hold)
    guard.release(hold)
    assert counter(server.client, 1).used == 0
    held(guard.reserve({}, ONE, id="again", **CALL))
    assert counter(server.client, 1).held == DOLLAR


def test_a_settlement_after_the_release_counts(server: Valkey, guard: Guard) -> None:
    publish(server.client, budget(1))
    fill(server.client, 1, 10)
    hold = held(guard.reserve({}, ONE, **CALL))
    guard.release(hold)
    guard.settle(hold, ONE)
    assert counter(server.client, 1).settled == DOLLAR
    assert publishing.counts(server.client)["late"] == 1


def test_a_hold_that_is_over_gives_back_and_its_settlement_still_counts(
    server: Valkey, guard: Guard
) -> None:
    publish(server.client, budget(1), budget(2))
    fill(server.client, 1, 1)
    fill(server.client, 2, 1)
    hold = held(guard.reserve({}, ONE, lifetime=0.05, **CALL))
    other = wait_for(lambda: _allowed(guard), "the room of the hold that is over", 5)
    assert other is not None
    assert counter(server.client, 1).held == DOLLAR
    guard.release(other)
    assert [counter(server.client, n).held for n in (1, 2)] == [0, 0]
    guard.settle(hold, ONE)
    assert [counter(server.client, n).used for n in (1, 2)] == [DOLLAR, DOLLAR]


def _allowed(guard: Guard) -> Hold | None:
    answer = guard.reserve({}, ONE, **CALL)
    return answer if isinstance(answer, Hold) else None


def test_a_hold_that_is_over_behind_many_others_is_not_kept_twice(
    server: Valkey, guard: Guard
) -> None:
    """One script lets only some of those that are over go, and this one is the last of them."""
    publish(server.client, budget(1))
    fill(server.client, 1, 100_000)
    for number in range(40):
        held(guard.reserve({}, ONE, id=f"hold {number}", lifetime=0.5, **CALL))
    oldest = server.client.zrange("{spendbeat}:guard:holds", -1, -1, withscores=True)
    wait_for(lambda: int(server.client.time()[0]) * 1000 > oldest[0][1], "all to be over")
    held(guard.reserve({}, ONE, id="hold 39", **CALL))
    wait_for(lambda: publishing.expire(server.client) == 0, "the others to be let go")
    assert counter(server.client, 1).held == DOLLAR


def test_holds_of_a_system_that_is_idle_are_let_go_by_the_service(
    server: Valkey, guard: Guard
) -> None:
    publish(server.client, budget(1))
    fill(server.client, 1, 100_000)
    for _ in range(40):
        held(guard.reserve({}, ONE, lifetime=0.001, **CALL))
    wait_for(
        lambda: publishing.expire(server.client) or not publishing.open_holds(server.client), "x"
    )
    assert publishing.open_holds(server.client) == 0
    assert counter(server.client, 1).held == 0


def test_a_missing_counter_is_waited_for_and_never_taken_for_nothing(
    server: Valkey, guard: Guard
) -> None:
    publish(server.client, budget(1))
    refusal = refused(guard.reserve({}, ONE, **CALL), "cold")
    assert refusal.budget == "b1"
    assert publishing.wait(server.client, 1)
    assert publishing.wanted(server.client) == {f"1.1:{FIRST}"}

    patient = Guard(server.url, wait=20)

    def load() -> None:
        wait_for(lambda: publishing.wanted(server.client), "somebody to miss the counter")
        fill(server.client, 1, 10, spent=9)

    loader = threading.Thread(target=load)
    loader.start()
    held(patient.reserve({}, ONE, **CALL))
    loader.join()
    refused(patient.reserve({}, ONE, **CALL), "budget")


@pytest.mark.parametrize("amount", [Decimal(0), ONE])
def test_one_missing_counter_of_three_leaves_no_trace_in_the_others(
    server: Valkey, guard: Guard, amount: Decimal
) -> None:
    publish(server.client, *(budget(number) for number in (1, 2, 3)))
    fill(server.client, 1, 10)
    fill(server.client, 3, 10)
    refused(guard.reserve({}, amount, **CALL), "cold")
    assert publishing.counter(server.client, "2.1", FIRST) is None
    assert [counter(server.client, number).held for number in (1, 3)] == [0, 0]


def test_without_rules_nothing_is_known_and_they_are_asked_for(server: Valkey) -> None:
    guard = Guard(server.url, wait=0.1)
    answer = held(guard.reserve({}, Decimal("0.5"), **CALL))
    assert answer.local  # the process' own allowance of a dollar
    assert publishing.wanted(server.client) == {"rules"}
    refusal = refused(guard.reserve({}, Decimal("0.6"), **CALL), "cold")
    assert "allowance for that is used up" in refusal.message


def test_new_rules_are_obeyed_by_the_next_call(server: Valkey, guard: Guard) -> None:
    publish(server.client, budget(1, "project=shop"))
    fill(server.client, 1, 10)
    call = {"project": "shop", "team": "web"}
    assert held(guard.reserve(call, ONE, **CALL)).counters == (f"1.1:{FIRST}",)
    publish(server.client, budget(1, "project=shop"), budget(2, "team=web"))
    fill(server.client, 2, 10)
    answer = held(guard.reserve(call, ONE, **CALL))
    assert answer.counters == (f"1.1:{FIRST}", f"2.1:{FIRST}")


def test_rules_that_begin_to_be_about_a_call_are_found_within_a_second(
    server: Valkey, guard: Guard
) -> None:
    publish(server.client, budget(1, "project=shop"))
    assert not held(guard.reserve({}, ONE, **CALL)).enforced
    publish(server.client, budget(2))
    fill(server.client, 2, 10)
    wait_for(lambda: held(guard.reserve({}, ONE, **CALL)).enforced, "the new budget", 5)


def test_the_same_rules_again_are_no_new_version(server: Valkey) -> None:
    rules = {"budgets": [budget(1)]}
    assert publishing.publish_rules(server.client, rules)
    assert not publishing.publish_rules(server.client, {**rules, "version": "whatever"})
    server.client.delete("{spendbeat}:guard:rules")
    assert publishing.publish_rules(server.client, rules)


def test_a_rate_limit_lets_so_many_requests_through_in_any_minute(
    server: Valkey, guard: Guard
) -> None:
    rate = {"id": 4, "name": "crawlers", "keys": ["agent=crawler"], "per_minute": 3}
    publish(server.client, budget(1), rates=[rate])
    fill(server.client, 1, 10)
    call = {"agent": "crawler"}
    for number in range(3):
        for _ in range(2):  # the same call again is no other request
            held(guard.reserve(call, ONE, id=f"call {number}", **CALL))
    refusal = refused(guard.reserve(call, ONE, **CALL), "rate")
    assert refusal.budget == "crawlers"
    assert refusal.retry_after is not None
    assert 0 < refusal.retry_after <= 60
    assert counter(server.client, 1).held == 3 * DOLLAR
    held(guard.reserve({"agent": "other"}, ONE, **CALL))
    # As if nearly a minute had passed since the first of them, and then a whole one.
    for age, passes in ((58_000, False), (60_000, True)):
        server.client.lset("{spendbeat}:guard:r:4", 0, str(_milliseconds(server) - age))
        assert guard.reserve(call, ONE, **CALL).allowed == passes
    refused(guard.reserve(call, ONE, **CALL), "rate")


def _milliseconds(server: Valkey) -> int:
    seconds, micros = server.client.time()
    return int(seconds) * 1000 + int(micros) // 1000


def test_a_refused_call_uses_up_no_rate(server: Valkey, guard: Guard) -> None:
    rate = {"id": 4, "name": "r", "keys": [], "per_minute": 1}
    publish(server.client, budget(1), rates=[rate])
    fill(server.client, 1, 1)
    refused(guard.reserve({}, Decimal(5), **CALL), "budget")
    held(guard.reserve({}, ONE, **CALL))


def test_above_its_soft_limit_a_budget_throttles(server: Valkey, guard: Guard) -> None:
    publish(server.client, budget(1, enforce="throttle", per_minute=2), budget(2))
    fill(server.client, 1, None, soft=5)
    fill(server.client, 2, 100)
    for _ in range(5):  # up to the soft limit, that included, as fast as one likes
        held(guard.reserve({}, ONE, **CALL))
    for _ in range(2):
        held(guard.reserve({}, ONE, **CALL))
    refusal = refused(guard.reserve({}, ONE, **CALL), "throttle")
    assert refusal.budget == "b1"
    assert [counter(server.client, n).held for n in (1, 2)] == [7 * DOLLAR, 7 * DOLLAR]


def test_a_throttle_with_a_hard_limit_blocks_there(server: Valkey, guard: Guard) -> None:
    publish(server.client, budget(1, enforce="throttle", per_minute=100))
    fill(server.client, 1, 6, soft=5)
    held(guard.reserve({}, Decimal(6), **CALL))
    refused(guard.reserve({}, ONE, **CALL), "budget")


def test_a_call_without_a_price_meets_each_policy(server: Valkey, guard: Guard) -> None:
    unknown = Estimate(None, tokens=3_000_000, upper_bound=True, how="no price")
    publish(server.client, budget(1, unpriced="allow"))
    fill(server.client, 1, 10)
    assert held(guard.reserve({}, unknown, **CALL)).nano == 0
    publish(server.client, budget(1, unpriced="ceiling", ceiling="1500.5"))
    assert held(guard.reserve({}, unknown, **CALL)).nano == 4_501_500_000
    publish(server.client, budget(1, unpriced="block"))
    refusal = refused(guard.reserve({}, unknown, **CALL), "unpriced")
    assert "'gpt-4o' is not known" in refusal.message
    assert counter(server.client, 1).held == 4_501_500_000


def test_a_newer_reading_replaces_spent_and_an_older_one_does_nothing(
    server: Valkey, guard: Guard
) -> None:
    publish(server.client, budget(1))
    fill(server.client, 1, 10, spent=1, reading=5)
    hold = held(guard.reserve({}, Decimal(2), **CALL))
    open_one = held(guard.reserve({}, Decimal(3), **CALL))
    guard.settle(hold, ONE)
    assert not fill(server.client, 1, 99, spent=0, reading=5)
    assert fill(server.client, 1, 20, spent=2, reading=6, covered=[hold.id, "unknown"])
    found = counter(server.client, 1)
    assert (found.limit, found.spent, found.settled, found.held) == (
        20 * DOLLAR,
        2 * DOLLAR,
        0,
        3 * DOLLAR,
    )
    guard.settle(open_one, ONE)
    assert pending(server.client, 1) == {open_one.id: DOLLAR}


def test_a_reading_from_before_redis_lost_its_data_is_not_taken(server: Valkey) -> None:
    before = publishing.epoch(server.client)
    assert publishing.epoch(server.client) == before
    server.client.flushall()
    assert not fill(server.client, 1, 10, epoch=before)
    assert publishing.counter(server.client, "1.1", FIRST) is None
    now = publishing.epoch(server.client)
    assert fill(server.client, 1, 10, epoch=now)
    publishing.new_epoch(server.client)
    assert not fill(server.client, 1, 20, reading=2, epoch=now)


def test_more_settlements_than_one_script_takes_are_all_covered(
    server: Valkey, guard: Guard, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publishing, "_AT_ONCE", 3)
    publish(server.client, budget(1))
    fill(server.client, 1, 100)
    holds = [held(guard.reserve({}, ONE, **CALL)) for _ in range(11)]
    for hold in holds:
        guard.settle(hold, ONE)
    assert fill(server.client, 1, 100, spent=10, reading=2, covered=[h.id for h in holds[:10]])
    assert pending(server.client, 1) == {holds[10].id: DOLLAR}
    assert counter(server.client, 1).used == 11 * DOLLAR
    assert counter(server.client, 1).held == 0


def test_a_settlement_of_a_counter_that_is_gone_is_found_when_it_is_loaded(
    server: Valkey, guard: Guard
) -> None:
    publish(server.client, budget(1))
    fill(server.client, 1, 10)
    hold, other = (held(guard.reserve({}, Decimal(2), **CALL)) for _ in range(2))
    publishing.wanted(server.client)
    server.client.delete(keys.counter(f"1.1:{FIRST}"))
    guard.settle(hold, ONE)
    assert publishing.counter(server.client, "1.1", FIRST) is None
    assert publishing.wanted(server.client) == {f"1.1:{FIRST}"}
    assert publishing.loaded(server.client) == [("1.1", FIRST)]
    fill(server.client, 1, 10, spent=3)
    found = counter(server.client, 1)
    assert (found.spent, found.settled, found.held) == (3 * DOLLAR, DOLLAR, 2 * DOLLAR)
    guard.settle(other, ONE)
    assert counter(server.client, 1).used == 5 * DOLLAR


def test_the_reading_that_loads_a_counter_covers_settlements_too(
    server: Valkey, guard: Guard
) -> None:
    publish(server.client, budget(1))
    fill(server.client, 1, 10)
    booked, other = (held(guard.reserve({}, ONE, **CALL)) for _ in range(2))
    server.client.delete(keys.counter(f"1.1:{FIRST}"))
    for hold in (booked, other):
        guard.settle(hold, ONE)
    fill(server.client, 1, 10, spent=1, covered=[booked.id])
    found = counter(server.client, 1)
    assert (found.spent, found.settled, found.held) == (DOLLAR, DOLLAR, 0)


def test_a_counter_that_is_gone_is_not_begun_by_what_is_given_back(
    server: Valkey, guard: Guard
) -> None:
    publish(server.client, budget(1), budget(2))
    for number in (1, 2):
        fill(server.client, number, 10)
    one = held(guard.reserve({}, ONE, **CALL))
    held(guard.reserve({}, ONE, lifetime=0.001, **CALL))
    server.client.delete(keys.counter(f"1.1:{FIRST}"))
    guard.release(one)
    wait_for(
        lambda: publishing.expire(server.client) == publishing.open_holds(server.client),
        "the other hold to be let go",
    )
    assert publishing.counter(server.client, "1.1", FIRST) is None
    assert server.client.exists("{spendbeat}:guard:c:1.1:" + FIRST) == 0
    assert counter(server.client, 2).held == 0


def test_a_settlement_after_everything_was_lost_counts_once(server: Valkey, guard: Guard) -> None:
    publish(server.client, budget(1))
    fill(server.client, 1, 10)
    hold = held(guard.reserve({}, ONE, **CALL))
    server.client.flushall()
    publish(server.client, budget(1))
    fill(server.client, 1, 10, spent=4)
    for _ in range(2):
        guard.settle(hold, ONE)
    assert counter(server.client, 1).used == 5 * DOLLAR


def test_a_counter_and_its_settlements_go_eight_days_after_the_period(
    server: Valkey, guard: Guard
) -> None:
    ends = datetime.now(UTC) + timedelta(days=1)
    publish(server.client, budget(1))
    fill(server.client, 1, 10, ends=ends)
    guard.settle(held(guard.reserve({}, ONE, **CALL)), ONE)
    fill(server.client, 1, 10, ends=ends, reading=2)
    for key in ("c", "s"):
        left = server.client.pttl(f"{{spendbeat}}:guard:{key}:1.1:{FIRST}")
        assert 8.9 * 86_400_000 < left <= 9 * 86_400_000


def test_amounts_beyond_doubles_are_exact(server: Valkey, guard: Guard) -> None:
    limit = Decimal("9223372036.854775807")
    publish(server.client, budget(1))
    fill(server.client, 1, limit)
    hold = held(guard.reserve({}, limit - Decimal("0.000000001"), **CALL))
    refused(guard.reserve({}, Decimal("0.000000002"), **CALL), "budget")
    last = held(guard.reserve({}, Decimal("0.000000001"), **CALL))
    refused(guard.reserve({}, Decimal("0.000000001"), **CALL), "budget")
    assert counter(server.client, 1).used == 2**63 - 1
    guard.release(last)
    guard.settle(hold, Decimal("9007199.254740993"))
    assert counter(server.client, 1).used == 2**53 + 1


def test_a_sum_beyond_64_bits_is_refused_in_words_and_changes_nothing(
    server: Valkey, guard: Guard
) -> None:
    most = Decimal("9223372036.854775807")
    publish(server.client, budget(1), budget(2))
    fill(server.client, 1, 1000)
    fill(server.client, 2, 0, spent=most)
    with pytest.raises(AmountError):
        guard.reserve({}, most + 1, **CALL)
    refused(guard.reserve({}, most, **CALL), "budget")
    stranger = Hold("stranger", 0, (f"1.1:{FIRST}", f"2.1:{FIRST}"), enforced=True)
    with pytest.raises(AmountError, match="64 bits"):
        guard.settle(stranger, most)
    assert [counter(server.client, n).used for n in (1, 2)] == [0, 2**63 - 1]
    with pytest.raises(AmountError, match="64 bits"):
        fill(server.client, 2, most, spent=-1, reading=2)
    assert counter(server.client, 2).reading == 1


def test_a_hold_survives_json(server: Valkey, guard: Guard) -> None:
    publish(server.client, budget(1))
    fill(server.client, 1, 10)
    hold = held(guard.reserve({}, ONE, **CALL))
    assert Hold.from_dict(hold.as_dict()) == hold


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"id": ""},
        {"id": "x", "counters": "1.1:2026-11-01"},
        {"id": "x", "counters": ["rules"]},
        {"id": "x", "counters": ["1.1:2026-11-01 2.1:2026-11-01"]},
        {"id": "x", "counters": ["1.1:2026-11-01"], "nano": "-5"},
        {"id": "x", "nano": str(2**63)},
        {"id": "x", "nano": "much"},
    ],
)
def test_what_no_guard_gave_is_no_hold(said: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="no hold"):
        Hold.from_dict(said)


def test_threads_and_coroutines_share_one_limit(server: Valkey, guard: Guard) -> None:
    publish(server.client, budget(1))
    fill(server.client, 1, 25)

    async def coroutines() -> int:
        other = AsyncGuard(server.url)
        answers = await asyncio.gather(*(other.reserve({}, ONE, **CALL) for _ in range(40)))
        for answer in answers:
            if isinstance(answer, Hold):
                await other.settle(answer, ONE)
        await other.aclose()
        return sum(answer.allowed for answer in answers)

    with ThreadPoolExecutor(8) as pool:
        several = pool.map(lambda _: guard.reserve({}, ONE, **CALL).allowed, range(40))
        passed = asyncio.run(coroutines()) + sum(several)
    assert passed == 25
    assert counter(server.client, 1).used == 25 * DOLLAR


def test_a_coroutine_that_is_cancelled_leaves_no_hold(server: Valkey) -> None:
    publish(server.client, budget(1))
    fill(server.client, 1, 100)

    async def cancel() -> None:
        guard = AsyncGuard(server.url)
        await guard.reserve({}, ONE, id="first", **CALL)
        tasks = [asyncio.ensure_future(guard.reserve({}, ONE, **CALL)) for _ in range(20)]
        await asyncio.sleep(0.002)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for task in tasks:
            if not task.cancelled():
                await guard.release(held(task.result()))
        await asyncio.gather(*guard._cleaning)
        await guard.aclose()

    asyncio.run(cancel())
    wait_for(lambda: counter(server.client, 1).held == DOLLAR, "the holds to be given back", 5)


def test_decisions_are_counted_here_and_in_redis(server: Valkey, guard: Guard) -> None:
    publish(server.client, budget(1))
    fill(server.client, 1, 1)
    held(guard.reserve({}, ONE, **CALL))
    refused(guard.reserve({}, ONE, **CALL), "budget")
    assert guard.stats() == {"allowed": 1, "refused:budget": 1}
    guard.close()
    assert publishing.counts(server.client) == {"allowed": 1, "refused:budget": 1}


def test_without_an_address_there_is_no_guard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPENDBEAT_GATEWAY_REDIS_URL", raising=False)
    with pytest.raises(ValueError, match="SPENDBEAT_GATEWAY_REDIS_URL"):
        Guard()


def test_periods_of_total_have_no_end(server: Valkey, guard: Guard) -> None:
    publish(server.client, budget(1, periods=ALWAYS))
    fill(server.client, 1, 0)
    refusal = refused(guard.reserve({}, ONE, **CALL), "budget")
    assert (refusal.ends, refusal.retry_after) == (None, None)


def test_settlements_after_the_last_reading_go_with_their_counter(
    server: Valkey, guard: Guard
) -> None:
    """Nobody reads a period that is over, so nobody would give them an end later."""
    publish(server.client, budget(1))
    end = datetime.now(UTC) + timedelta(hours=1)
    fill(server.client, 1, 10, ends=end)
    guard.settle(held(guard.reserve({}, ONE, **CALL)), ONE)
    goes = [server.client.pttl(key(f"1.1:{FIRST}")) for key in (keys.counter, keys.settled)]
    assert goes[0] - 1000 < goes[1] <= goes[0]


def test_settlements_of_a_counter_that_is_gone_do_not_stay(server: Valkey, guard: Guard) -> None:
    guard.settle(Hold("x", DOLLAR, (f"1.1:{FIRST}",), enforced=True), ONE)
    key = keys.settled(f"1.1:{FIRST}")
    assert 0 < server.client.pttl(key) <= publishing.KEPT.total_seconds() * 1000
    fill(server.client, 1, 10)
    assert server.client.pttl(key) == -1  # total has no end


def test_a_hold_is_known_after_days_of_sleep(server: Valkey, guard: Guard) -> None:
    """Else its room would never come back."""
    publish(server.client, budget(1))
    fill(server.client, 1, 10)
    hold = held(guard.reserve({}, ONE, **CALL))
    assert server.client.pttl(keys.hold(hold.id)) > 8 * 86_400_000


def test_a_cost_beyond_reason_stops_no_other_counter_and_can_be_taken_back(
    server: Valkey, guard: Guard
) -> None:
    publish(server.client, budget(1))
    fill(server.client, 1, 100, spent=1)
    guard.settle(held(guard.reserve({}, ONE, **CALL)), Decimal(9_223_372_036))
    much, other = (
        Spent(f"{number}.1", FIRST, Decimal(3), Decimal(1), None, None) for number in (1, 2)
    )
    epoch = publishing.epoch(server.client)
    some = [much] * publishing._COUNTERS_AT_ONCE  # so that the other one is of the next round
    with pytest.raises(AmountError, match=r"1\.1"):
        publishing.set_all(server.client, [*some, other], reading=2, epoch=epoch)
    assert counter(server.client, 2).spent == 3 * DOLLAR
    waiting = list(pending(server.client, 1))
    assert fill(server.client, 1, 100, spent=2, covered=waiting, reading=3)
    assert counter(server.client, 1).used == 2 * DOLLAR


def test_a_strange_number_of_tokens_gives_no_room(server: Valkey, guard: Guard) -> None:
    publish(server.client, budget(1, unpriced="ceiling", ceiling="1000"))
    fill(server.client, 1, 10)
    hold = guard.reserve({}, Estimate(None, -(10**6), upper_bound=False, how=""), **CALL)
    assert held(hold).nano == 0
    assert counter(server.client, 1).held == 0


def test_a_hold_that_names_a_counter_twice_is_counted_once(server: Valkey, guard: Guard) -> None:
    fill(server.client, 1, 10)
    said = {"id": "x", "nano": "0", "counters": [f"1.1:{FIRST}"] * 2, "expires_at": 0}
    hold = Hold.from_dict({**said, "enforced": True})
    guard.settle(hold, ONE)
    assert counter(server.client, 1).used == DOLLAR
