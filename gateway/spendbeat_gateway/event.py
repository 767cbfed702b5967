"""One event: the fields that Spendbeat takes, from a response and from what the caller says."""

import json
import math
import time
from collections.abc import Mapping
from datetime import date, datetime, timezone
from decimal import Decimal
from uuid import uuid4

from spendbeat_gateway import faults
from spendbeat_gateway.seen import Seen
from spendbeat_gateway.usage import cost, tokens

TOKENS = (
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "cache_write_1h_tokens",
    "reasoning_tokens",
    "audio_input_tokens",
    "audio_output_tokens",
)
COSTS = ("cost_usd", "gateway_cost_usd", "provider_cost_usd")
FIELDS = frozenset(
    (
        *("id", "started_at", "provider", "model", *TOKENS, *COSTS, "status", "trace_id"),
        *("session_id", "end_user", "other_ids", "service_tier", "organization", "project"),
        *("sprint", "agent", "user_id", "team", "api_key", "tags"),
    )
)
_STANDARD = frozenset(("default", "standard", "auto"))
_MEASURED = (*TOKENS, *COSTS)


def build(
    seen: Seen, fields: Mapping[str, object], defaults: Mapping[str, object]
) -> dict[str, object]:
    """The event: a field that the caller says wins over the response, and that over a default.

    One without any tokens or cost is booked as a request whose price is not known.
    """
    event: dict[str, object] = {**defaults, "id": seen.id, "started_at": None}
    event["model"] = seen.model
    if seen.tier is not None and seen.tier not in _STANDARD:
        event["service_tier"] = seen.tier
    if seen.usage is not None:
        event.update(tokens(seen.usage) or {})
        reported = cost(seen.usage)
        if reported is not None:
            event["provider_cost_usd"] = reported
    for name, value in fields.items():
        if name not in FIELDS:
            faults.say_once(f"record() knows no field {name!r}; it was left out")
        elif value is not None:
            event[name] = value
    _name(event, seen)
    if event["started_at"] is None:
        event["started_at"] = time.time()
    if event.get("status") == "failure" and not measured(event):
        event["input_tokens"] = 0  # a call that failed has used nothing that we know of
    return event


def measured(event: Mapping[str, object]) -> bool:
    """Whether it says what the call used or cost."""
    return any(event.get(name) is not None for name in _MEASURED)


def _name(event: dict[str, object], seen: Seen) -> None:
    """Its ids, and provider and model as other routes write them."""
    if event["id"] is None:
        event["id"] = uuid4().hex
    elif seen.id is not None and event["id"] != seen.id and "other_ids" not in event:
        event["other_ids"] = [seen.id]
    provider, model = event.get("provider"), event.get("model")
    if not provider:
        event["provider"] = "unknown"
        faults.say_once("record() was called without a provider; it is recorded as 'unknown'")
    if not model:
        event["model"] = "unknown"
    elif isinstance(provider, str) and isinstance(model, str):
        event["model"] = model.removeprefix(provider + "/")


def text(body: Mapping[str, object]) -> str:
    """JSON, of whatever is in it."""
    try:
        return _encode(body)
    except (ValueError, RecursionError):  # NaN, a circle
        return _encode(_harmless(body, 20))


def _default(value: object) -> object:
    if isinstance(value, Decimal):
        return str(value) if value.is_finite() else None
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.astimezone(timezone.utc)).isoformat()
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, set | frozenset | tuple):
        return list(value)
    if isinstance(value, Mapping):
        return dict(value)
    dump = getattr(value, "model_dump", None)
    return dump() if callable(dump) else str(value)


_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False, default=_default).encode


def _harmless(value: object, depth: int) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(k): _harmless(v, depth - 1) for k, v in value.items()} if depth else None
    if isinstance(value, list | tuple):
        return [_harmless(v, depth - 1) for v in value] if depth else None
    return value
