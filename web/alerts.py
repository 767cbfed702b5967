"""Alerts: found, acknowledged, snoozed, resolved, and sent again."""

from datetime import UTC, datetime, timedelta

from fastapi import APIRouter

from models import ALERT_STATES
from spend.alerts import listing, states
from spend.budgets import lookup
from spend.budgets.definition import SEVERITIES
from spend.errors import BadInputError, UnknownError
from spend.lengths import length
from web import asking
from web.calls import Answer, Call, Calls, Door
from web.described import alerts as described
from worker import bell

_LOOK = ("read", "alerts")
_CHANGE = ("alerts",)
_LONGEST = timedelta(days=90)
_MOST_DIGITS = 9


def listed(call: Call) -> Answer:
    """A page of alerts, the newest first; those that are not resolved, unless asked otherwise."""
    asking.only(call, "limit", "after", "state", "severity", "budget", "all")
    most = asking.count(call)
    wanted = asking.choices(call, "state", ALERT_STATES)
    severities = asking.choices(call, "severity", SEVERITIES)
    budget = call.query.get("budget")
    after = asking.place(call)
    if not wanted and not asking.flag(call, "all"):
        wanted = list(listing.LIVE)
    with call.looking() as session:
        found = listing.alerts(
            session,
            states=wanted or None,
            severities=severities or None,
            budget_id=None if budget is None else lookup.find(session, budget, removed=True).id,
            before=after and after[1],
            most=most + 1,
        )
    page = found[:most]
    following = asking.next_place("", page[-1].id) if len(found) > most else None
    return Answer({"alerts": [listing.as_json(alert) for alert in page], "next": following})


def shown(call: Call) -> Answer:
    """One alert: what was spent, where it came from, and what became of it."""
    asking.only(call)
    with call.looking() as session:
        alert = listing.find(session, _id(call))
        history = listing.history(session, alert.id)
    changes = [listing.change_as_json(change) for change in history]
    return Answer({**listing.as_json(alert), "history": changes})


def acknowledge(call: Call) -> Answer:
    """Somebody is at it: it does not escalate."""
    asking.only(call)
    note = asking.fields(call, "note").get("note", "")
    with call.changing() as session:
        alert = states.acknowledge(session, _id(call), by=call.by, note=note, now=_now())
    bell.ring()
    return Answer(listing.as_json(alert))


def snooze(call: Call) -> Answer:
    """Keep quiet for a while; then it is open again, and told once more."""
    asking.only(call)
    said = asking.fields(call, "for", "until", "note")
    now = _now()
    until = _until(said, now)
    with call.changing() as session:
        alert = states.snooze(
            session, _id(call), until=until, by=call.by, note=said.get("note", ""), now=now
        )
    bell.ring()
    return Answer(listing.as_json(alert))


def resolve(call: Call) -> Answer:
    """It is dealt with. The same threshold is not told again in this period."""
    asking.only(call)
    note = asking.fields(call, "note").get("note", "")
    with call.changing() as session:
        alert = states.resolve(session, _id(call), by=call.by, note=note, now=_now())
    bell.ring()
    return Answer(listing.as_json(alert))


def replay(call: Call) -> Answer:
    """Send the messages about an alert again, with the same ids; with a channel only to that one,
    also when it never had it. Messages that wait already stay as they are.
    """
    asking.only(call)
    channel = asking.fields(call, "channel").get("channel")
    with call.changing() as session:
        again = states.replay(session, _id(call), by=call.by, now=_now(), channel=channel)
    bell.ring()
    return Answer({"again": again})


def _id(call: Call) -> int:
    said = call.path["id"]
    if not (said.isascii() and said.isdigit() and len(said) <= _MOST_DIGITS):
        raise UnknownError(f"There is no alert {said!r:.60}.")
    return int(said)


def _until(said: dict[str, str], now: datetime) -> datetime:
    if ("for" in said) == ("until" in said):
        raise BadInputError("Say either for, such as 4h, or until, a time with its offset.")
    if "for" in said:
        return now + length(said["for"], _LONGEST)
    try:
        until = datetime.fromisoformat(said["until"])
    except ValueError:
        until = None
    if until is None or until.tzinfo is None:
        raise BadInputError(
            f"until {said['until']!r:.60} is not a time with its offset, such as"
            " 2026-11-24T09:00:00+01:00."
        )
    return until


def _now() -> datetime:
    return datetime.now(UTC)


_ONE = "/alerts/{id}"
DOORS = (
    Door("GET", "/alerts", "List alerts", listed, _LOOK, extra=described.LIST),
    Door("GET", _ONE, "Show an alert", shown, _LOOK, extra=described.SHOW),
    Door(
        "POST", f"{_ONE}/ack", "Acknowledge an alert", acknowledge, _CHANGE, "change",
        extra=described.NOTED,
    ),
    Door(
        "POST", f"{_ONE}/snooze", "Snooze an alert", snooze, _CHANGE, "change",
        extra=described.SNOOZE,
    ),
    Door(
        "POST", f"{_ONE}/resolve", "Resolve an alert", resolve, _CHANGE, "change",
        extra=described.NOTED,
    ),
    Door(
        "POST", f"{_ONE}/replay", "Send an alert again", replay, _CHANGE, "change",
        extra=described.REPLAY,
    ),
)  # fmt: skip


def router(calls: Calls) -> APIRouter:
    """Routes under /alerts."""
    return calls.router(DOORS)
