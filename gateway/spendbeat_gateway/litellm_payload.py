"""What of a StandardLoggingPayload travels: figures, names and ids; never prompts or answers.

LiteLLM's own payload has 20 KB and more: the conversation, and 190 price fields. Spendbeat's
spend/capture/litellm reads what is kept here.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from spendbeat_gateway.settings import WHO

HOLD = "spendbeat_guard"  # where the guard leaves what it holds for a call, in LiteLLM's kwargs
_PLAIN = (
    *("id", "litellm_call_id", "trace_id", "session_id", "call_type", "stream", "status"),
    *("response_cost", "custom_llm_provider", "model", "startTime", "cache_hit"),
    *("prompt_tokens", "completion_tokens", "request_tags", "end_user"),
)
_FLAGS = ("response_cost_failure_debug_info", "zero_cost_diagnostic")  # their texts are long
_KEY_DATA = (
    *("user_api_key_hash", "user_api_key_alias", "user_api_key_org_id", "user_api_key_org_alias"),
    *("user_api_key_team_id", "user_api_key_team_alias", "user_api_key_user_id"),
    *("user_api_key_project_id", "user_api_key_project_alias", "user_api_key_end_user_id"),
)
_CALLER = (*WHO, "user", "org", "session_id", "end_user")
_SAID = (*_CALLER, "tags")
_USAGE = (
    *("prompt_tokens", "completion_tokens", "cost", "service_tier"),
    *("cache_creation_input_tokens", "cache_read_input_tokens"),
    *("prompt_tokens_details", "completion_tokens_details"),
)
_PRICED = ("key", "litellm_provider")
_KEY = re.compile(r"\bsk-[\w-]{6,}")


def trimmed(payload: Mapping[str, Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The parts of a payload that are needed, with what only `kwargs` of the hook has.

    That is the call id before LiteLLM 1.90, the caller's metadata, of which the SDK lets nothing
    but `spend_logs_metadata` pass into the payload, and the id of what a guard holds for the call.
    """
    made = _only(payload, _PLAIN)
    if "litellm_call_id" not in made and kwargs.get("litellm_call_id"):
        made["litellm_call_id"] = kwargs["litellm_call_id"]
    if tier := _in(payload, "cost_breakdown").get("service_tier"):
        made["cost_breakdown"] = {"service_tier": tier}
    if asked := _only(payload.get("model_parameters"), ("service_tier", "user")):
        made["model_parameters"] = asked
    if not made.get("response_cost") or not made.get("custom_llm_provider"):
        made.update(_to_explain(payload))
    if hold := getattr(kwargs.get(HOLD), "id", None):
        made["spendbeat_hold"] = hold
    made["metadata"] = _metadata(_in(payload, "metadata"), _in(kwargs, "litellm_params"))
    return made


def _to_explain(payload: Mapping[str, Any]) -> dict[str, Any]:
    """What tells a free call from one without a price, and a provider that is not named."""
    made: dict[str, Any] = {name: True for name in _FLAGS if payload.get(name)}
    made.update(_only(payload, ("model_id", "model_group")))
    prices = _only(_in(payload, "model_map_information", "model_map_value"), _PRICED)
    if prices:
        made["model_map_information"] = {"model_map_value": prices}
    return made


def _metadata(metadata: Mapping[str, Any], params: Mapping[str, Any]) -> dict[str, Any]:
    made = _only(metadata, _KEY_DATA)
    caller = _only(metadata.get("requester_metadata"), _CALLER)
    caller.update(_only(params.get("metadata"), _CALLER))
    if caller:
        made["requester_metadata"] = caller
    if said := _only(metadata.get("spend_logs_metadata"), _SAID):
        made["spend_logs_metadata"] = said
    if usage := _only(metadata.get("usage_object"), _USAGE):
        made["usage_object"] = usage
    return made


def bare(
    kwargs: Mapping[str, Any], response: object, started: object, *, failed: bool
) -> dict[str, Any]:
    """A payload in the same shape for a call for which LiteLLM could not make one."""
    usage = getattr(response, "usage", None)
    dump = getattr(usage, "model_dump", None)
    return {
        "id": getattr(response, "id", None),
        "status": "failure" if failed else "success",
        "call_type": kwargs.get("call_type"),
        "custom_llm_provider": kwargs.get("custom_llm_provider"),
        "model": kwargs.get("model"),
        "response_cost": kwargs.get("response_cost"),
        "cache_hit": kwargs.get("cache_hit"),
        "startTime": started.timestamp() if isinstance(started, datetime) else None,
        "metadata": {
            **_in(kwargs, "litellm_params", "metadata"),
            "usage_object": dump() if callable(dump) else None,
        },
    }


def without_keys(text: str) -> str:
    """JSON text in which nothing looks like a secret key of a provider or of LiteLLM."""
    return _KEY.sub("sk-removed", text) if "sk-" in text else text


def _only(source: object, names: tuple[str, ...]) -> dict[str, Any]:
    """Those of these values that are there."""
    if not source or not isinstance(source, dict):
        return {}
    get = source.get
    return {name: value for name in names if (value := get(name)) is not None}


def _in(source: object, *path: str) -> Mapping[str, Any]:
    """The mapping at a path; an empty one where there is none."""
    for name in path:
        source = source.get(name) if isinstance(source, dict) else None
    return source if isinstance(source, dict) else {}
