"""A crossing is told once, whyever somebody looks, and an alert ends when it is over."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import text

from spend import rebuild
from spend.alerts import checks
from tests.support import alerts, budgets, ledger, outboxes
from worker.database import transaction

# Budgets are made now, so the periods that tell anything are those around now.
NOW = datetime.now(UTC).replace(day=15, hour=12, minute=0, second=0, microsecond=0)
AT = NOW - timedelta(hours=1)


@pytest.fixture(autouse=True)
def _armed_long_ago(database: str) -> None:
    """Budgets of these tests were made at the beginning of the month before."""
    armed = (NOW.replace(day=1) - timedelta(days=20)).isoformat()
    with transaction("spendbeat_owner") as session:
        session.execute(text(f"ALTER TABLE budgets ALTER armed_at SET DEFAULT '{armed}'"))


def test_a_threshold_is_told_when_it_is_reached_and_not_before() -> None:
    channel = outboxes.channel()
    budgets.add("shop", hard_limit=100, thresholds=["80%,critical"])
    alerts.spend("79.999999999999", AT)
    assert alerts.told(NOW) == []
    alerts.spend("0.000000000001", AT)
    (alert,) = alerts.told(NOW)
    assert (alert.budget, alert.threshold, alert.line, alert.spend) == ("shop", "80%", 80, 80)
    assert (alert.severity, alert.state, alert.limit) == ("critical", "open", 100)
    (message,) = alerts.messages()
    assert message["type"] == "budget.crossed"
    assert message["lane"] == f"budget:{alert.budget_id}/channel:{channel}"
    assert message["body"]["alert"]["id"] == alert.id
    assert [change.change for change in alerts.history(alert.id)] == ["raised"]


def test_a_jump_over_several_lists_all_in_each() -> None:
    outboxes.channel()
    budgets.add("shop", thresholds=["80%", "50%", "100%", "120%"])
    alerts.spend(105, AT)
    found = alerts.told(NOW)
    assert [alert.threshold for alert in found] == ["50%", "80%", "100%"]
    assert {alert.together for alert in found} == {("50%", "80%", "100%")}
    said = [message["body"] for message in alerts.messages()]
    assert [body["alert"]["threshold"] for body in said] == ["50%", "80%", "100%"]
    assert all("50%, 80%, 100%" in body["text"] for body in said)


def test_two_shards_that_are_each_below_the_line_are_over_it_together() -> None:
    budgets.add("shop", thresholds=["100%"])
    alerts.spend(60, AT, provider="openai")
    alerts.check(NOW)
    alerts.spend(60, AT, provider="anthropic", model="claude")
    assert alerts.names(NOW) == [("shop", "100%", "open")]


def test_spend_that_oscillates_around_the_line_is_one_alert() -> None:
    outboxes.channel()
    budgets.add("shop", thresholds=["100%"])
    alerts.spend(100, AT)
    assert alerts.names(NOW) == [("shop", "100%", "open")]
    for dollars, state in ((-5, "resolved"), (5, "open"), (-5, "resolved"), (5, "open")):
        alerts.spend(dollars, AT)
        assert alerts.names(NOW) == [("shop", "100%", state)]
    (alert,) = alerts.told()
    assert [change.change for change in alerts.history(alert.id)] == [
        "raised", "resolved", "reopened", "resolved", "reopened",
    ]  # fmt: skip
    assert len(alerts.messages()) == 1


def test_an_edit_of_the_limit_arms_again_and_another_name_does_not() -> None:
    budgets.add("shop", thresholds=["80%"])
    alerts.spend(85, AT)
    assert alerts.names(NOW) == [("shop", "80%", "open")]
    budgets.edit("shop", name="store")
    assert alerts.names(NOW) == [("store", "80%", "open")]
    budgets.edit("store", hard_limit=200)
    assert alerts.names(NOW) == [("store", "80%", "resolved")]
    assert alerts.told()[0].resolution == "edited"
    budgets.edit("store", hard_limit=100)
    assert alerts.names(NOW) == [("store", "80%", "resolved"), ("store", "80%", "open")]


def test_a_threshold_that_is_added_is_told_alone() -> None:
    budgets.add("shop", thresholds=["80%"])
    alerts.spend(85, AT)
    alerts.check(NOW)
    budgets.edit("shop", thresholds=["50%", "80%"])
    assert alerts.names(NOW) == [("shop", "80%", "open"), ("shop", "50%", "open")]
    budgets.edit("shop", thresholds=["50%"])
    assert alerts.names(NOW) == [("shop", "80%", "resolved"), ("shop", "50%", "open")]


def test_a_new_budget_tells_of_this_period_and_not_of_those_before_it() -> None:
    alerts.spend(500, AT)
    alerts.spend(500, NOW.replace(day=1) - timedelta(days=3))
    with transaction("spendbeat_owner") as session:
        session.execute(text("ALTER TABLE budgets ALTER armed_at SET DEFAULT now()"))
    budgets.add("shop", thresholds=["100%"])
    later = max(NOW, datetime.now(UTC))
    assert [(a.threshold, a.period.first) for a in alerts.told(later)] == [
        ("100%", later.date().replace(day=1))
    ]


def test_an_edit_arms_the_current_period_and_none_that_is_over() -> None:
    budgets.add("shop", period="day", thresholds=["100%"])
    alerts.spend(10, AT)
    alerts.check(NOW)
    tomorrow = NOW + timedelta(days=1)
    with transaction("spendbeat_owner") as session:
        session.execute(text(f"CREATE FUNCTION at_last() RETURNS trigger LANGUAGE plpgsql AS"
            f" 'BEGIN NEW.armed_at = ''{tomorrow.isoformat()}''; RETURN NEW; END';"
            " CREATE TRIGGER at_last BEFORE UPDATE ON budgets FOR EACH ROW"
            " EXECUTE FUNCTION at_last()"))  # fmt: skip
    budgets.edit("shop", hard_limit=50)
    alerts.check(tomorrow)
    alerts.spend(90, AT)
    assert alerts.told(tomorrow) == []
    alerts.spend(50, tomorrow)
    assert [alert.period.first for alert in alerts.told(tomorrow)] == [tomorrow.date()]


def test_a_raise_counts_while_it_holds_and_its_end_is_told_without_new_rows() -> None:
    until = NOW + timedelta(days=2)
    budgets.add("shop", thresholds=["100%"], **{"raise": {"by": 50, "until": until.isoformat()}})
    alerts.spend(120, AT)
    assert alerts.told(NOW) == []
    assert alerts.told(until - timedelta(seconds=1)) == []
    assert alerts.names(until) == [("shop", "100%", "open")]
    assert alerts.told()[0].limit == 100


def test_the_end_of_a_period_resolves_and_the_next_one_tells_anew() -> None:
    budgets.add("shop", period="day", thresholds=["100%"])
    alerts.spend(100, AT)
    assert alerts.names(NOW) == [("shop", "100%", "open")]
    midnight = NOW.replace(hour=0) + timedelta(days=1)
    assert alerts.names(midnight - timedelta(seconds=1)) == [("shop", "100%", "open")]
    assert alerts.names(midnight) == [("shop", "100%", "resolved")]
    assert alerts.told()[0].resolution == "period_over"
    alerts.spend(100, midnight)
    assert alerts.names(midnight + timedelta(hours=1)) == [
        ("shop", "100%", "resolved"), ("shop", "100%", "open"),
    ]  # fmt: skip


def test_rows_that_come_after_the_end_of_their_period_are_told_for_a_week() -> None:
    budgets.add("shop", period="day", thresholds=["50%", "100%"])
    alerts.spend(10, AT)
    alerts.check(NOW)
    ends = NOW.replace(hour=0) + timedelta(days=1)
    alerts.spend(50, AT)
    late = ends + timedelta(days=2, hours=5)
    assert alerts.names(late) == [("shop", "50%", "open")]
    assert alerts.names(late + timedelta(hours=23)) == [("shop", "50%", "open")]
    assert alerts.names(late + timedelta(hours=24)) == [("shop", "50%", "resolved")]
    alerts.check(ends + timedelta(days=7))
    alerts.spend(50, AT)
    assert alerts.names(ends + timedelta(days=7)) == [("shop", "50%", "resolved")]


def test_a_paused_budget_tells_nobody_and_then_what_was_crossed_meanwhile() -> None:
    outboxes.channel()
    budgets.add("shop", thresholds=["50%", "100%"])
    alerts.spend(60, AT)
    alerts.check(NOW)
    budgets.set_state("shop", "paused")
    alerts.spend(60, AT)
    assert alerts.names(NOW) == [("shop", "50%", "open")]
    budgets.set_state("shop", "resumed")
    assert alerts.names(NOW) == [("shop", "50%", "open"), ("shop", "100%", "open")]
    budgets.set_state("shop", "removed")
    assert {alert.resolution for alert in alerts.told(NOW)} == {"removed"}
    assert len(alerts.messages()) == 2


def test_the_soft_limit_is_a_line_of_its_own() -> None:
    budgets.add("shop", soft_limit=70, thresholds=["80%", "100%"])
    budgets.add("same", soft_limit=80, thresholds=["80%"])
    budgets.add("quiet", soft_limit=70, thresholds=None)
    alerts.spend(75, AT)
    assert alerts.names(NOW) == [("shop", "soft", "open")]
    alerts.spend(5, AT)
    assert alerts.names(NOW)[1:] == [("shop", "80%", "open"), ("same", "80%", "open")]


def test_channels_of_the_threshold_or_else_every_active_one() -> None:
    ops, boss, off = (outboxes.channel(name) for name in ("ops", "boss", "off"))
    budgets.add("shop", thresholds=["50%,channel=boss", "80%"])
    with transaction() as session:
        session.execute(text("UPDATE channels SET state = 'disabled' WHERE id = :id"), {"id": off})
    alerts.spend(90, AT)
    alerts.check(NOW)
    sent = [(m["body"]["alert"]["threshold"], m["channel_id"]) for m in alerts.messages()]
    assert sorted(sent) == [("50%", boss), ("80%", ops), ("80%", boss)]


def test_a_channel_that_was_removed_leaves_the_others() -> None:
    ops, boss = outboxes.channel("ops"), outboxes.channel("boss")
    budgets.add("shop", thresholds=["50%,channel=boss"])
    with transaction() as session:
        session.execute(text("UPDATE channels SET state = 'removed' WHERE id = :id"), {"id": boss})
    alerts.spend(90, AT)
    alerts.check(NOW)
    assert [message["channel_id"] for message in alerts.messages()] == [ops]


def test_the_most_of_spend_is_named() -> None:
    outboxes.channel()
    shop = budgets.attribution(project="shop", agent="writer")
    budgets.add("all", thresholds=["100%"])
    budgets.add("shop", scope={"project": "shop"}, thresholds=["100%"])
    budgets.add("today", period="day", thresholds=["100%"])
    alerts.spend(5, AT - timedelta(days=3), model="of another day")
    alerts.spend(70, AT, attribution_id=shop, model="gpt-4o")
    alerts.spend(40, AT, attribution_id=shop, model="o3")
    alerts.spend(30, AT, provider="local", model="llama")
    alerts.spend(900, NOW.replace(day=1) - timedelta(days=1), model="of another month")
    found = {alert.budget: alert.contributors for alert in alerts.told(NOW)}
    assert found["all"] == {
        "project": [("shop", 110), (None, 35)],
        "agent": [("writer", 110), (None, 35)],
        "model": [("gpt-4o", 70), ("o3", 40), ("llama", 30)],
    }
    assert found["today"]["project"] == [("shop", 110), (None, 30)]
    assert found["shop"]["model"] == [("gpt-4o", 70), ("o3", 40)]
    said = alerts.messages()[0]["body"]
    assert "Most by model: gpt-4o $70.00, o3 $40.00, llama $30.00." in said["text"]


def test_unpriced_requests_are_told_with_the_spend() -> None:
    outboxes.channel()
    budgets.add("shop", thresholds=["100%"])
    with transaction() as session:
        ledger.add(session, cost_usd=None, started_at=AT)
    alerts.spend(100, AT)
    (alert,) = alerts.told(NOW)
    assert alert.unpriced == 1
    body = alerts.messages()[0]["body"]
    assert body["unpriced"] == 1
    assert "at least $100.00 of $100.00 (100 %), 1 requests unpriced" in body["text"]


def test_a_forecast_is_told_once_it_reaches_the_line() -> None:
    outboxes.channel()
    budgets.add("month", hard_limit=100, thresholds=["100%,forecast"])
    first = NOW - timedelta(days=28)
    with transaction() as session:
        for day in range(28):
            ledger.add(session, cost_usd=Decimal(5), started_at=first + timedelta(days=day))
    ledger.roll()
    (alert,) = alerts.told(NOW)
    assert (alert.basis, alert.state, alert.limit) == ("forecast", "open", 100)
    assert alert.spend < 100 <= alert.forecast[0]
    assert alert.forecast[1] <= alert.forecast[0] <= alert.forecast[2]
    (message,) = alerts.messages()
    assert "is forecast to reach 100%" in message["body"]["title"]
    assert Decimal(message["body"]["forecast"]["expected"]) >= 100


def test_a_forecast_falls_with_time_alone() -> None:
    budgets.add("month", hard_limit=130, thresholds=["100%,forecast"])
    first = NOW - timedelta(days=28)
    with transaction() as session:
        for day in range(28):
            ledger.add(session, cost_usd=Decimal(5), started_at=first + timedelta(days=day))
    ledger.roll()
    assert alerts.names(NOW) == [("month", "100%", "open")]
    quiet = NOW + timedelta(days=9)
    assert alerts.names(quiet) == [("month", "100%", "resolved")]
    assert alerts.told()[0].resolution == "below"


def test_a_check_that_dies_leaves_everything_to_the_next() -> None:
    outboxes.channel()
    budgets.add("shop", thresholds=["100%"])
    alerts.check(NOW)
    alerts.spend(100, AT)
    with transaction() as session:
        assert checks.check(session, "openai", NOW).judged.raised == 1
        session.rollback()
    assert alerts.told() == []
    assert alerts.messages() == []
    assert alerts.names(NOW) == [("shop", "100%", "open")]
    assert len(alerts.messages()) == 1


def test_a_check_of_nothing_new_looks_at_nothing() -> None:
    """It follows what changed: a verdict says how far it holds."""
    for number in range(5):
        budgets.add(f"b{number}", thresholds=["50%", "100%"])
    alerts.check(NOW)
    looked = []
    for dollars in (10, 10, 30, 10, 39, 1):
        alerts.spend(dollars, AT)
        result = alerts.one(lambda session: checks.check(session, "openai", NOW))
        looked.append((result.judged.budgets, result.judged.raised))
    assert looked == [(0, 0), (0, 0), (5, 5), (0, 0), (0, 0), (5, 5)]


def test_news_of_a_shard_is_taken_by_one_check_at_a_time() -> None:
    budgets.add("shop", thresholds=["100%"])
    alerts.spend(100, AT)
    with transaction() as first:
        assert checks.check(first, "openai", NOW).judged.raised == 1
        with transaction() as second:
            assert checks.check(second, "openai", NOW).outcome == "busy"


def test_what_a_rebuild_corrects_is_found_by_the_review() -> None:
    budgets.add("shop", thresholds=["100%"])
    alerts.spend(100, AT)
    with transaction("spendbeat_owner") as session:
        session.execute(text("UPDATE budget_spend SET spend = 1"))
    assert alerts.told(NOW) == []
    with transaction() as session:
        rebuild.shard(session, "openai")
    assert alerts.told(NOW) == []
    alerts.one(lambda session: checks.review(session, NOW))
    assert alerts.names() == [("shop", "100%", "open")]


def test_more_budgets_than_one_check_looks_at_are_all_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(checks, "BUDGETS_AT_ONCE", 3)
    for number in range(10):
        budgets.add(f"b{number}", thresholds=["100%"])
    alerts.check(NOW)
    alerts.spend(Decimal(100), AT)
    results = []
    while alerts.one(lambda session: checks.check(session, "openai", NOW)).more:
        results.append(len(alerts.told()))
    assert results == [3, 6, 9]
    assert len(alerts.told()) == 10


def test_a_range_is_watched_from_its_first_day() -> None:
    first = (NOW + timedelta(days=2)).date()
    last = first + timedelta(days=5)
    budgets.add(
        "launch", period="range", thresholds=["100%"], **{"from": str(first), "to": str(last)}
    )
    alerts.spend(100, AT)
    assert alerts.told(NOW) == []
    alerts.spend(100, datetime(first.year, first.month, first.day, 1, tzinfo=UTC))
    assert alerts.told(NOW) == []
    assert alerts.names(NOW + timedelta(days=3)) == [("launch", "100%", "open")]
    assert alerts.names(NOW + timedelta(days=30)) == [("launch", "100%", "resolved")]


def test_all_of_time_has_no_end() -> None:
    budgets.add("ever", period="total", thresholds=["100%"])
    alerts.spend(60, NOW - timedelta(days=300))
    alerts.spend(60, AT)
    assert alerts.names(NOW) == [("ever", "100%", "open")]
    assert alerts.names(NOW + timedelta(days=900)) == [("ever", "100%", "open")]


def test_a_crossing_that_was_compared_with_an_older_verdict_is_found_after_the_commit() -> None:
    """A raise ends in one transaction while another one takes the news of a batch."""
    until = NOW + timedelta(hours=1)
    budgets.add("shop", thresholds=["100%"], **{"raise": {"by": 50, "until": until.isoformat()}})
    alerts.spend(90, AT)
    alerts.check(NOW)
    with transaction() as due:
        looked = checks.check_due(due, until)
        assert looked.judged.budgets == 1
        alerts.spend(20, AT)
        passed = alerts.one(lambda session: checks.check(session, "openai", until))
        assert passed.judged.budgets == 0
    assert alerts.told() == []
    alerts.one(lambda session: checks.review(session, until, looked.looked))
    assert alerts.names() == [("shop", "100%", "open")]


def test_a_budget_that_cannot_be_judged_silences_no_other() -> None:
    """A zone that Python's list of zones has no more, though Postgres' has."""
    outboxes.channel()
    for name in ("a", "lost", "z"):
        budgets.add(name, thresholds=["50%,escalate=30m", "100%"])
    alerts.spend(60, AT)
    assert alerts.names(NOW) == [(name, "50%", "open") for name in ("a", "lost", "z")]
    lost = "UPDATE budget_versions SET zone = :zone WHERE name = 'lost'"
    with transaction("spendbeat_owner") as session:
        session.execute(text(lost), {"zone": "Atlantis/Poseidonis"})
    alerts.spend(50, AT)
    found = alerts.one(lambda session: checks.check(session, "openai", NOW))
    assert (found.judged.raised, len(found.judged.failed)) == (2, 1)
    assert "Atlantis/Poseidonis" in found.judged.failed[0]
    # It is not tried again with every batch, and what is open still escalates.
    alerts.spend(1, AT)
    assert alerts.one(lambda session: checks.check(session, "openai", NOW)).judged.failed == ()
    half = alerts.names(NOW + timedelta(minutes=30), states=["escalated"])
    assert [name for name, _, _ in half] == ["a", "lost", "z"]
    with transaction("spendbeat_owner") as session:
        session.execute(text(lost), {"zone": "UTC"})
    assert ("lost", "100%", "open") in alerts.names(NOW + timedelta(hours=1))


def test_a_line_beyond_all_that_can_be_spent_keeps_nothing_from_being_told() -> None:
    budgets.add("far", hard_limit="999999999999", thresholds=["999999999999%", "0.0001%"])
    budgets.add("near", thresholds=["100%"])
    alerts.spend(1_000_000, AT)
    assert alerts.names(NOW) == [("far", "0.0001%", "open"), ("near", "100%", "open")]
    assert next(alert.line for alert in alerts.told() if alert.budget == "far") == Decimal(
        "999999.999999"
    )


def test_a_period_at_which_nobody_looked_in_its_time_is_told_for_a_week_too() -> None:
    """All was down for two days, and time rings before the news of what came late."""
    budgets.add("shop", period="day", thresholds=["100%"])
    alerts.check(NOW)
    later = NOW + timedelta(days=3)
    alerts.spend(100, NOW + timedelta(days=1))
    alerts.one(lambda session: checks.check_due(session, later))
    assert [alert.period.first for alert in alerts.told(later)] == [
        (NOW + timedelta(days=1)).date()
    ]


def test_a_period_that_ended_while_its_budget_was_paused_is_told_when_it_is_resumed() -> None:
    budgets.add("shop", period="day", thresholds=["100%"])
    alerts.check(NOW)
    budgets.set_state("shop", "paused")
    alerts.check(NOW)
    alerts.spend(100, NOW + timedelta(days=1))
    later = NOW + timedelta(days=2)
    alerts.check(later)
    budgets.set_state("shop", "resumed")
    assert [alert.period.first for alert in alerts.told(later)] == [
        (NOW + timedelta(days=1)).date()
    ]


@pytest.mark.parametrize("kind", ["day", "range"])
def test_what_is_told_last_of_a_period_is_over_a_day_later(kind: str) -> None:
    """Though the period is not watched any more by then."""
    ends = NOW.replace(hour=0) + timedelta(days=1)
    dates = {"from": str(NOW.date()), "to": str(ends.date())} if kind == "range" else {}
    budgets.add("shop", period=kind, thresholds=["100%"], **dates)
    alerts.check(NOW)
    last = ends + timedelta(days=6, hours=23, minutes=50)
    alerts.check(last)
    alerts.spend(100, AT)
    assert alerts.names(last) == [("shop", "100%", "open")]
    alerts.check(ends + timedelta(days=7))
    assert alerts.names(last + timedelta(hours=24)) == [("shop", "100%", "resolved")]


def test_what_requests_say_of_themselves_is_one_line_of_a_message() -> None:
    outboxes.channel()
    budgets.add("shop", thresholds=["100%"])
    forged = "a\x1b[2J\nSpent: nothing" + "a" * 200
    alerts.spend(100, AT, attribution_id=budgets.attribution(project=forged))
    alerts.check(NOW)
    (line,) = [
        line
        for line in alerts.messages()[0]["body"]["text"].split("\n")
        if line.startswith("Most by project: a [2J Spent: nothingaaa")
    ]
    assert len(line) < 120
