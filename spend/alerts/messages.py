"""What channels are told about an alert: put into the outbox with the alert itself."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from operator import itemgetter
from typing import Any

from sqlalchemy.orm import Session

from spend import budgets
from spend.alerts import listing
from spend.alerts.alert import Alert, shown
from spend.alerts.lines import SOFT, lines
from spend.amounts import dollars, plain
from spend.budgets.definition import Budget
from spend.delivery import outbox, registry
from spend.delivery.channels import Channel
from spend.delivery.outcome import Message
from spend.sql import query

CROSSED = "budget.crossed"
ESCALATED = "budget.escalated"
REMINDER = "budget.reminder"
_CENT = Decimal("0.01")


def put(session: Session, told: Sequence[tuple[Alert, str]], at: datetime) -> int:
    """Tell of alerts, each with the type of its message; how many messages that makes.

    They are put in the order of their lanes, and as they come within one.
    """
    if not told:
        return 0
    ids = {alert.budget_id for alert, _ in told}
    found = {budget.id: budget for budget in budgets.load(session, ids, removed=True)}
    channels = registry.listed(session)
    wanted = []
    for alert, type_ in told:
        budget = found[alert.budget_id]
        body = _body(alert, budget, type_)
        for channel in _recipients(alert, budget, channels):
            message = Message(outbox.new_id(), at, type_, body)
            wanted.append((lane(alert, channel), channel.id, message))
    for where, channel_id, message in sorted(wanted, key=itemgetter(0)):
        outbox.put(session, lane=where, channel_id=channel_id, message=message)
    return len(wanted)


def replay(session: Session, alert: Alert, at: datetime, channel: str | None) -> int:
    """Send again what was sent about an alert and has ended, or to a channel that had nothing.

    How many messages leave. Raises BadInputError.
    """
    binds = {"budget_id": alert.budget_id, "alert": alert.id}
    sent = session.execute(query("alerts", "sent"), binds).all()
    fitting = [row for row in sent if channel in (None, row.channel)]
    if fitting:
        return outbox.replay(session, [row.id for row in fitting])
    if channel is None:
        return put(session, [(alert, CROSSED)], at)
    to = registry.named(session, channel)
    (budget,) = budgets.load(session, [alert.budget_id], removed=True)
    message = Message(outbox.new_id(), alert.raised_at, CROSSED, _body(alert, budget, CROSSED))
    outbox.put(session, lane=lane(alert, to), channel_id=to.id, message=message)
    return 1


def lane(alert: Alert, channel: Channel) -> str:
    """What is about one budget reaches a channel in order."""
    return f"budget:{alert.budget_id}/channel:{channel.id}"


def _recipients(alert: Alert, budget: Budget, channels: Iterable[Channel]) -> list[Channel]:
    """The channels of the threshold, or every active one where it names none that is there."""
    named: tuple[str, ...] = ()
    for line in lines(budget.definition, alert.raised_at):
        if (line.basis, line.threshold) == (alert.basis, alert.threshold):
            named = line.channels
    everyone = list(channels)
    found = [channel for channel in everyone if channel.name in named]
    if not found:
        found = [channel for channel in everyone if channel.state == "active"]
    if alert.state == "escalated":
        found += [c for c in everyone if c.name in alert.escalate_to and c not in found]
    return found


def _body(alert: Alert, budget: Budget, type_: str) -> dict[str, Any]:
    said = listing.as_json(alert)
    title, text = _words(alert, budget, type_)
    return {
        "version": 1,
        "title": title,
        "text": text,
        "budget": {
            "id": budget.id,
            "name": budget.name,
            "scope": dict(budget.definition.scope),
            "note": budget.definition.note,
        },
        "period": {"kind": budget.definition.period, **said["period"]},
        "alert": {
            name: said[name]
            for name in ("id", "basis", "threshold", "line", "severity", "state", "together",
                         "raised_at")
        },
        **{name: said[name] for name in ("spend", "unpriced", "limit", "percent", "forecast",
                                         "contributors")},
    }  # fmt: skip


def _words(alert: Alert, budget: Budget, type_: str) -> tuple[str, str]:
    """A headline, and the lines below it."""
    mark = {ESCALATED: "ESCALATED, ", REMINDER: "reminder, "}.get(type_, "")
    crossed = alert.threshold
    if not crossed.endswith("%"):
        crossed = "the soft limit" if crossed == SOFT else _dollars(alert.line)
    what = "is forecast to reach" if alert.basis == "forecast" else "reached"
    title = f"{mark}{alert.severity}: budget {budget.name} {what} {crossed}"
    said = [_spent(alert), f"Period: {_period(alert)}."]
    if alert.forecast is not None:
        expected, low, high = map(_dollars, alert.forecast)
        said.insert(1, f"Forecast for its end: {expected} ({low} to {high}).")
    if len(alert.together) > 1:
        said.append(f"Crossed together: {', '.join(alert.together)}.")
    for dimension, most in alert.contributors.items():
        if most:
            each = (f"{shown(value)} {_dollars(spend)}" for value, spend in most)
            said.append(f"Most by {dimension}: {', '.join(each)}.")
    if type_ == ESCALATED:
        said.append(f"Nobody acknowledged it in {alert.escalate_after} minutes.")
    said.append(f"Alert {alert.id}: 'spendbeat alerts ack {alert.id}' acknowledges it.")
    return title, "\n".join(said)


def _spent(alert: Alert) -> str:
    least = "at least " if alert.unpriced else ""
    text = f"Spent: {least}{_dollars(alert.spend)}"
    if alert.limit is not None:
        share = (alert.spend * 100 / alert.limit).quantize(Decimal("0.1"))
        text += f" of {_dollars(alert.limit)} ({plain(share)} %)"
    return text + (f", {alert.unpriced:,} requests unpriced." if alert.unpriced else ".")


def _period(alert: Alert) -> str:
    period = alert.period
    if period.end is None:
        return "all of time"
    last = period.end - timedelta(days=1)
    days = str(period.first) if last == period.first else f"{period.first} to {last}"
    return f"{days}, {alert.zone}"


def _dollars(amount: Decimal) -> str:
    """Whole cents; of less than a dollar all places."""
    return f"${dollars(amount.quantize(_CENT, ROUND_HALF_EVEN) if abs(amount) >= 1 else amount)}"
