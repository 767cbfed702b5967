"""The description of what is answered in LiteLLM's shapes."""

from typing import Any

from web.described.calls import NUMBER, TEXT, answer, in_query, limit, several, thing, told

_SPEND = {"type": "number", "description": "Dollars; a sum of exact amounts, as a double."}
_UNPRICED = {**NUMBER, "description": "Requests whose cost is not known and in no spend."}
_DATE = {"type": "string", "format": "date"}
_METRICS = thing(
    "Metrics",
    spend=_SPEND,
    prompt_tokens=NUMBER,
    completion_tokens=NUMBER,
    total_tokens=NUMBER,
    cache_read_input_tokens=NUMBER,
    cache_creation_input_tokens=NUMBER,
    api_requests=NUMBER,
    unpriced=_UNPRICED,
)
_ANY = {"type": "object"}
_KEY = thing("KeyMetrics", metrics=_METRICS, metadata=_ANY)
_PART = thing(
    "Part",
    metrics=_METRICS,
    metadata=_ANY,
    api_key_breakdown={"type": "object", "additionalProperties": _KEY},
)
_PARTS = {"type": "object", "additionalProperties": _PART}
_DAY = thing(
    "Day",
    date=_DATE,
    metrics=_METRICS,
    breakdown=thing(
        "Breakdown",
        models=_PARTS,
        providers=_PARTS,
        api_keys={"type": "object", "additionalProperties": _KEY},
        entities=_PARTS,
    ),
)
_METADATA = thing(
    "Totals",
    total_spend=_SPEND,
    total_prompt_tokens=NUMBER,
    total_completion_tokens=NUMBER,
    total_tokens=NUMBER,
    total_cache_read_input_tokens=NUMBER,
    total_cache_creation_input_tokens=NUMBER,
    total_api_requests=NUMBER,
    total_unpriced=_UNPRICED,
    page=NUMBER,
    total_pages=NUMBER,
    has_more={"type": "boolean"},
)
_ACTIVITY = thing("Activity", results=several(_DAY), metadata=_METADATA)
_FIGURES = {
    "spend": 4.125, "prompt_tokens": 1200, "completion_tokens": 250, "total_tokens": 1450,
    "cache_read_input_tokens": 1000, "cache_creation_input_tokens": 0, "api_requests": 3,
    "unpriced": 0,
}  # fmt: skip
_KEYS = {"key-1": {"metrics": _FIGURES, "metadata": {}}}
_WITH_KEYS = {"metrics": _FIGURES, "metadata": {}, "api_key_breakdown": _KEYS}
_EXAMPLE = {
    "results": [
        {
            "date": "2026-11-21",
            "metrics": _FIGURES,
            "breakdown": {
                "models": {"gpt-4o": _WITH_KEYS},
                "providers": {"openai": _WITH_KEYS},
                "api_keys": _KEYS,
                "entities": {"ann": _WITH_KEYS},
            },
        }
    ],
    "metadata": {
        **{f"total_{name.removeprefix('total_')}": value for name, value in _FIGURES.items()},
        "page": 1,
        "total_pages": 1,
        "has_more": False,
    },
}
_RANGE = (
    {**in_query("start_date", _DATE, "The first day."), "required": True},
    {**in_query("end_date", _DATE, "The last day, itself included."), "required": True},
    in_query("zone", {**TEXT, "default": "UTC"}, "IANA zone of the days; not one of LiteLLM's."),
)


def activity(parameter: str, dimension: str, page: int = 0, most: int = 0) -> dict[str, Any]:
    """Of GET /.../daily/activity; without pages, of its sum at once."""
    several_of = ", several with commas" if parameter.endswith("s") else ""
    paging = (
        in_query("page", {"type": "integer", "minimum": 1, "default": 1}, "Which page."),
        in_query(
            "page_size",
            {"type": "integer", "minimum": 1, "maximum": most, "default": page},
            "How many days are on a page.",
        ),
    )
    return told(
        "read",
        {200: answer("A page of days.", _ACTIVITY, _EXAMPLE)},
        *_RANGE,
        in_query(parameter, TEXT, f"Only this {dimension}{several_of}; Unassigned: of none."),
        in_query("model", TEXT, "Only this model."),
        in_query("api_key", TEXT, "Only this key, by its name here."),
        in_query("timezone", NUMBER, "Taken and without effect, as in LiteLLM: days are UTC's."),
        *(paging if page else ()),
    )


_SUMS = {
    "total_cost": _SPEND,
    "total_input_tokens": NUMBER,
    "total_output_tokens": NUMBER,
    "unpriced": _UNPRICED,
}
_ROW = thing(
    "KeyReport",
    api_key=TEXT,
    **_SUMS,
    model_details=several(thing("ModelReport", model=TEXT, **_SUMS)),
)
_ROW_EXAMPLE = {
    "total_cost": 4.125, "total_input_tokens": 1200, "total_output_tokens": 250, "unpriced": 0
}  # fmt: skip
_ROWS_EXAMPLE = [
    {
        "api_key": "key-1",
        **_ROW_EXAMPLE,
        "model_details": [{"model": "gpt-4o", **_ROW_EXAMPLE}],
    }
]
_TEAMS = thing(
    "TeamReport",
    group_by_day={"type": "string", "format": "date-time"},
    teams=several(
        thing(
            "TeamOfDay",
            team_name=TEXT,
            total_spend=_SPEND,
            metadata=several(
                thing(
                    "TeamModel",
                    model=TEXT,
                    api_key=TEXT,
                    spend=_SPEND,
                    total_tokens=NUMBER,
                    unpriced=_UNPRICED,
                )
            ),
        )
    ),
)


def scoped(parameter: str) -> dict[str, Any]:
    """Of GET /key/spend/report and its like."""
    return told(
        "read",
        {200: answer("Keys, the dearest first.", several(_ROW), _ROWS_EXAMPLE)},
        *_RANGE,
        in_query(parameter, TEXT, "Only this one; all that the token sees unless given."),
    )


REPORT = told(
    "read",
    {
        200: answer(
            "Keys, the dearest first; or days, the oldest first, with their teams.",
            {"type": "array", "items": {"anyOf": [_ROW, _TEAMS]}},
            _ROWS_EXAMPLE,
        )
    },
    *_RANGE,
    in_query(
        "group_by",
        {"type": "string", "enum": ["team", "api_key"]},
        "By team unless given or a key or user is asked for.",
    ),
    in_query("api_key", TEXT, "Only this key."),
    in_query("internal_user_id", TEXT, "Only this user."),
    in_query("team_id", TEXT, "Only this team."),
)
KEYS = told(
    "read",
    {
        200: answer(
            "Keys, the dearest first.",
            several(
                thing(
                    "KeySpend",
                    api_key=TEXT,
                    key_alias={"type": "null"},
                    key_name={"type": "null"},
                    total_spend=_SPEND,
                    unpriced=_UNPRICED,
                )
            ),
        )
    },
    limit(10_000, 10_000),
    in_query("zone", {**TEXT, "default": "UTC"}, "IANA zone of the day 30 days ago."),
)
