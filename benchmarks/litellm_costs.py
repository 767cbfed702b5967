"""LiteLLM's costs of usages from standard input, one JSON object a line.

Run by benchmarks.prices, in LiteLLM's own environment. The last line it writes is a list of costs
as text, or of why there is none.
"""

import json
import os
import sys
from importlib import import_module
from typing import Any

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
os.environ["LITELLM_LOG"] = "ERROR"
litellm = import_module("litellm")
types = import_module("litellm.types.utils")


def usage(case: dict[str, Any]) -> object:
    """LiteLLM's own form of a usage."""
    written = case["cache_write_tokens"] + case["cache_write_1h_tokens"]
    prompt: dict[str, Any] = {
        "cached_tokens": case["cache_read_tokens"],
        "audio_tokens": case["audio_input_tokens"],
        "cached_tokens_details": {"audio_tokens": case["cached_audio_tokens"]},
    }
    if written:
        prompt["cache_creation_tokens"] = written
        prompt["cache_creation_token_details"] = types.CacheCreationTokenDetails(
            ephemeral_5m_input_tokens=case["cache_write_tokens"],
            ephemeral_1h_input_tokens=case["cache_write_1h_tokens"],
        )
    return types.Usage(
        prompt_tokens=case["input_tokens"],
        completion_tokens=case["output_tokens"],
        total_tokens=case["input_tokens"] + case["output_tokens"],
        prompt_tokens_details=prompt,
        completion_tokens_details={
            "reasoning_tokens": case["reasoning_tokens"],
            "audio_tokens": case["audio_output_tokens"],
        },
    )


def cost(case: dict[str, Any]) -> float:
    """By completion_cost, or by cost_per_token for a batch, as LiteLLM does when one is settled."""
    if case["service_tier"] == "batch":
        return sum(
            litellm.cost_per_token(
                model=case["model"],
                custom_llm_provider=case["provider"],
                usage_object=usage(case),
                call_type="retrieve_batch",
            )
        )
    response = types.ModelResponse(model=case["model"], usage=usage(case))
    return float(
        litellm.completion_cost(
            completion_response=response,
            model=case["model"],
            custom_llm_provider=case["provider"],
            service_tier=case["service_tier"],
        )
    )


def said(case: dict[str, Any]) -> dict[str, str]:
    try:
        return {"cost": repr(cost(case))}
    except Exception as error:  # noqa: BLE001 - LiteLLM raises bare ones; each is part of the result
        return {"error": f"{type(error).__name__}: {str(error).splitlines()[0][:200]}"}


answers = [said(json.loads(line)) for line in sys.stdin]
print("\n" + json.dumps(answers))
