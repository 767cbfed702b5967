"""What Postgres says to guards: spend and the settlements in it, both of one moment."""

from collections.abc import Collection
from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID

import pytest
from sqlalchemy import text

from spend import sealing
from spend.capture.identity import key_of_id
from spend.enforcement import readings
from spend.enforcement.readings import Reading, Wanted
from spend.enforcement.rules import rules
from spend.errors import BusyError
from tests.support import budgets, ledger
from tests.support.desks import book, event
from worker.database import engine, transaction

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
NOVEMBER = date(2026, 11, 1)
ONE = Decimal("0.0035")


def blocked(name: str = "all", /, **said: object) -> Wanted:
    made = budgets.add(name, enforce="block", **said)
    return Wanted(made.id, made.version, NOVEMBER)


def read(ids: Collection[str], *wanted: Wanted) -> Reading:
    with transaction() as session:
        number = readings.begin(session, wait=5)
        assert number is not None
        return readings.read(session, number, wanted, readings.booked(session, ids))


def call(id_: str, **more: object) -> None:
    book(event(id=id_, **more))


def test_a_call_is_covered_with_the_spend_that_has_it(database: str) -> None:
    wanted = blocked()
    call("a", other_ids=["hold-a"])
    before = read(["hold-a", "never"], wanted)
    assert (before.covered, before.spend) == (frozenset(), {(wanted.budget_id, NOVEMBER): 0})
    ledger.roll()
    after = read(["hold-a", "a", "never"], wanted)
    assert after.covered == {"hold-a", "a"}
    assert after.spend == {(wanted.budget_id, NOVEMBER): ONE}


def test_calls_in_front_of_a_lagging_shard_are_not_covered(database: str) -> None:
    wanted = blocked()
    call("a")
    call("b", provider="anthropic", model="claude-sonnet-4-5")
    ledger.tick()
    ledger.advance("openai")
    found = read(["a", "b"], wanted)
    assert (found.covered, found.spend[wanted.budget_id, NOVEMBER]) == ({"a"}, ONE)


def test_a_transaction_that_a_tick_did_not_see_is_not_covered(database: str) -> None:
    wanted = blocked()
    # It has its number before the tick and commits after it: an id below those that are counted.
    with engine().connect() as slow, slow.begin():
        slow.execute(text("SELECT txid_current()"))
        call("a")
        slow.execute(
            text(
                "WITH row AS (INSERT INTO cost_logs (provider, model, cost_usd, started_at) VALUES"
                " ('openai', 'gpt-4o', 1, '2026-11-20Z') RETURNING id, started_at)"
                " INSERT INTO request_keys (key, row_id, digest, started_at)"
                " SELECT CAST(:key AS uuid), id, 0, started_at FROM row"
            ),
            {"key": str(UUID(bytes=key_of_id("slow")))},
        )
        ledger.roll()
    found = read(["a", "slow"], wanted)
    assert (found.covered, found.spend[wanted.budget_id, NOVEMBER]) == ({"a"}, ONE)
    ledger.roll()
    found = read(["a", "slow"], wanted)
    assert (found.covered, found.spend[wanted.budget_id, NOVEMBER]) == ({"a", "slow"}, ONE + 1)


def test_of_a_batch_that_is_cut_the_first_part_is_covered(database: str) -> None:
    wanted = blocked()
    book(*(event(id=f"call-{n}") for n in range(10)))
    ledger.tick()
    ledger.advance("openai", batch_rows=4)
    found = read([f"call-{n}" for n in range(10)], wanted)
    assert found.covered == {f"call-{n}" for n in range(4)}
    assert found.spend[wanted.budget_id, NOVEMBER] == 4 * ONE


def test_a_call_without_a_price_is_covered_when_its_price_is_counted(database: str) -> None:
    wanted = blocked()
    call("a", model="nobody-knows-it")
    ledger.roll()
    assert read(["a"], wanted).covered == frozenset()
    row_id, at = engine().connect().execute(text("SELECT id, started_at FROM cost_logs")).one()
    with transaction() as session:
        ledger.add(session, adjusts_id=row_id, started_at=at, model="nobody-knows-it",
                   unpriced=-1, price_version_id=7, cost_usd=Decimal(2))  # fmt: skip
    assert read(["a"], wanted).covered == frozenset()
    ledger.roll()
    found = read(["a"], wanted)
    assert (found.covered, found.spend[wanted.budget_id, NOVEMBER]) == ({"a"}, 2)


def test_calls_of_a_month_that_was_dropped_are_covered(database: str) -> None:
    call("a", started_at="2026-02-10T10:00:00Z")
    call("b")
    assert read(["a"]).covered == frozenset()
    ledger.roll()
    with transaction("spendbeat_owner") as session:
        sealing.seal(session, date(2026, 2, 1), NOW)
    assert read(["a", "b"]).covered == {"a", "b"}
    call("c", started_at="2026-02-10T10:00:00Z")
    assert read(["c"]).covered == frozenset()


def test_after_a_restore_into_another_cluster_nothing_is_covered(database: str) -> None:
    call("a")
    ledger.roll()
    ledger.run_as(None, "UPDATE ticks SET system_identifier = 1")
    assert read(["a"]).covered == frozenset()


def test_one_reading_at_a_time_and_numbers_in_their_order(database: str) -> None:
    with transaction() as first:
        one = readings.begin(first, wait=0)
        with transaction() as second:
            assert readings.begin(second, wait=0) is None
        with transaction() as third, pytest.raises(BusyError):
            readings.begin(third, wait=0.05)
    with transaction() as session:
        two = readings.begin(session, wait=0)
    assert one is not None
    assert two == one + 1


def test_a_budget_that_says_something_else_meanwhile_is_left_out(database: str) -> None:
    wanted = blocked("shop", scope={"project": "shop"})
    budgets.edit("shop", scope={"project": "other"})
    assert read([], wanted).spend == {}
    assert read([], wanted._replace(version=2)).spend == {(wanted.budget_id, NOVEMBER): 0}


def counter(name: str) -> str | None:
    with transaction("spendbeat_reader") as session:
        found = rules(session, NOW).content["budgets"]
    return next((one["counter"] for one in found if one["name"] == name), None)


def test_a_counter_is_of_a_scope_and_calendar_that_is_enforced_without_a_break(
    database: str,
) -> None:
    made = blocked("shop", scope={"project": "shop"})
    first = f"{made.budget_id}.1"
    assert counter("shop") == first
    budgets.edit("shop", hard_limit=200, note="more", soft_limit=10)
    budgets.edit("shop", enforce="throttle", throttle_per_minute=5)
    assert counter("shop") == first
    budgets.edit("shop", scope={"project": "other"})
    budgets.edit("shop", scope={"project": "shop"})
    assert counter("shop") == f"{made.budget_id}.5"
    budgets.set_state("shop", "paused")
    assert counter("shop") is None
    budgets.set_state("shop", "resumed")
    assert counter("shop") == f"{made.budget_id}.7"
    budgets.edit("shop", enforce="alert")
    assert counter("shop") is None
    budgets.edit("shop", enforce="block", period="day")
    assert counter("shop") == f"{made.budget_id}.9"
    budgets.edit("shop", note="still the same")
    assert counter("shop") == f"{made.budget_id}.9"
