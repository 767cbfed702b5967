"""A row of LiteLLM's own tables, read as the event that its callback would have sent.

So both routes map alike, and the same request by both is one.
"""

import json
from collections.abc import Mapping
from typing import Any

from spend.capture import litellm

# Columns that say what the event's metadata says, where that lacks it.
_WHO = {
    "user_api_key_hash": "api_key",
    "user_api_key_team_id": "team_id",
    "user_api_key_org_id": "organization_id",
    "user_api_key_user_id": "user",
    "user_api_key_end_user_id": "end_user",
}
_COUNTS = ("prompt_tokens", "completion_tokens", "total_tokens")


def request(row: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, object]:
    """The fields of a request from a row of LiteLLM_SpendLogs. Raises Rejected.

    row: its columns by their names, but for started_at (aware), spend (text) and map_key (which
    price LiteLLM used). names: what keys were called, by their hashes.
    """
    return litellm.request(payload(row, names))


def payload(row: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """The StandardLoggingPayload of a row, as far as the row holds it."""
    said = _mapping(row.get("metadata"))
    tags = row.get("request_tags")
    return {
        "id": row["request_id"],
        "litellm_call_id": row.get("litellm_call_id") or said.get("litellm_call_id"),
        "session_id": row.get("session_id"),
        "call_type": row.get("call_type"),
        "status": row.get("status") or said.get("status") or "success",
        "startTime": row["started_at"].timestamp(),
        "model": row.get("model"),
        "model_id": row.get("model_id"),
        "model_group": row.get("model_group"),
        "model_map_information": _prices(row.get("map_key")),
        "custom_llm_provider": row.get("custom_llm_provider"),
        "response_cost": row.get("spend"),
        "cost_breakdown": said.get("cost_breakdown"),
        "cache_hit": str(row.get("cache_hit")).lower() == "true",
        **{name: row.get(name) or 0 for name in _COUNTS},
        "request_tags": tags if isinstance(tags, list) else _list(tags),
        "end_user": row.get("end_user"),
        "metadata": _metadata(row, said, names),
    }


def _metadata(
    row: Mapping[str, Any], said: Mapping[str, Any], names: Mapping[str, str]
) -> dict[str, Any]:
    found = dict(said)
    for name, column in _WHO.items():
        found[name] = found.get(name) or row.get(column)
    # Older versions call the hash of the key user_api_key.
    found["user_api_key_hash"] = found["user_api_key_hash"] or found.get("user_api_key")
    if not found.get("user_api_key_alias"):
        found["user_api_key_alias"] = names.get(str(found["user_api_key_hash"]))
    found["usage_object"] = _usage(row, said)
    return found


def _usage(row: Mapping[str, Any], said: Mapping[str, Any]) -> dict[str, Any] | None:
    """The usage as the provider gave it; before 1.72 only what is more than the totals is kept."""
    usage = said.get("usage_object")
    if isinstance(usage, dict) and usage:
        return usage
    more = said.get("additional_usage_values")
    if isinstance(more, dict) and more:
        return {**more, **{name: row.get(name) or 0 for name in _COUNTS}}
    return None


def _prices(key: object) -> dict[str, Any] | None:
    if not key:
        return None
    return {"model_map_key": key, "model_map_value": {"key": key}}


def _mapping(value: object) -> dict[str, Any]:
    """A JSON object, also one that was stored as text."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return {}
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return []
    return value if isinstance(value, list) else []


def says_nothing(row: Mapping[str, Any]) -> bool:
    """Whether a row is no call of a model.

    Uploads of files, lists of batches and refused keys have rows without model, tokens and cost.
    Each look at a running batch may write one without tokens and cost, which is rewritten when the
    batch has ended; where spend logs are off, that one row names neither model nor key, and its
    cost is in the daily tables.
    """
    measured = float(row.get("spend") or 0) != 0 or any(row.get(name) for name in _COUNTS)
    if str(row.get("call_type")).endswith("retrieve_batch"):
        return not measured or not (row.get("model") or row.get("api_key"))
    return not measured and not row.get("model")
