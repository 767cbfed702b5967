"""The description of /aggregate and /spend."""

from typing import Any

from spend import filters
from spend.reports import DIMENSIONS
from web.described.calls import (
    AFTER,
    AMOUNT,
    NEXT,
    NUMBER,
    TEXT,
    TIME,
    answer,
    in_query,
    limit,
    maybe,
    several,
    thing,
    told,
)

_MOST = 10_000
_USUAL = 100
_AGE = {"type": "number", "minimum": 0}
FRESHNESS = {
    "counted_to": maybe(
        TIME, "Everything that was in the ledger then is counted; null before the first tick."
    ),
    "counted_seconds_ago": maybe(_AGE, "The age of counted_to."),
}
_UNPRICED = {**NUMBER, "description": "Requests whose cost is not known and not in total_cost."}
_FIGURES = {
    "requests": NUMBER,
    "input_tokens": NUMBER,
    "output_tokens": NUMBER,
    "unpriced": _UNPRICED,
    "total_cost": AMOUNT,
    "at_least": {"type": "boolean", "description": "Some are unpriced: it cost this or more."},
}
_LINE = {
    **thing("SpendLine", **_FIGURES),
    "additionalProperties": maybe(TEXT, "The name asked for: its value, null: not attributed."),
}
_AGGREGATED = {
    **AMOUNT,
    "type": ["string", "number"],
    "description": f"{AMOUNT['description']} With money=number the nearest double.",
}
_SHEET = (
    '"project","requests","input_tokens","output_tokens","unpriced","total_cost"\r\n'
    '"shop",1200,3400000,210000,0,"412.07"\r\n'
)
_HEADERS = {
    "Link": "CSV: the next page, rel=next.",
    "Spendbeat-Total-Cost": "CSV: what is total.total_cost in JSON.",
    "Spendbeat-Unpriced": "CSV: total.unpriced.",
    "Spendbeat-At-Least": "CSV: total.at_least.",
    "Spendbeat-Counted-To": "CSV: counted_to.",
}


_NAMES = {"tag": "Requests with this tag"}
ONLY = tuple(
    in_query(
        name,
        several(TEXT),
        f"{_NAMES.get(name, 'Only this')}, or one of several; empty: those that have none.",
    )
    for name in (*filters.FIELDS, filters.TAG)
)
ONLY_BY_KEY = in_query(
    "tag:KEY",
    several(TEXT),
    "Requests with a tag KEY:value of this value, for a KEY of yours; empty: those without one.",
)
ONLY_SAID = {
    "type": "object",
    "description": "The filters that were asked for.",
    "additionalProperties": several(maybe(TEXT)),
}


def _spent() -> dict[str, Any]:
    found = answer(
        "A page.",
        thing(
            "Spend",
            by=several(TEXT),
            zone=TEXT,
            **{"from": maybe(TIME), "to": maybe(TIME)},
            only=ONLY_SAID,
            data=several(_LINE),
            total=thing("SpendTotal", **_FIGURES),
            next=NEXT,
            **FRESHNESS,
        ),
    )
    found["content"]["text/csv"] = {"schema": TEXT, "example": _SHEET}
    found["headers"] = {
        name: {"description": words, "schema": TEXT} for name, words in _HEADERS.items()
    }
    return found


FORMAT = in_query(
    "format",
    {"type": "string", "enum": ["json", "csv"]},
    "Goes before Accept, in which text/csv asks for CSV.",
)
AGGREGATE = told(
    "read",
    {
        200: answer(
            "A page; all of it, where next is null.",
            thing(
                "Aggregate",
                records={**NUMBER, "description": "How many are in data."},
                data=several(
                    thing(
                        "AggregateLine",
                        provider=TEXT,
                        model=TEXT,
                        total_cost=_AGGREGATED,
                        unpriced=_UNPRICED,
                    )
                ),
                next=NEXT,
                **FRESHNESS,
            ),
            {
                "records": 1,
                "data": [
                    {
                        "provider": "openai",
                        "model": "gpt-4o",
                        "total_cost": "218.796087",
                        "unpriced": 0,
                    }
                ],
                "next": None,
                "counted_to": "2026-11-22T09:15:00.25+00:00",
                "counted_seconds_ago": 3.104,
            },
        )
    },
    *ONLY,
    ONLY_BY_KEY,
    in_query(
        "money",
        {"type": "string", "enum": ["text", "number"], "default": "text"},
        "Costs as text, or as JSON numbers, which have about 15 digits.",
    ),
    limit(_MOST, _MOST),
    AFTER,
)
SPEND = told(
    "read",
    {200: _spent()},
    in_query(
        "by",
        {**TEXT, "default": "provider,model"},
        f"What to group by, up to six with commas: {', '.join(DIMENSIONS)}, tag, tag:KEY.",
    ),
    *ONLY,
    ONLY_BY_KEY,
    in_query("from", TEXT, "From this date or time, in the zone unless it has an offset."),
    in_query("to", TEXT, "Up to, not including, this date or time."),
    in_query("zone", {**TEXT, "default": "UTC"}, "IANA time zone of days and times."),
    limit(_USUAL, _MOST),
    AFTER,
    FORMAT,
)
