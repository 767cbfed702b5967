"""Alerts: those that wait for somebody, all of them, and one with what became of it."""

from models import ALERT_STATES
from spend.alerts import listing
from spend.budgets.definition import SEVERITIES
from spend.errors import UnknownError
from web import asking
from web.calls import Call
from web.dashboard.rendering import Page

_MOST = 50
_MOST_DIGITS = 9


def listed(call: Call) -> Page:
    """A page of alerts, the newest first; those that are not resolved, unless asked otherwise."""
    states = asking.choices(call, "state", ALERT_STATES)
    severities = asking.choices(call, "severity", SEVERITIES)
    everything = asking.flag(call, "all")
    after = asking.place(call)
    with call.looking() as session:
        found = listing.alerts(
            session,
            states=states or (None if everything else listing.LIVE),
            severities=severities or None,
            before=after and after[1],
            most=_MOST + 1,
        )
        counted = session.info.get("counted")
    shown = found[:_MOST]
    said = {
        "alerts": shown,
        "states": states,
        "severities": severities,
        "all": everything,
        "following": asking.next_place("", shown[-1].id) if len(found) > _MOST else None,
        "counted": counted,
        "may_change": "alerts" in call.scopes,
        "paged": after is not None,
    }
    return Page("alerts.html", said)


def one(call: Call) -> Page:
    """One alert. Raises UnknownError."""
    said = call.path["id"]
    if not (said.isascii() and said.isdigit() and len(said) <= _MOST_DIGITS):
        raise UnknownError(f"There is no alert {said!r:.60}.")
    with call.looking() as session:
        alert = listing.find(session, int(said))
        history = listing.history(session, alert.id)
        counted = session.info.get("counted")
    return Page(
        "alert.html",
        {
            "alert": alert,
            "history": history,
            "counted": counted,
            "may_change": "alerts" in call.scopes,
        },
    )
