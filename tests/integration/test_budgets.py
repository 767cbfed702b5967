"""What budgets have spent is what their scopes have spent, at every moment and after every edit."""

from datetime import UTC, datetime
from decimal import Decimal
from threading import Thread

import pytest

from spend import rebuild, rollups, sealing
from spend.budgets import store
from spend.errors import BadInputError
from tests.support import budgets, ledger
from tests.support.waiting import wait_for
from worker.database import transaction

NOV = datetime(2026, 11, 3, 10, 7, tzinfo=UTC)
FEBRUARY = datetime(2024, 2, 10, 8, tzinfo=UTC)
NOW = datetime(2026, 11, 21, tzinfo=UTC)
WAITING = (
    "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND database ="
    " (SELECT oid FROM pg_database WHERE datname = current_database())"
)


def write(rows: int = 1, **fields: object) -> None:
    with transaction() as session:
        ledger.add(session, [{}] * rows, **{"started_at": NOV, **fields})


def test_a_batch_moves_the_budgets_that_it_is_in_and_no_other(database: str) -> None:
    mine = budgets.attribution(project="shop", tags=("env:prod", "urgent"))
    budgets.add("everything")
    budgets.add("shop", scope={"project": "shop"})
    budgets.add("urgent openai", scope={"tag": "urgent", "provider": "openai"}, period="day")
    budgets.add("one model", scope={"model": "gpt-4o", "project": "shop"}, period="total")
    budgets.add("elsewhere", scope={"project": "else"})
    write(2, attribution_id=mine, cost_usd=Decimal("1.5"))
    write(attribution_id=mine, provider="anthropic", model="claude", cost_usd=None)
    write(cost_usd=Decimal(7))
    assert ledger.roll() == 4
    assert budgets.spent() == {
        ("everything", "2026-11-01", "openai"): (3, 0, 10),
        ("everything", "2026-11-01", "anthropic"): (1, 1, 0),
        ("shop", "2026-11-01", "openai"): (2, 0, 3),
        ("shop", "2026-11-01", "anthropic"): (1, 1, 0),
        ("urgent openai", "2026-11-03", "openai"): (2, 0, 3),
        ("one model", "1970-01-01", "openai"): (2, 0, 3),
    }
    assert budgets.agrees()


def test_rows_of_one_batch_fall_into_the_periods_of_their_zone(database: str) -> None:
    budgets.add("kathmandu", zone="Asia/Kathmandu")
    budgets.add("utc")
    for minute in (14, 15):
        write(started_at=datetime(2026, 10, 31, 18, minute, tzinfo=UTC))
    ledger.roll()
    assert budgets.spent() == {
        ("kathmandu", "2026-10-01", "openai"): (1, 0, 1),
        ("kathmandu", "2026-11-01", "openai"): (1, 0, 1),
        ("utc", "2026-10-01", "openai"): (2, 0, 2),
    }


def test_a_new_budget_knows_what_was_spent_before_it(database: str) -> None:
    write(3)
    write(started_at=NOV.replace(month=9))
    ledger.roll()
    budgets.add("late")
    assert budgets.spent() == {
        ("late", "2026-11-01", "openai"): (3, 0, 3),
        ("late", "2026-09-01", "openai"): (1, 0, 1),
    }
    assert budgets.agrees()


def test_an_edit_while_a_shard_lags_counts_each_row_once(database: str) -> None:
    """What waits is added when it is rolled up, to what the edit found in the buckets."""
    budgets.add("all", scope={"provider": "openai"})
    write(5)
    write(5, provider="slow")
    ledger.roll()
    write(2)
    write(3, provider="slow")
    ledger.tick()
    ledger.advance("openai")
    budgets.edit("all", scope={})
    assert budgets.dollars("all") == 12
    assert budgets.agrees()
    ledger.advance("slow")
    assert budgets.dollars("all") == 15
    assert budgets.agrees()


def test_an_edit_in_the_middle_of_a_cut_batch(database: str) -> None:
    write(10)
    ledger.tick()
    ledger.advance("openai", 3)
    budgets.add("all")
    assert budgets.dollars("all") == 3
    assert budgets.agrees()
    budgets.edit("all", period="week", week_start="sunday")
    ledger.roll()
    assert budgets.spent() == {("all", "2026-11-01", "openai"): (10, 0, 10)}
    assert budgets.agrees()


def test_a_sealed_month_is_in_budgets_made_after_it_and_late_rows_come_on_top(
    database: str,
) -> None:
    write(2, started_at=FEBRUARY)
    ledger.roll()
    with transaction("spendbeat_owner") as session:
        sealing.seal(session, FEBRUARY.date(), NOW)
    budgets.add("then", period="range", **{"from": "2024-02-01", "to": "2024-03-01"})
    assert budgets.dollars("then") == 2
    write(started_at=FEBRUARY)
    ledger.roll()
    assert budgets.spent() == {("then", "2024-02-01", "openai"): (3, 0, 3)}
    assert budgets.agrees()


