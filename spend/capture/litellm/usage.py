"""Tokens, costs and service tier of one StandardLoggingPayload."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from spend.capture.litellm.loose import count, mapping, money, text

# Their usage.cost is their own. On other streams LiteLLM writes the cost that it computed there.
_REPORTING = ("openrouter",)
_STANDARD = ("standard", "default", "auto", "on_demand", "standard_only")
# Calls that are paid by something else than tokens: without tokens, 0 does not mean free.
_PAID_OTHERWISE = ("image", "speech", "transcription", "video", "ocr", "rerank", "search")


def usage_object(payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """The provider's usage as LiteLLM keeps it; empty for failures and before 1.72."""
    return mapping(mapping(payload.get("metadata")).get("usage_object")) or mapping(
        mapping(payload.get("hidden_params")).get("usage_object")
    )


def tokens(payload: Mapping[str, Any]) -> dict[str, int]:
    """Token classes: parts never exceed their whole, so that an odd count loses no request.

    LiteLLM counts Anthropic's cached tokens into the prompt, as everybody else does.
    """
    usage = usage_object(payload)
    prompt, answer = (
        mapping(usage.get(name)) for name in ("prompt_tokens_details", "completion_tokens_details")
    )
    whole = count(_given(usage, payload, "prompt_tokens"))
    output = count(_given(usage, payload, "completion_tokens"))
    read = min(count(_any(prompt, "cached_tokens", usage, "cache_read_input_tokens")), whole)
    written = min(
        count(
            _any(prompt, "cache_creation_tokens", usage, "cache_creation_input_tokens")
            or prompt.get("cache_write_tokens")
        ),
        whole - read,
    )
    split = mapping(prompt.get("cache_creation_token_details"))
    hour = min(count(split.get("ephemeral_1h_input_tokens")), written)
    return {
        "input_tokens": whole,
        "output_tokens": output,
        "cache_read_tokens": read,
        "cache_write_tokens": written - hour,
        "cache_write_1h_tokens": hour,
        "reasoning_tokens": min(count(answer.get("reasoning_tokens")), output),
        "audio_input_tokens": min(count(prompt.get("audio_tokens")), whole),
        "audio_output_tokens": min(count(answer.get("audio_tokens")), output),
    }


def _given(usage: Mapping[str, Any], payload: Mapping[str, Any], name: str) -> object:
    found = usage.get(name)
    return payload.get(name) if found is None else found


def _any(details: Mapping[str, Any], name: str, usage: Mapping[str, Any], other: str) -> object:
    return details.get(name) or usage.get(other)


def is_cache_hit(payload: Mapping[str, Any]) -> bool:
    """True, or the text that LiteLLM's tables have for it."""
    return str(payload.get("cache_hit")).lower() == "true"


def costs(payload: Mapping[str, Any], *, provider: str, used: bool) -> dict[str, Decimal]:
    """The costs that this payload knows: cost_usd (final), gateway_cost_usd, provider_cost_usd.

    used: the request has tokens. LiteLLM writes 0.0 for a model it has no price for: with a note
    (response_cost_failure_debug_info) where it was called directly, and without a word behind a
    Router or proxy. So 0 for tokens is no cost at all, except where a deployment has a price of
    its own, which is 0. Whoever else is free is so by our own price list.
    """
    said = money(payload.get("response_cost"))
    if is_cache_hit(payload):
        return {"cost_usd": said or Decimal(0)}  # a guardrail may cost something
    found = {}
    if said is not None and (said or not _means_unknown(payload, used=used)):
        found["gateway_cost_usd"] = said
    reported = usage_object(payload).get("cost")
    own = money(mapping(reported).get("total_cost") if isinstance(reported, Mapping) else reported)
    copied = provider not in _REPORTING and (payload.get("stream") is True or own == said)
    if own and not copied:
        found["provider_cost_usd"] = own
    return found


def _means_unknown(payload: Mapping[str, Any], *, used: bool) -> bool:
    if payload.get("status") == "failure":
        return True  # nothing was computed
    if payload.get("response_cost_failure_debug_info") or payload.get("zero_cost_diagnostic"):
        return True
    if used:
        return not _has_own_price(payload)
    call = text(payload.get("call_type")) or ""
    return any(kind in call for kind in _PAID_OTHERWISE)


def _has_own_price(payload: Mapping[str, Any]) -> bool:
    """Whether the price that was used is the deployment's: then it is filed under its id."""
    prices = mapping(mapping(payload.get("model_map_information")).get("model_map_value"))
    deployment = payload.get("model_id") or mapping(payload.get("hidden_params")).get("model_id")
    return bool(deployment) and prices.get("key") == deployment


def service_tier(payload: Mapping[str, Any]) -> str | None:
    """The tier that was billed, else served, else asked for; None for the standard one."""
    if (text(payload.get("call_type")) or "").endswith(("create_batch", "retrieve_batch")):
        return "batch"
    places = (
        mapping(payload.get("cost_breakdown")),
        usage_object(payload),
        mapping(payload.get("model_parameters")),
        mapping(payload.get("hidden_params")),
    )
    said = (text(place.get("service_tier")) for place in places)
    tier = next((tier.lower() for tier in said if tier), None)
    return None if tier in _STANDARD else tier
