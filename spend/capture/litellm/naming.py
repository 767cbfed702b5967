"""Provider and model under one name each, whichever route told of them."""

from collections.abc import Mapping
from typing import Any

from spend.capture.litellm.loose import first, mapping, text

UNKNOWN = "unknown"
# LiteLLM's price list files these providers' models under several names.
_FAMILIES = ("vertex_ai", "bedrock")


def provider_and_model(payload: Mapping[str, Any]) -> tuple[str, str]:
    """`custom_llm_provider` and the model without that prefix.

    /v1/responses, /v1/messages and refused requests come without a provider: then it is the
    model's prefix, else the one that LiteLLM's price list names, else "unknown". Some calls of one
    deployment name the model with prefix and some without.
    """
    model = first(payload, "model", "model_group") or UNKNOWN
    prefix, slash, rest = model.partition("/")
    provider = text(payload.get("custom_llm_provider")) or _listed(payload, slash and prefix)
    provider = _family(provider)
    if slash and rest and _family(prefix) == provider:
        model = rest
    return provider, model


def _listed(payload: Mapping[str, Any], prefix: str) -> str:
    prices = mapping(mapping(payload.get("model_map_information")).get("model_map_value"))
    return prefix or text(prices.get("litellm_provider")) or UNKNOWN


def _family(provider: str) -> str:
    return next((name for name in _FAMILIES if provider.startswith(name)), provider)
