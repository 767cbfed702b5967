"""The ids under which one attempt is known; see the package's docstring for what LiteLLM does."""

import hashlib
import math
import re
from collections.abc import Mapping
from typing import Any

from spend.capture.litellm.loose import text, whole_text
from spend.capture.litellm.usage import is_cache_hit
from spend.capture.values import MAX_TEXT

_UUID = re.compile(r"[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}", re.IGNORECASE)
# Ids of some local servers are three digits behind a word, or the same for every answer.
_SHORT_ID = 20
# LiteLLM's tables keep times to the millisecond, rounded.
_ROUNDING = 0.001
_BATCH_COST = "_batch_cost"
# Calls that ask for something that exists, under the id of what they ask for.
_LOOKUPS = ("get_", "list_", "delete_", "cancel_", "retrieve_", "create_batch", "create_file")


def ids(payload: Mapping[str, Any], *, started: float, measured: bool) -> list[str]:
    """All ids of this attempt, the most particular first; at least one.

    measured: it has tokens or a cost.
    """
    call, own = whole_text(payload.get("litellm_call_id")), whole_text(payload.get("id"))
    # Drawn by the guard for this attempt; by it what the guard counted is known to be booked.
    held = [hold] if (hold := whole_text(payload.get("spendbeat_hold"))) else []
    if payload.get("status") == "failure":
        return [_fitting(f"failed:{call or own or _moment(started)}"), *map(_fitting, held)]
    found = [f"{call}@{_moment(started)}"] if call else []
    if is_cache_hit(payload):
        # The original's id is the original's; this one has a stamp of its own in each route.
        found += _in_its_second(call, started) if call else []
        found += [own] if own else []
    elif own:
        found += _own(own, call, payload, started, measured=measured)
    found = found or [f"{'/'.join(map(str, _what(payload)))}@{_moment(started)}"]
    return list(dict.fromkeys(_fitting(id_) for id_ in [*found, *held]))


def _own(
    own: str, call: str | None, payload: Mapping[str, Any], started: float, *, measured: bool
) -> list[str]:
    kind = (text(payload.get("call_type")) or "").removeprefix("a")
    if kind == "retrieve_batch" and measured:
        return [f"batch-cost:{own.removesuffix(_BATCH_COST)}"]
    if kind.startswith(_LOOKUPS):
        return [f"{kind}:{own}"]
    if own == call or len(own) < _SHORT_ID or _UUID.fullmatch(own):
        return _in_its_second(own, started)
    return [own]


def _in_its_second(id_: str, started: float) -> list[str]:
    """The id with the second it began in; with both seconds where rounding may cross over."""
    seconds = {math.floor(started - _ROUNDING), math.floor(started + _ROUNDING)}
    return [f"{id_}@{second}" for second in sorted(seconds)]


def _moment(started: float) -> int:
    """Microseconds since 1970."""
    return round(started * 1_000_000)


def _what(payload: Mapping[str, Any]) -> tuple[object, ...]:
    return tuple(payload.get(name) for name in ("trace_id", "call_type", "model", "total_tokens"))


def _fitting(id_: str) -> str:
    """Ids of the Responses API can be longer than what is kept."""
    if len(id_) <= MAX_TEXT:
        return id_
    return f"sha256:{hashlib.sha256(id_.encode()).hexdigest()}"
