"""What health, readiness and metrics answer, as OpenAPI describes it."""

from typing import Any

from web.described.calls import TEXT, answer, maybe, several, thing, told

_FLAG = {"type": "boolean"}
_SECONDS = {"type": "number"}
LACKS = ("database", "broker", "schema", "tick")

_READY = thing(
    "Readiness",
    status={**TEXT, "enum": ["ready", "not ready"]},
    lacks=several({**TEXT, "enum": list(LACKS)}, "What is not as it should be."),
    database=_FLAG,
    broker=_FLAG,
    schema=maybe(TEXT, "The version that the database has."),
    schema_wanted={**TEXT, "description": "The version that this program needs."},
    tick_seconds_ago=maybe(_SECONDS, "When totals were last brought up to date."),
    tick_at_most=_SECONDS,
)
_EXAMPLE = {
    "status": "ready",
    "lacks": [],
    "database": True,
    "broker": True,
    "schema": "0014",
    "schema_wanted": "0014",
    "tick_seconds_ago": 3.104,
    "tick_at_most": 60.0,
}

HEALTH: dict[int | str, dict[str, Any]] = {
    200: answer(
        "The process lives.",
        thing("Health", status=TEXT, version=TEXT, database=_FLAG),
        {"status": "ok", "version": "0.1.0", "database": True},
    ),
    303: {
        "description": "To the dashboard, for who would rather have a page.",
        "headers": {"Location": {"description": "/dashboard", "schema": TEXT}},
    },
}
READY: dict[int | str, dict[str, Any]] = {
    200: answer("All that it needs is there.", _READY, _EXAMPLE),
    503: answer(
        "Something is missing; `lacks` says what.",
        _READY,
        {**_EXAMPLE, "status": "not ready", "lacks": ["broker"], "broker": False},
    ),
}
METRICS = told(
    "metrics",
    {
        200: {
            "description": "Figures in the text format of Prometheus.",
            "content": {"text/plain": {"schema": TEXT}},
        }
    },
)
