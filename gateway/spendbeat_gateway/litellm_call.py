"""One call as LiteLLM has it: what it asks, what it may cost before it, what it did cost after."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from decimal import ROUND_CEILING, Decimal, InvalidOperation
from functools import lru_cache
from typing import Any

import litellm

from spendbeat_gateway import litellm_attribution
from spendbeat_gateway.guard import AsyncGuard
from spendbeat_gateway.guard.estimate import Estimate, Limits
from spendbeat_gateway.guard.estimate import estimate as bound

_CONTENT = ("messages", "input", "prompt", "contents", "query")
_NO_OUTPUT = frozenset(("embedding", "rerank", "moderation"))
_PER_TOKEN = ("input_cost_per_token", "output_cost_per_token")
_NANO = Decimal("1e-9")
_CACHED = 4096


def provider_and_model(kwargs: Mapping[str, Any]) -> tuple[str, str]:
    """As the ledger will name them."""
    model = kwargs.get("model") or getattr(kwargs.get("litellm_logging_obj"), "model", None)
    provider = kwargs.get("custom_llm_provider")
    if not isinstance(model, str):
        return litellm_attribution.provider_and_model(provider, model)
    base = kwargs.get("api_base")
    return _resolved(model, provider, base if isinstance(base, str) else None)


@lru_cache(_CACHED)
def _resolved(model: str, provider: str | None, base: str | None) -> tuple[str, str]:
    try:
        found = litellm.get_llm_provider(model=model, custom_llm_provider=provider, api_base=base)
        model, provider = found[0], found[1]
    except Exception:  # noqa: BLE001 - it raises what it raises; the ledger says "unknown" too
        provider = provider or _info(model, None).get("litellm_provider")
    return litellm_attribution.provider_and_model(provider, model)


async def estimate(
    guard: AsyncGuard, kind: str, provider: str, model: str, kwargs: Mapping[str, Any]
) -> Estimate:
    """What the call may cost at most; kind: of call, such as "completion".

    Where a deployment has a price of its own in LiteLLM's config, or Spendbeat has none, it is
    LiteLLM's price, since LiteLLM's cost is what will be booked then.
    """
    content = dict(kwargs)
    if not any(content.get(name) for name in _CONTENT):
        content["messages"] = getattr(kwargs.get("litellm_logging_obj"), "messages", None)
    info = _info(model, provider)
    longest = info.get("max_output_tokens")
    most = 0 if kind in _NO_OUTPUT else None
    longest = longest if isinstance(longest, int) else None
    own = _own_prices(kwargs)
    if own:
        limits = Limits(max_tokens=most, longest_output=longest)
        # In a thread: a long prompt takes a while to count.
        found = await asyncio.to_thread(bound, None, provider, model, content, limits)
    else:
        found = await guard.estimate(
            provider, model, content, max_tokens=most, longest_output=longest
        )
    dearest = _dearest(own or info) if found.dollars is None else None
    if dearest is None:
        return found
    cost = (dearest * found.tokens).quantize(_NANO, ROUND_CEILING)
    return replace(found, dollars=cost, how=f"{found.how}; LiteLLM's price")


def cost(payload: Mapping[str, Any]) -> Decimal | None:
    """What LiteLLM says that the call has cost; None where its 0 means that it does not know."""
    said = _money(payload.get("response_cost"))
    if str(payload.get("cache_hit")).lower() == "true":
        return said or Decimal(0)
    if said:
        return said
    prices = payload.get("model_map_information")
    prices = prices.get("model_map_value") if isinstance(prices, Mapping) else None
    own = isinstance(prices, Mapping) and prices.get("key") == payload.get("model_id")
    return Decimal(0) if own and payload.get("model_id") else None


def is_routed(kwargs: Mapping[str, Any]) -> bool:
    """Whether a Router or proxy stands between the caller and the call."""
    return bool(kwargs.get("proxy_server_request")) or any(
        isinstance(metadata := kwargs.get(name), dict) and "model_group" in metadata
        for name in ("metadata", "litellm_metadata")
    )


def header_tags(kwargs: Mapping[str, Any]) -> list[str]:
    """Tags that LiteLLM makes of headers, where its extra_spend_tag_headers says so."""
    names = getattr(litellm, "extra_spend_tag_headers", None) or ()
    request = kwargs.get("proxy_server_request")
    headers = request.get("headers") if isinstance(request, Mapping) else None
    if not isinstance(headers, Mapping):
        return []
    return [f"{name}: {value}" for name in names if (value := headers.get(name))]


def _own_prices(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    places = [kwargs, kwargs.get("model_info")]
    for name in ("metadata", "litellm_metadata"):
        metadata = kwargs.get(name)
        places.append(metadata.get("model_info") if isinstance(metadata, dict) else None)
    for place in places:
        if isinstance(place, Mapping):
            found = {name: place[name] for name in _PER_TOKEN if place.get(name) is not None}
            if found:
                return found
    return {}


def _dearest(prices: Mapping[str, Any]) -> Decimal | None:
    """Of one token, of whatever kind."""
    found = [
        price
        for name, value in prices.items()
        if "cost_per_token" in name and (price := _money(value)) is not None
    ]
    return max(found, default=None)


@lru_cache(_CACHED)
def _info(model: str, provider: str | None) -> Mapping[str, Any]:
    """What LiteLLM's price list has of a model."""
    try:
        return dict(litellm.get_model_info(model=model, custom_llm_provider=provider))
    except Exception:  # noqa: BLE001 - it raises for models that it does not know
        return {}


def _money(value: object) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
        return None
    try:
        found = Decimal(str(value))
    except InvalidOperation:
        return None
    return found if found.is_finite() and found >= 0 else None
