"""What LiteLLM's proxy would write to its spend logs for a call of each model; prints JSON.

Runs in LiteLLM's own environment: the payload is built by LiteLLM, from a mock response.

    .venv-litellm/bin/python benchmarks/litellm_payloads.py '[["openai", "gpt-4o"]]'
"""

import asyncio
import json
import os
import sys
from datetime import datetime
from typing import Any

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

import litellm  # type: ignore[import-not-found,unused-ignore]
from litellm.integrations.custom_logger import (  # type: ignore[import-not-found,unused-ignore]
    CustomLogger,
)
from litellm.proxy.spend_tracking.spend_tracking_utils import (  # type: ignore[import-not-found,unused-ignore]
    get_logging_payload,
)

WHO = {
    "user_api_key": "a-key",
    "user_api_key_alias": "acme-platform",
    "user_api_key_team_id": "platform",
    "user_api_key_team_alias": "platform",
    "user_api_key_user_id": "user-001",
    "user_api_key_org_id": "acme",
    "user_api_key_project_id": None,
    "tags": [],
}


class Collector(CustomLogger):  # type: ignore[misc,unused-ignore]
    """Keeps what the proxy's own callback would hand to its writer."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[dict[str, Any]] = []
        self._event = asyncio.Event()

    async def heard(self) -> None:
        """Until the call before is logged."""
        await self._event.wait()
        self._event.clear()

    async def async_log_success_event(
        self, kwargs: dict[str, Any], response_obj: object, start_time: datetime, end_time: datetime
    ) -> None:
        self.found.append(get_logging_payload(kwargs, response_obj, start_time, end_time))
        self._event.set()


async def payloads(models: list[list[str]]) -> list[dict[str, Any]]:
    collector = Collector()
    litellm.callbacks = [collector]
    for provider, model in models:
        # A provider that LiteLLM does not know by this name costs it the same work as another.
        for name in (f"{provider}/{model}", f"openai/{model}"):
            try:
                await litellm.acompletion(
                    model=name,
                    messages=[{"role": "user", "content": "hello"}],
                    mock_response="hello",
                    metadata=dict(WHO),
                )
                break
            except litellm.exceptions.BadRequestError:
                continue
        await collector.heard()
    return collector.found


print(json.dumps(asyncio.run(payloads(json.loads(sys.argv[1]))), default=str))
