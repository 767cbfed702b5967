"""What people do with alerts, and what becomes of those that nobody does anything with."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import jsonschema
import pytest

from spend.alerts import states
from spend.alerts.alert import Alert
from spend.delivery import outbox, webhook
from spend.delivery.outcome import Message, Outcome
from spend.errors import BadInputError
from tests.support import alerts, budgets, outboxes
from tests.support.programs import ROOT
from worker.database import transaction

NOW = datetime.now(UTC)


def crossed(threshold: str = "100%") -> Alert:
    """A budget that was just crossed, told to the channels that there are."""
    budgets.add("shop", period="total", thresholds=[threshold])
    alerts.spend(100, NOW)
    (alert,) = alerts.told(NOW)
    return alert


def do(what: Any, alert: Alert, **said: Any) -> Any:
    with transaction() as session:
        return what(session, alert.id, **{"by": "ann", "now": NOW, **said})


def types() -> list[tuple[str, str]]:
    return [(message["type"], message["body"]["alert"]["state"]) for message in alerts.messages()]


def changes(alert: Alert) -> list[tuple[str, str, str]]:
    return [(change.change, change.by, change.note) for change in alerts.history(alert.id)]


def test_an_alert_that_nobody_acknowledges_escalates_once(database: str) -> None:
    ops, boss, other = (outboxes.channel(name) for name in ("ops", "boss", "other"))
    alert = crossed("100%,channel=ops,escalate=30m,escalate-to=boss")
    alerts.check(NOW + timedelta(minutes=29, seconds=59))
    assert types() == [("budget.crossed", "open")]
    alerts.check(NOW + timedelta(minutes=30))
    alerts.check(NOW + timedelta(days=2))
    sent = [(m["type"], m["channel_id"]) for m in alerts.messages()]
    assert sorted(sent) == [
        ("budget.crossed", ops), ("budget.escalated", ops), ("budget.escalated", boss),
    ]  # fmt: skip
    assert other not in {channel for _, channel in sent}
    assert "Nobody acknowledged it in 30 minutes" in alerts.messages()[-1]["body"]["text"]
    assert [change for change, _, _ in changes(alert)] == ["raised", "escalated"]


def test_one_that_is_acknowledged_does_not(database: str) -> None:
    outboxes.channel()
    alert = crossed("100%,escalate=30m")
    found = do(states.acknowledge, alert, note="on it")
    assert (found.state, found.state_by, found.state_note) == ("acknowledged", "ann", "on it")
    alerts.check(NOW + timedelta(days=1))
    assert types() == [("budget.crossed", "open")]
    assert changes(alert) == [("raised", "", ""), ("acknowledged", "ann", "on it")]


def test_an_escalated_one_can_still_be_acknowledged(database: str) -> None:
    alert = crossed("100%,escalate=1m")
    alerts.check(NOW + timedelta(minutes=1))
    assert do(states.acknowledge, alert, note="").state == "acknowledged"


def test_a_snooze_ends_with_a_reminder_and_escalates_later(database: str) -> None:
    outboxes.channel()
    alert = crossed("100%,escalate=30m")
    until = NOW + timedelta(hours=4)
    found = do(states.snooze, alert, until=until, note="")
    assert (found.state, found.snoozed_until) == ("snoozed", until)
    alerts.check(until - timedelta(seconds=1))
    assert types() == [("budget.crossed", "open")]
    alerts.check(until)
    assert types()[1:] == [("budget.reminder", "open")]
    alerts.check(until + timedelta(minutes=30))
    assert types()[2:] == [("budget.escalated", "escalated")]
    assert [change for change, _, _ in changes(alert)] == [
        "raised", "snoozed", "snooze_ended", "escalated",
    ]  # fmt: skip


def test_a_resolved_one_stays_so_though_its_line_is_still_reached(database: str) -> None:
    outboxes.channel()
    alert = crossed("100%,escalate=30m")
    assert do(states.resolve, alert, note="stopped").resolution == "by_hand"
    alerts.spend(5, NOW)
    alerts.check(NOW + timedelta(hours=1))
    assert [(a.state, a.resolution) for a in alerts.told()] == [("resolved", "by_hand")]
    assert types() == [("budget.crossed", "open")]
    assert do(states.resolve, alert, note="again").state_note == "stopped"
    with pytest.raises(BadInputError, match=r"is resolved \(by_hand\) and stays so"):
        do(states.acknowledge, alert, note="")


def test_alerts_of_a_paused_budget_wait(database: str) -> None:
    outboxes.channel()
    crossed("100%,escalate=30m")
    budgets.set_state("shop", "paused")
    alerts.check(NOW + timedelta(hours=1))
    assert types() == [("budget.crossed", "open")]
    budgets.set_state("shop", "resumed")
    alerts.check(NOW + timedelta(hours=1))
    assert types()[1:] == [("budget.escalated", "escalated")]


@pytest.mark.parametrize("days", [-1, 0, 91])
def test_a_snooze_ends_within_three_months(database: str, days: int) -> None:
    with pytest.raises(BadInputError, match="is not a moment of the next 90 days"):
        do(states.snooze, crossed(), until=NOW + timedelta(days=days), note="")


def test_an_alert_that_is_not_there_is_named(database: str) -> None:
    with transaction() as session, pytest.raises(BadInputError, match="There is no alert 99"):
        states.resolve(session, 99, by="ann", note="", now=NOW)
    with transaction() as session, pytest.raises(BadInputError, match="no alert 99999999999"):
        states.resolve(session, 99999999999, by="ann", note="", now=NOW)


def deliver(alert: Alert) -> None:
    """All that waits is taken by its receivers."""
    with transaction() as session:
        for message in alerts.messages():
            due = outbox.head(session, message["lane"])
            assert due is not None
            outbox.record(session, due, NOW, Outcome("delivered", "accepted", 200))
            outbox.delivered(session, due, "accepted")


def test_a_replay_sends_the_same_message_again(database: str) -> None:
    outboxes.channel()
    alert = crossed()
    (before,) = alerts.messages()
    assert do(states.replay, alert) == 0  # it waits already
    deliver(alert)
    assert do(states.replay, alert) == 1
    (after,) = alerts.messages()
    assert after["id"] == before["id"]
    with transaction() as session:
        assert outbox.head(session, after["lane"]) is not None
    assert changes(alert)[-1] == ("replayed", "ann", "")


def test_a_replay_to_a_channel_that_never_had_it(database: str) -> None:
    alert = crossed()
    assert alerts.messages() == []
    new = outboxes.channel("new")
    assert do(states.replay, alert, channel="new") == 1
    (message,) = alerts.messages()
    assert (message["channel_id"], message["type"]) == (new, "budget.crossed")
    assert message["body"]["alert"]["id"] == alert.id
    with pytest.raises(BadInputError, match="other"):
        do(states.replay, alert, channel="other")


def test_every_message_about_an_alert_fits_the_schema(database: str) -> None:
    schema = json.loads((ROOT / "docs/schemas/webhook-1.schema.json").read_text())
    outboxes.channel()
    budgets.add("month", thresholds=["100%,forecast,escalate=30m", "80%"])
    mine = budgets.attribution(project="shop", agent="writer")
    middle = NOW.replace(day=15)
    for day in range(20):
        alerts.spend(5, middle - timedelta(days=day), attribution_id=mine)
    alerts.spend(60, middle)
    (forecast, actual) = sorted(alerts.told(middle), key=lambda alert: alert.basis, reverse=True)
    assert (forecast.basis, actual.basis) == ("forecast", "actual")
    do(states.snooze, actual, until=middle + timedelta(minutes=5), note="", now=middle)
    alerts.check(middle + timedelta(minutes=30))
    sent = alerts.messages()
    assert {message["type"] for message in sent} == {
        "budget.crossed", "budget.escalated", "budget.reminder",
    }  # fmt: skip
    for message in sent:
        leaving = webhook.payload(Message("msg_1", NOW, message["type"], message["body"]))
        jsonschema.validate(json.loads(leaving), schema)
        for missing in ("alert", "spend", "period"):
            found = json.loads(leaving)
            del found["data"][missing]
            with pytest.raises(jsonschema.ValidationError, match=missing):
                jsonschema.validate(found, schema)


@pytest.mark.parametrize("acknowledged", [False, True])
def test_one_that_fell_below_and_opened_again_escalates_unless_somebody_knew(
    database: str, acknowledged: bool
) -> None:
    outboxes.channel()
    alert = crossed("100%,escalate=30m")
    if acknowledged:
        do(states.acknowledge, alert, note="")
    alerts.spend(-5, NOW)
    alerts.check(NOW + timedelta(minutes=10))
    alerts.spend(5, NOW)
    alerts.check(NOW + timedelta(minutes=20))
    assert types() == [("budget.crossed", "open")]
    for minutes in (49, 50, 500):
        alerts.check(NOW + timedelta(minutes=minutes))
    escalated = [("budget.escalated", "escalated")]
    assert types()[1:] == ([] if acknowledged else escalated)
