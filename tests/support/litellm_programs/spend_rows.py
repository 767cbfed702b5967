"""Run by the Python of LiteLLM's own environment: what one call is to its callback and its table.

Prints a JSON list of {"payload": StandardLoggingPayload, "row": a row of LiteLLM_SpendLogs}, made
by LiteLLM itself from the same calls (mock responses: nothing leaves this machine).
"""

import contextlib
import json
import sys
import time

import litellm
from litellm.integrations.custom_logger import CustomLogger
from litellm.proxy.spend_tracking.spend_tracking_utils import get_logging_payload

KEY = {
    "user_api_key": "d" * 64,
    "user_api_key_hash": "d" * 64,
    "user_api_key_alias": "checkout",
    "user_api_key_team_id": "team-1",
    "user_api_key_user_id": "ada",
    "spend_logs_metadata": {"project": "alpha"},
}
USAGE = {
    "prompt_tokens": 2000, "completion_tokens": 300, "total_tokens": 2300,
    "prompt_tokens_details": {"cached_tokens": 1500},
    "completion_tokens_details": {"reasoning_tokens": 120},
}  # fmt: skip
MESSAGES = [{"role": "user", "content": "How much is the fish?"}]
found = []


class Both(CustomLogger):
    """Hears each event and keeps both forms of it."""

    def log_success_event(self, kwargs, response_obj, start_time, end_time) -> None:  # noqa: ANN001 - LiteLLM's
        """As the proxy's own logger does it."""
        row = get_logging_payload(kwargs, response_obj, start_time, end_time)
        found.append({"payload": kwargs["standard_logging_object"], "row": row})

    def log_failure_event(self, kwargs, response_obj, start_time, end_time) -> None:  # noqa: ANN001 - LiteLLM's
        """As the proxy's hook after a failure does it, which has its own view of the call."""
        told = {**kwargs["litellm_params"]["metadata"], "status": "failure"}
        seen = {
            "litellm_call_id": kwargs["litellm_call_id"],
            "model": kwargs["model"],
            "custom_llm_provider": kwargs["custom_llm_provider"],
            "litellm_params": {**kwargs["litellm_params"], "metadata": told},
        }
        row = get_logging_payload(seen, {}, start_time, end_time)
        found.append({"payload": kwargs["standard_logging_object"], "row": row})


def main() -> None:
    """A success with cached tokens, an unknown model, a failure, an embedding, a cache hit."""
    litellm.callbacks = [Both()]
    told = {"messages": MESSAGES, "metadata": dict(KEY)}
    answer = litellm.ModelResponse(usage=litellm.Usage(**USAGE), model="gpt-4o")
    litellm.completion(model="openai/gpt-4o", mock_response=answer, **told)
    litellm.completion(model="openai/orchid-9", mock_response="fish", **told)
    with contextlib.suppress(litellm.APIError, litellm.InternalServerError, litellm.RateLimitError):
        litellm.completion(
            model="gpt-4o", mock_response="litellm.RateLimitError", max_retries=0, **told
        )
    litellm.embedding(
        model="text-embedding-3-small", input=["fish"], mock_response=[0.1, 0.2], metadata=dict(KEY)
    )
    litellm.cache = litellm.Cache()
    for _ in range(2):
        litellm.completion(model="gpt-4o", mock_response="fish", caching=True, **told)
        time.sleep(0.3)  # the cache is filled by a thread
    end = time.monotonic() + 20
    while len(found) < int(sys.argv[1]) and time.monotonic() < end:
        time.sleep(0.05)
    print(json.dumps(found, default=str))  # noqa: T201 - what the test reads


main()
