"""The description of the routes under /budgets."""

from typing import Any

from spend.budgets.definition import ENFORCE, SCOPE_FIELDS, UNPRICED, UNREACHABLE
from spend.budgets.reading import FIELDS
from spend.periods import KINDS, WEEKDAYS
from web import asking
from web.described.calls import (
    AFTER,
    AMOUNT,
    IF_MATCH,
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

_DOLLARS: dict[str, Any] = {
    "type": ["string", "number", "null"],
    "examples": ["250", "99.50"],
}


def _dollars(meaning: str) -> dict[str, Any]:
    return {**_DOLLARS, "description": f"{meaning}. Text keeps every digit; null is none."}


def _choice(choices: tuple[str, ...], usual: str, meaning: str) -> dict[str, Any]:
    return {"type": "string", "enum": list(choices), "default": usual, "description": meaning}


_DAY = {"type": ["string", "null"], "format": "date"}
# Every field of spend.budgets.reading; a test compares the two.
MEANINGS: dict[str, dict[str, Any]] = {
    "name": {"type": "string", "maxLength": 100, "description": "Of kept budgets only one has it."},
    "scope": {
        "type": ["object", "null"],
        "properties": dict.fromkeys(SCOPE_FIELDS, TEXT),
        "additionalProperties": False,
        "description": "What it counts: requests that have all of these. Empty is everything.",
    },
    "period": _choice(KINDS, "month", "How long a period is."),
    "zone": {"type": "string", "default": "UTC", "description": "IANA time zone of its days."},
    "week_start": _choice(WEEKDAYS, "monday", "Of a period of a week."),
    "from": {**_DAY, "description": "Of a range: its first day."},
    "to": {**_DAY, "description": "Of a range: the first day after it."},
    "soft_limit": _dollars("Dollars a period at which it is told"),
    "hard_limit": _dollars("Dollars a period, of which percentages are"),
    "thresholds": {
        "type": ["array", "null"],
        "items": {"type": ["string", "object"]},
        "examples": [["80%", "500,forecast,critical,channel=ops"]],
        "description": "When to tell, as in a file of budgets: `80%,forecast,critical,channel=ops`"
        " or an object of at, basis, severity, channels, escalate, escalate_to. Default: 80 % and,"
        " critical, 100 %.",
    },
    "note": {"type": ["string", "null"], "description": "For people."},
    "enforce": _choice(ENFORCE, "alert", "What guards do at the limit."),
    "throttle_per_minute": {
        "type": ["integer", "null"],
        "description": "Requests a minute that may pass above the soft limit.",
    },
    "unreachable": _choice(UNREACHABLE, "open", "What a guard does that cannot ask."),
    "allowance": _dollars("What one process may let through meanwhile"),
    "unpriced": _choice(UNPRICED, "allow", "What a guard does about a model without a price."),
    "ceiling": _dollars("Dollars per million tokens assumed for a model without a price"),
    "raise": {
        "type": ["object", "null"],
        "properties": {"by": _DOLLARS, "until": TEXT},
        "required": ["by", "until"],
        "description": "Dollars on top of both limits until a date.",
    },
}
_STATE = {"type": "string", "enum": ["active", "paused"], "description": "Paused tells nobody."}
_FIELDS = {field: MEANINGS[field] for field in FIELDS}
_WANTED = {
    "type": "object",
    "title": "BudgetWanted",
    "properties": {**_FIELDS, "state": {**_STATE, "default": "active"}},
    "required": ["name"],
    "additionalProperties": False,
}
_EDIT = {
    "type": "object",
    "title": "BudgetEdit",
    "properties": {
        **_FIELDS,
        "state": _STATE,
        "version": {**NUMBER, "description": "What was read: 409 where it is another one now."},
    },
    "additionalProperties": False,
}
_ITSELF = {
    "id": NUMBER,
    "state": {"type": "string", "enum": ["active", "paused", "removed"]},
    "version": {**NUMBER, "description": "Grows with every change."},
    "created_at": TIME,
    "created_by": TEXT,
    "changed_at": TIME,
    "changed_by": {**TEXT, "description": "A token's name, or a login where it was a command."},
    "change": {
        "type": "string", "enum": ["added", "edited", "paused", "resumed", "removed"]
    },
}  # fmt: skip
BUDGET = {
    "type": "object",
    "title": "Budget",
    "properties": {**_ITSELF, **_FIELDS},
    "required": list(_ITSELF),
}
_SPAN = {
    "first_day": maybe({**TEXT, "format": "date"}, "null: all of time"),
    "last_day": maybe({**TEXT, "format": "date"}),
    "starts": maybe(TIME),
    "ends": maybe(TIME, "The moment after it."),
}
_SPENT = {
    "requests": NUMBER,
    "unpriced": {**NUMBER, "description": "Requests whose cost is not known and not in spend."},
    "spend": AMOUNT,
}
PERIOD = thing("BudgetPeriod", **_SPAN, **_SPENT)
STATUS = thing(
    "BudgetStatus",
    id=NUMBER,
    name=TEXT,
    state=TEXT,
    **_SPAN,
    phase={"type": "string", "enum": ["before", "current", "after"]},
    **_SPENT,
    soft=maybe(AMOUNT, "The soft limit now, raise included."),
    hard=maybe(AMOUNT, "The hard limit now, raise included."),
    limit=maybe(AMOUNT, "What percentages are of."),
    left=maybe(AMOUNT, "Below zero where the limit is passed."),
    percent=maybe(TEXT, "Of the limit that is spent."),
    days_left=maybe(NUMBER, "Today included."),
    forecast={
        **thing("Forecast", expected=AMOUNT, low=AMOUNT, high=AMOUNT),
        "type": ["object", "null"],
        "description": "Spend at the end of the period; four of five end from low to high.",
    },
    no_forecast_because=maybe(TEXT, "Why there is none yet."),
)
_STATUS_NOW = {**STATUS, "type": ["object", "null"], "description": "null once it is removed."}
_WITH_STATUS = {
    **BUDGET,
    "title": "BudgetWithStatus",
    "properties": {**BUDGET["properties"], "status": _STATUS_NOW},  # type: ignore[dict-item]  # a mapping
}
_SHOWN = {
    **_WITH_STATUS,
    "title": "BudgetShown",
    "properties": {
        **BUDGET["properties"],  # type: ignore[dict-item]  # a mapping
        "status": _STATUS_NOW,
        "periods": several(PERIOD, "The newest first."),
    },
}
_PLAN = thing(
    "BudgetPlan",
    applied={"type": "boolean", "description": "false where only asked."},
    changes=several(
        thing(
            "BudgetChange",
            change=TEXT,
            name=TEXT,
            fields={
                "type": "object",
                "additionalProperties": {
                    "type": "object", "properties": {"before": {}, "after": {}}
                },
                "description": "What an edit changes.",
            },
        )
    ),
    same=several(TEXT, "Names of budgets that are so already."),
    left=several(TEXT, "Names of budgets that are not in the list, and stay."),
)  # fmt: skip
EXAMPLE = {
    "name": "shop",
    "scope": {"project": "shop", "provider": "openai"},
    "period": "month",
    "zone": "Europe/Berlin",
    "soft_limit": "800",
    "hard_limit": "1000",
    "thresholds": ["80%", {"at": "100%", "basis": "forecast", "severity": "critical"}],
}
_WHICH = in_path("which", "Its name or its number. A name with a slash has to be its number.")
_UNKNOWN = {404: "There is no such budget."}
_TAG = {"ETag": {"description": "Of this version, for If-Match.", "schema": TEXT}}
_CHANGED = {
    404: "There is no such budget.",
    409: "Another version than `version`, or the new name is taken.",
    412: "Another version than If-Match.",
}
_ONE = {**answer("The budget as it is now.", BUDGET), "headers": _TAG}

LIST = told(
    "read",
    {200: answer("A page.", thing("Budgets", budgets=several(_WITH_STATUS), next=NEXT))},
    limit(asking.USUAL, asking.MOST),
    AFTER,
    flag("removed", "Also budgets that were removed."),
    flag("status", "What is spent, left and expected, too; at most 100 on a page then."),
)
ADD = told(
    "budgets",
    {201: {**answer("It is made, and has spent what its scope did.", BUDGET), "headers": _TAG}},
    takes=body(_WANTED, EXAMPLE),
    more={409: "There is a budget of this name already."},
)
APPLY = told(
    "budgets",
    {200: answer("What was changed, or would be.", _PLAN)},
    flag("dry_run", "Say what would change, and change nothing."),
    flag("remove_others", "Remove budgets that are not in the list."),
    takes=body(thing("BudgetList", budgets=several(_WANTED)), {"budgets": [EXAMPLE]}),
)
SHOW = told(
    "read",
    {200: {**answer("The budget, removed ones too.", _SHOWN), "headers": _TAG}},
    _WHICH,
    in_query(
        "periods",
        {"type": "integer", "minimum": 1, "maximum": 400, "default": 12},
        "How many of its newest periods.",
    ),
    more=_UNKNOWN,
)
EDIT = told(
    "budgets",
    {200: _ONE},
    _WHICH,
    IF_MATCH,
    takes=body(_EDIT, {"hard_limit": "1200", "version": 3}),
    more=_CHANGED,
)
STATE = told(
    "budgets",
    {200: _ONE},
    _WHICH,
    IF_MATCH,
    takes=body(
        optional(version=NUMBER),
        {"version": 3},
        needed=False,
    ),
    more=_CHANGED,
)
HISTORY = told(
    "read",
    {
        200: answer(
            "A page, the oldest first.",
            thing("BudgetHistory", versions=several(BUDGET), next=NEXT),
        )
    },
    _WHICH,
    limit(asking.USUAL, asking.MOST),
    AFTER,
    more=_UNKNOWN,
)
