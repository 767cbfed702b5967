"""The description of /requests."""

from typing import Any

from models import ATTRIBUTION_FIELDS, STATUSES, TOKEN_CLASSES
from spend.ledger_rows import IDS
from web.described.calls import (
    AFTER,
    AMOUNT,
    NEXT,
    NUMBER,
    TEXT,
    TIME,
    answer,
    in_path,
    in_query,
    limit,
    maybe,
    several,
    thing,
    told,
)
from web.described.reports import FORMAT, FRESHNESS, ONLY, ONLY_BY_KEY, ONLY_SAID

_MAYBE = maybe(TEXT)
_COST = {**AMOUNT, "type": ["string", "null"]}
_ORIGIN = {
    "priced_by": maybe(
        TEXT,
        "Where the newest cost is from: given, gateway, provider, override, list, local,"
        " genai-prices, unpriced, reprice or reprice-undo.",
    ),
    "priced_version": maybe(TEXT, "The release of the price list, or the id of a price or run."),
    "priced_assumption": maybe(TEXT, "What had to be assumed; empty where nothing was."),
}
_REQUEST: dict[str, Any] = {
    "id": {**NUMBER, "description": "Of its row in the ledger."},
    "started_at": TIME,
    "created_at": {**TIME, "description": "When it arrived here."},
    "provider": TEXT,
    "model": TEXT,
    "status": {"type": "string"},
    "service_tier": maybe(TEXT, "null is the standard one."),
    "cost_usd": {**_COST, "description": "Net of corrections, as text; null: not known."},
    "booked_usd": {**_COST, "description": "What was booked first; null: not known then."},
    "adjustments": {**NUMBER, "description": "How many rows corrected it."},
    **_ORIGIN,
    **dict.fromkeys(TOKEN_CLASSES, NUMBER),
    **dict.fromkeys((*IDS, *ATTRIBUTION_FIELDS), _MAYBE),
    "tags": several(TEXT),
}
_EXAMPLE: dict[str, Any] = {
    **dict.fromkeys(_REQUEST),
    **dict.fromkeys(TOKEN_CLASSES, 0),
    "id": 58102,
    "started_at": "2026-11-21T09:15:00.250000+00:00",
    "created_at": "2026-11-21T09:15:02.104000+00:00",
    "provider": "anthropic",
    "model": "claude-sonnet-4-5",
    "status": "success",
    "cost_usd": "0.00465",
    "booked_usd": "0.00465",
    "adjustments": 0,
    "priced_by": "genai-prices",
    "priced_version": "0.0.49",
    "priced_assumption": "",
    "input_tokens": 1200,
    "cache_read_tokens": 1000,
    "output_tokens": 250,
    "request_id": "req-8f14",
    "project": "alpha",
    "tags": ["nightly", "team:frontend"],
}
_CORRECTION = thing(
    "Correction",
    id=NUMBER,
    created_at=TIME,
    cost_usd={**AMOUNT, "description": "What it added, as text; it may be negative."},
    unpriced={**NUMBER, "description": "-1: it gave a cost where there was none; +1: it took it."},
    tokens={"type": "object", "additionalProperties": NUMBER},
    **_ORIGIN,
)


def _listed() -> dict[str, Any]:
    found = answer(
        "A page; it can be short, and even empty, while `next` is there.",
        thing(
            "Requests",
            **{"from": maybe(TIME), "to": maybe(TIME)},
            only=ONLY_SAID,
            data=several(thing("Request", **_REQUEST)),
            next=NEXT,
            **FRESHNESS,
        ),
        {
            "from": "2026-11-14T09:20:00+00:00",
            "to": None,
            "only": {"project": ["alpha"]},
            "data": [_EXAMPLE],
            "next": None,
            "counted_to": "2026-11-21T09:19:58.25+00:00",
            "counted_seconds_ago": 2.1,
        },
    )
    found["content"]["text/csv"] = {"schema": TEXT}
    words = {"description": "CSV: the next page, rel=next.", "schema": TEXT}
    found["headers"] = {"Link": words}
    return found


LIST = told(
    "read",
    {200: _listed()},
    *ONLY,
    ONLY_BY_KEY,
    in_query("status", {"type": "string", "enum": list(STATUSES)}, "Only these."),
    in_query(
        "unpriced", {"type": "boolean"}, "Whether the cost is not known, after all corrections."
    ),
    *(in_query(name, TEXT, f"With this {name}.") for name in IDS),
    in_query(
        "from",
        TEXT,
        "From this date or time, in the zone unless it has an offset; without it the seven days"
        " before `to` or now, and all of time with a request_id.",
    ),
    in_query("to", TEXT, "Up to, not including, this date or time."),
    in_query("zone", {**TEXT, "default": "UTC"}, "IANA time zone of times without an offset."),
    limit(100, 1000),
    AFTER,
    FORMAT,
)
ONE = told(
    "read",
    {
        200: answer(
            "The request.",
            thing(
                "RequestInFull",
                **_REQUEST,
                computed_cost_usd={**_COST, "description": "By our prices; null where booked."},
                gateway_cost_usd={**_COST, "description": "Said by the gateway, not booked."},
                provider_cost_usd={**_COST, "description": "Said by the provider, not booked."},
                corrections=several(_CORRECTION, "The oldest first."),
            ),
            {
                **_EXAMPLE,
                "computed_cost_usd": None,
                "gateway_cost_usd": None,
                "provider_cost_usd": None,
                "corrections": [],
            },
        )
    },
    in_path("id", "The id of a request in a list."),
    more={404: "There is no such request, or the token may not see it."},
)
