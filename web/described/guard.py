"""The description of the guard's routes: what they take and answer."""

from typing import Any

from models import ATTRIBUTION_FIELDS
from web.described.ingest import MEANINGS

_MONEY = {"type": "string", "description": "Dollars, as text."}
_ERROR = {"type": "object", "properties": {"error": {"type": "string"}}}
_HOLD = {
    "type": "object",
    "description": "Room that is kept. Give it back as it is to settle or release.",
    "properties": {
        "id": {"type": "string"},
        "nano": {"type": "string", "description": "Nano-dollars held."},
        "counters": {"type": "array", "items": {"type": "string"}},
        "expires_at": {"type": "number", "description": "Seconds since 1970."},
        "enforced": {"type": "boolean"},
        "local": {"type": "boolean", "description": "Given although Redis is away."},
    },
    "required": ["id"],
}
_ALLOWED = {
    "type": "object",
    "properties": {
        "allowed": {"type": "boolean", "enum": [True]},
        "enforced": {
            "type": "boolean",
            "description": "Whether any budget or rate limit is for this call.",
        },
        "hold": _HOLD,
        "estimate": {
            "type": "object",
            "properties": {
                "usd": {**_MONEY, "nullable": True},
                "tokens": {"type": "integer"},
                "upper_bound": {"type": "boolean"},
                "how": {"type": "string"},
            },
        },
    },
}
_REFUSED = {
    "type": "object",
    "properties": {
        "error": {"type": "string", "description": "Which budget, what is left, until when."},
        "allowed": {"type": "boolean", "enum": [False]},
        "reason": {
            "type": "string",
            "enum": ["budget", "throttle", "rate", "unpriced", "unreachable", "cold"],
        },
        "budget": {"type": "string", "nullable": True},
        "left_usd": {**_MONEY, "nullable": True},
        "limit_usd": {**_MONEY, "nullable": True},
        "ends": {"type": "string", "format": "date-time", "nullable": True},
        "retry_after": {"type": "number", "nullable": True},
    },
}
_RETRY = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}}


def _answer(meaning: str, schema: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"description": meaning, "content": {"application/json": {"schema": schema}}, **more}


_NO = {
    400: _answer("No JSON object, or a field that makes no sense.", _ERROR),
    401: _answer("No token, or one that is unknown or revoked.", _ERROR),
    403: _answer("The token lacks the scope guard.", _ERROR),
    413: _answer("Too many bytes; the limit is named.", _ERROR),
    415: _answer("A Content-Type or Content-Encoding that is not taken.", _ERROR),
    429: _answer("More requests of this token than a limit.", _ERROR, headers=_RETRY),
    503: _answer("Redis or the database does not answer.", _ERROR, headers=_RETRY),
}


def _described(
    takes: dict[str, Any], required: list[str], example: dict[str, Any], answers: dict[Any, Any]
) -> dict[str, Any]:
    schema = {"type": "object", "properties": takes, "required": required}
    body = {"application/json": {"schema": schema, "example": example}}
    return {
        "responses": {**answers, **_NO},
        "openapi_extra": {
            "requestBody": {"required": True, "content": body},
            "security": [{"token": []}],
        },
    }


RESERVE = _described(
    {
        "provider": MEANINGS["provider"],
        "model": MEANINGS["model"],
        **{field: MEANINGS[field] for field in (*ATTRIBUTION_FIELDS, "tags")},
        "estimate_usd": {**_MONEY, "description": "What the call costs at most. Or `request`."},
        "request": {
            "description": "What the provider is to be sent, or its messages, or a text: Spendbeat"
            " counts its tokens and knows the price. It is kept nowhere.",
        },
        "max_tokens": {"type": "integer", "description": "Of the answer, if not in `request`."},
        "id": {
            "type": "string",
            "description": "Of the hold, the same again holds nothing more. Send it as the event's"
            " `id` or in its `other_ids`. Drawn if there is none.",
        },
        "lifetime": {"type": "number", "default": 900, "description": "Seconds until it expires."},
    },
    ["provider", "model"],
    {"provider": "openai", "model": "gpt-4o", "project": "shop", "estimate_usd": "0.02"},
    {
        200: _answer("The call may be made; its cost is held.", _ALLOWED),
        429: _answer("A budget or rate limit has no room.", _REFUSED, headers=_RETRY),
    },
)
_KEPT = {"id": "guard:5f1e", "nano": "20000000", "counters": ["7.12:2026-11-01"]}
SETTLE = _described(
    {
        "hold": _HOLD,
        "cost_usd": {**_MONEY, "nullable": True, "description": "null: what was held."},
    },
    ["hold", "cost_usd"],
    {"hold": _KEPT, "cost_usd": "0.0131"},
    {200: _answer("Counted, once.", {"type": "object"})},
)
RELEASE = _described(
    {"hold": _HOLD}, ["hold"], {"hold": _KEPT}, {200: _answer("Given back.", {"type": "object"})}
)
GUARDRAIL = _described(
    {
        "input_type": {"type": "string", "enum": ["request", "response"]},
        "litellm_call_id": {"type": "string"},
        "model": {"type": "string", "description": "The model's public name."},
        "structured_messages": {"type": "array", "items": {"type": "object"}},
        "texts": {"type": "array", "items": {"type": "string"}},
        "tools": {"type": "array", "items": {"type": "object"}},
        "request_data": {"type": "object", "description": "What LiteLLM knows of the key."},
        "request_headers": {"type": "object"},
        "additional_provider_specific_params": {
            "type": "object",
            "properties": {
                "models": {
                    "type": "object",
                    "description": "Public names to provider/model.",
                    "additionalProperties": {"type": "string"},
                },
                "max_tokens": {"type": "integer", "description": "Of an answer, at most."},
            },
        },
    },
    ["input_type"],
    {
        "input_type": "request",
        "litellm_call_id": "c06b7b73-eb20-414d-9cbb-0afc07f544f0",
        "model": "fast",
        "texts": ["hello"],
        "request_data": {"user_api_key_alias": "prod", "user_api_key_team_id": "shop"},
        "additional_provider_specific_params": {"models": {"fast": "openai/gpt-4o-mini"}},
    },
    {
        200: _answer(
            "Whether LiteLLM may go on.",
            {
                "type": "object",
                "properties": {
                    "action": {"type": "string", "enum": ["NONE", "BLOCKED"]},
                    "blocked_reason": {"type": "string"},
                },
            },
        )
    },
)
