"""The description of the service: what it takes, what it answers, with examples."""

from typing import Any

from models import STATUSES
from spend.capture.fields import FIELDS, REQUIRED

_TEXT = {"type": "string", "maxLength": 512}
_COUNT = {"type": "integer", "minimum": 0, "default": 0}
_MONEY = {
    "oneOf": [{"type": "string"}, {"type": "number"}],
    "minimum": 0,
}


def _text(meaning: str) -> dict[str, Any]:
    return {**_TEXT, "description": meaning}


def _count(meaning: str) -> dict[str, Any]:
    return {**_COUNT, "description": meaning}


def _money(meaning: str) -> dict[str, Any]:
    return {
        **_MONEY,
        "description": f"{meaning}. Dollars; as text every digit counts, a JSON number is read"
        " with the digits that a double has.",
    }


# Every field of spend.capture.fields; a test compares the two.
MEANINGS: dict[str, dict[str, Any]] = {
    "id": _text(
        "The sender's id of the request, unique over all your sources. With it the event can be"
        " sent again without being counted twice; without it everything that the event says is"
        " its identity."
    ),
    "started_at": {
        "oneOf": [{"type": "string", "format": "date-time"}, {"type": "number"}],
        "description": "When the request began: ISO 8601 with an offset, or seconds,"
        " milliseconds or microseconds since 1970 (told apart by size).",
    },
    "provider": _text("Who answered, as LiteLLM calls it: openai, anthropic, bedrock, azure."),
    "model": _text("The model, without the provider before it."),
    "input_tokens": _count("All prompt tokens, cached and audio ones included."),
    "output_tokens": _count("All tokens of the answer, reasoning and audio included."),
    "cache_read_tokens": _count("Part of input_tokens that was read from a prompt cache."),
    "cache_write_tokens": _count("Part of input_tokens written to a prompt cache for 5 minutes."),
    "cache_write_1h_tokens": _count("Part of input_tokens written to a prompt cache for 1 hour."),
    "reasoning_tokens": _count("Part of output_tokens that was reasoning."),
    "audio_input_tokens": _count("Part of input_tokens that was audio."),
    "audio_output_tokens": _count("Part of output_tokens that was audio."),
    "cost_usd": _money("A cost that is known and final; without it the request is priced"),
    "status": {"type": "string", "enum": list(STATUSES), "default": "success"},
    "trace_id": _text("What belongs together over several requests."),
    "session_id": _text("The conversation or session."),
    "end_user": _text("The customer on whose behalf; kept with the row, no dimension of reports."),
    "other_ids": {
        "type": "array",
        "items": _TEXT,
        "description": "Further ids of the same request; any shared one makes it the same.",
    },
    "service_tier": _text("batch, flex, priority, ...; standard unless given."),
    "gateway_cost_usd": _money("What a gateway computed; booked where nothing better is known"),
    "provider_cost_usd": _money("What the provider itself reported; wins over the gateway's"),
    "organization": _text("Attribution."),
    "project": _text("Attribution."),
    "sprint": _text("Attribution."),
    "agent": _text("Attribution."),
    "user_id": _text("Attribution; also called user."),
    "team": _text("Attribution."),
    "api_key": _text("Attribution: a name or a hash of the key, never the key."),
    "tags": {
        "oneOf": [{"type": "array", "items": _TEXT, "maxItems": 100}, {"type": "string"}],
        "description": "A list, or a text separated by commas. key:value names a field where the"
        " key is one: project:alpha.",
    },
}

EVENT = {
    "type": "object",
    "title": "Event",
    "description": "One LLM request. At least one token count or cost is there, unless it failed.",
    "properties": {field: MEANINGS[field] for field in FIELDS},
    "required": list(REQUIRED),
    "additionalProperties": False,
}
EXAMPLE = {
    "id": "req-8f14",
    "started_at": "2026-11-21T09:15:00.250Z",
    "provider": "anthropic",
    "model": "claude-sonnet-4-5",
    "input_tokens": 1200,
    "cache_read_tokens": 1000,
    "output_tokens": 250,
    "project": "alpha",
    "team": "frontend",
    "tags": ["nightly"],
}
_LITELLM = {
    "type": "object",
    "description": "LiteLLM's StandardLoggingPayload; fields that are not needed are passed over.",
    "required": ["id", "startTime", "model"],
}