def test_an_edit_waits_for_a_batch_and_a_batch_for_an_edit(database: str) -> None:
    budgets.add("all", scope={"provider": "none"})
    write()
    ledger.tick()
    editing = Thread(target=lambda: budgets.edit("all", scope={}))
    with transaction() as session:
        rollups.advance(session, "openai")
        editing.start()
        wait_for(lambda: ledger.scalar(WAITING), "the edit to wait")
    editing.join(10)
    assert budgets.dollars("all") == 1
    write()
    ledger.tick()
    rolling = Thread(target=lambda: ledger.advance("openai"))
    with transaction() as session:
        store.set_state(session, "all", "removed", "test")
        rolling.start()
        wait_for(lambda: ledger.scalar(WAITING), "the batch to wait")
    rolling.join(10)
    assert ledger.summary() == {("openai", "gpt-4o"): Decimal(2)}
    assert budgets.spent() == {}
    assert budgets.agrees()


def test_two_shards_move_the_same_budgets_without_waiting_for_each_other(database: str) -> None:
    for number in range(20):
        budgets.add(f"b{number}", scope={} if number % 2 else {"model": "gpt-4o"})
    write(provider="one")
    write(provider="two")
    ledger.tick()
    with transaction() as first, transaction() as second:
        for session in (first, second):
            ledger.execute(session, "SET LOCAL lock_timeout = '5s'")
        assert rollups.advance(first, "one").rows == 1
        assert rollups.advance(second, "two").rows == 1
    assert {budgets.dollars(f"b{number}") for number in range(20)} == {2}
    assert budgets.agrees()


def test_a_removed_budget_counts_no_more_and_a_paused_one_goes_on(database: str) -> None:
    budgets.add("paused")
    budgets.add("removed")
    budgets.add("alone in its scope", scope={"project": "shop"})
    budgets.set_state("paused", "paused")
    budgets.set_state("removed", "removed")
    budgets.set_state("alone in its scope", "removed")
    write()
    ledger.roll()
    assert budgets.spent() == {("paused", "2026-11-01", "openai"): (1, 0, 1)}
    assert budgets.agrees()
    assert ledger.scalar("SELECT count(*) FROM budget_queries") == 1


def test_a_name_is_one_kept_budgets(database: str) -> None:
    first = budgets.add("shop")
    with pytest.raises(BadInputError, match="already"):
        budgets.add("shop")
    budgets.set_state("shop", "removed")
    assert budgets.add("shop").id != first.id
    budgets.add("other")
    with pytest.raises(BadInputError, match="already"):
        budgets.edit("other", name="shop")


def test_every_change_is_a_version_with_who_and_when(database: str) -> None:
    budgets.add("shop")
    budgets.edit("shop", hard_limit=200)
    budgets.edit("shop", hard_limit=200)
    budgets.set_state("shop", "paused")
    budgets.set_state("shop", "paused")
    with transaction("spendbeat_reader") as session:
        versions = store.history(session, store.find(session, "shop"))
    assert [(v.version, v.change, v.definition.hard_limit, v.changed_by) for v in versions] == [
        (1, "added", 100, "test"),
        (2, "edited", 200, "test"),
        (3, "paused", 200, "test"),
    ]
    assert len({v.changed_at for v in versions}) == 3


def test_a_refused_edit_changes_nothing(database: str) -> None:
    budgets.add("shop")
    for said in (
        {"soft_limit": 200},
        {"zone": "Mars/Olympus"},
        {"thresholds": ["80%,channel=nowhere"]},
        {"scope": {"tag": "project:alpha"}},
    ):
        with pytest.raises(BadInputError):
            budgets.edit("shop", **said)
    assert ledger.scalar("SELECT max(version) FROM budget_versions") == 1


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE budget_spend SET spend = spend + 1",
        "UPDATE budget_spend SET requests = requests + 1",
        "UPDATE budget_spend SET period_start = period_start + 1",
        "DELETE FROM budget_spend",
        "INSERT INTO budget_spend VALUES (77, '2026-11-01', 'openai', 0, 1, 0)",
    ],
)
def test_the_audit_finds_what_is_wrong_and_a_rebuild_repairs_it(database: str, damage: str) -> None:
    budgets.add("all")
    write()
    ledger.roll()
    before = budgets.spent()
    ledger.run_as("spendbeat_writer", damage)
    wrong = ledger.verify().mismatches
    assert wrong
    assert {m.table for m in wrong} == {"budgets"}
    with transaction() as session:
        rebuild.shard(session, "openai")
    assert budgets.spent() == before
    assert budgets.agrees()


def test_a_rebuild_counts_what_was_waiting_in_budgets_too(database: str) -> None:
    budgets.add("all")
    write()
    write(provider="other")
    ledger.roll()
    write(4)
    ledger.tick()
    with transaction() as session:
        rebuild.shard(session, "openai")
    assert budgets.dollars("all") == 6
    assert budgets.agrees()
    assert ledger.roll() == 0


def test_budgets_of_one_scope_share_what_is_matched(database: str) -> None:
    for number in range(5):
        budgets.add(f"b{number}", scope={"project": "shop"}, hard_limit=number + 1)
    budgets.add("daily", scope={"project": "shop"}, period="day")
    assert ledger.scalar("SELECT count(*) FROM budget_queries") == 2


def test_a_budget_is_found_by_the_key_that_fewest_others_have(database: str) -> None:
    """Else 10,000 budgets of one organization would be looked at for each of its rows."""
    for number in range(5):
        budgets.add(f"b{number}", scope={"organization": "acme", "user_id": f"u{number}"})
    anchors = ledger.scalar("SELECT array_agg(DISTINCT anchor) FROM budget_queries")
    assert "organization=acme" not in anchors[1:]
    assert len(anchors) >= 4
