"""The description of the routes under /alerts."""

from typing import get_args

from models import ALERT_STATES
from spend.alerts.alert import DIMENSIONS, Resolution
from spend.budgets.definition import BASES, SEVERITIES
from web import asking
from web.described.calls import (
    AFTER,
    AMOUNT,
    NEXT,
    NUMBER,
    TEXT,
    TIME,
    answer,
    body,
    flag,
    in_path,
    in_query,
    limit,
    maybe,
    optional,
    several,
    thing,
    told,
)

_STATE = {"type": "string", "enum": list(ALERT_STATES)}
_SEVERITY = {"type": "string", "enum": list(SEVERITIES)}
_MOST = several(
    thing("Contributor", value=maybe(TEXT, "null: requests without one."), spend=AMOUNT)
)
ALERT = thing(
    "Alert",
    id=NUMBER,
    budget_id=NUMBER,
    budget={**TEXT, "description": "Its name now."},
    period=thing(
        "AlertPeriod",
        first={**TEXT, "format": "date"},
        end=maybe({**TEXT, "format": "date"}, "The first day after it; null: all of time."),
        starts=maybe(TIME),
        ends=maybe(TIME),
        zone=TEXT,
    ),
    basis={"type": "string", "enum": list(BASES)},
    threshold={**TEXT, "description": "80%, 500, or soft for the soft limit."},
    line={**AMOUNT, "description": "Dollars that were reached."},
    severity=_SEVERITY,
    spend={**AMOUNT, "description": "When it was raised, like all the figures."},
    unpriced=NUMBER,
    limit=maybe(AMOUNT),
    percent=maybe(TEXT, "Of the limit."),
    forecast={
        **thing("AlertForecast", expected=AMOUNT, low=AMOUNT, high=AMOUNT),
        "type": ["object", "null"],
    },
    contributors={
        "type": "object",
        "properties": dict.fromkeys(DIMENSIONS, _MOST),
        "description": "Who spent most of it.",
    },
    together=several(TEXT, "All thresholds that were crossed at once."),
    raised_at=TIME,
    state=_STATE,
    state_at=TIME,
    state_by={**TEXT, "description": "A token's name, or a login; empty: Spendbeat itself."},
    state_note=TEXT,
    resolution=maybe({"type": "string"}, f"One of {', '.join(get_args(Resolution))}."),
    arming={**NUMBER, "description": "The budget's version since which its crossings count."},
    escalate_after=maybe(NUMBER, "Minutes."),
    escalate_to=several(TEXT, "Channels that hear of it then."),
    due_at=maybe(TIME, "When it escalates, or when its snooze ends."),
)
_HISTORY = several(
    thing(
        "AlertChange",
        at=TIME,
        change=TEXT,
        by={**TEXT, "description": "Empty: Spendbeat itself."},
        note=TEXT,
        until=maybe(TIME, "Of a snooze."),
    )
)
_ID = in_path("id", "The alert's number.")
_UNKNOWN = {404: "There is no such alert."}
_CHANGED = {**_UNKNOWN, 409: "It is resolved and stays so."}
_NOW = answer("The alert as it is now.", ALERT)
_NOTE = {**TEXT, "maxLength": 1000, "description": "For people."}

LIST = told(
    "read",
    {200: answer("A page.", thing("Alerts", alerts=several(ALERT), next=NEXT))},
    in_query("state", several(_STATE), "Only these; can be given several times."),
    in_query("severity", several(_SEVERITY), "Only these; can be given several times."),
    in_query("budget", TEXT, "Only of this budget (its name or number)."),
    flag("all", "Also those that are resolved."),
    limit(asking.USUAL, asking.MOST),
    AFTER,
    more={404: "There is no such budget."},
)
SHOW = told(
    "read",
    {200: answer("The alert.", thing("AlertShown", **ALERT["properties"], history=_HISTORY))},
    _ID,
    more=_UNKNOWN,
)
NOTED = told(
    "alerts",
    {200: _NOW},
    _ID,
    takes=body(optional(note=_NOTE), {"note": "the nightly evaluation"}, needed=False),
    more=_CHANGED,
)
SNOOZE = told(
    "alerts",
    {200: _NOW},
    _ID,
    takes=body(
        optional(
            **{"for": {**TEXT, "description": "How long: 30m, 4h, 2d; at most 90 days."}},
            until={**TIME, "description": "Instead: a moment, with its offset."},
            note=_NOTE,
        ),
        {"for": "4h", "note": "until the run is over"},
    ),
    more=_CHANGED,
)
REPLAY = told(
    "alerts",
    {200: answer("How many messages leave.", thing("Again", again=NUMBER))},
    _ID,
    takes=body(
        optional(channel={**TEXT, "description": "Only to this channel."}),
        {"channel": "ops"},
        needed=False,
    ),
    more={404: "There is no such alert or channel."},
)