def _problems(what: str) -> dict[str, Any]:
    return {
        "type": "array",
        "description": what,
        "items": {
            "type": "object",
            "properties": {
                "index": {"type": "integer", "description": "its place in the request, from 0"},
                "id": {"type": ["string", "null"]},
                "reason": {"type": "string"},
            },
        },
    }


_BOOKED = {
    "type": "object",
    "properties": {
        "imported": {"type": "integer", "description": "events that are new"},
        "known": {"type": "integer", "description": "events that were in already"},
        "unpriced": {"type": "integer", "description": "new events whose cost is not known"},
        "conflicts": _problems("events whose id is known with other content; what was stays"),
        "rejected": _problems("with ?partial=true: events that cannot be booked"),
    },
    "required": ["imported", "known", "unpriced", "conflicts"],
}
_REFUSED = {
    "type": "object",
    "properties": {
        "error": {"type": "string"},
        "problems": _problems("the events at fault, at most 100"),
    },
    "required": ["error"],
}


def _answer(meaning: str, schema: dict[str, Any], example: object = None) -> dict[str, Any]:
    content: dict[str, Any] = {"schema": schema}
    if example is not None:
        content["example"] = example
    return {"description": meaning, "content": {"application/json": content}}


def _again(meaning: str) -> dict[str, Any]:
    header = {"description": "Seconds to wait.", "schema": {"type": "integer"}}
    return {**_answer(meaning, _REFUSED), "headers": {"Retry-After": header}}


ANSWERS: dict[int | str, dict[str, Any]] = {
    200: _answer(
        "All of it is in the ledger; sent again, it is known.",
        _BOOKED,
        {"imported": 2, "known": 1, "unpriced": 0, "conflicts": []},
    ),
    400: _answer("Not JSON (the place is named), or damaged gzip.", _REFUSED),
    401: _answer("No token, or one that is unknown or revoked.", _REFUSED),
    403: _answer("The token lacks the scope ingest.", _REFUSED),
    408: _answer("The body did not come in time.", _REFUSED),
    413: _answer("Too many bytes or events; the limit is named.", _REFUSED),
    415: _answer("A Content-Type or Content-Encoding that is not taken.", _REFUSED),
    422: _answer(
        "Some events cannot be booked, so none was; each is named.",
        _REFUSED,
        {
            "error": "1 of 4 events cannot be booked, so none was.",
            "problems": [{"index": 3, "id": "req-9", "reason": "model is missing"}],
        },
    ),
    429: _again("More requests of this token in a minute than a limit that was set."),
    500: _answer("An error of the service; nothing was booked.", _REFUSED),
    503: _again("Too much at once, or no database; nothing was booked, send the same again."),
}
_PARTIAL = {
    "name": "partial",
    "in": "query",
    "schema": {"type": "boolean", "default": False},
    "description": "Book the good events and name the others in `rejected`, instead of none.",
}


def _body(item: dict[str, Any], example: object, lines: str) -> dict[str, Any]:
    some = {"type": "array", "items": item}
    wrapped = {"type": "object", "properties": {"events": some}, "required": ["events"]}
    return {
        "required": True,
        "description": "May be gzipped (Content-Encoding: gzip).",
        "content": {
            "application/json": {"schema": {"anyOf": [wrapped, some, item]}, "example": example},
            "application/x-ndjson": {"schema": {"type": "string"}, "example": lines},
        },
    }


OWN_BODY = _body(EVENT, {"events": [EXAMPLE]}, '{"id": "a", ...}\n{"id": "b", ...}\n')
LITELLM_BODY = _body(_LITELLM, [], '{"id": "chatcmpl-1", ...}\n{"id": "chatcmpl-2", ...}\n')


def taking(body: dict[str, Any]) -> dict[str, Any]:
    """What a route that takes events says of itself."""
    return {"requestBody": body, "parameters": [_PARTIAL], "security": [{"token": []}]}


SECURITY = {
    "token": {
        "type": "http",
        "scheme": "bearer",
        "description": "A token of 'spendbeat tokens create'. /ingest and /v1 need the scope"
        " ingest; to look at anything else read is enough, and to change it the scope of its name.",
    }
}
