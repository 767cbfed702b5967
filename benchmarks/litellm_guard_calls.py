"""Mock calls of LiteLLM's SDK; prints the milliseconds of each that our hook before it took.

Runs in LiteLLM's environment, started by benchmarks/litellm_guard.py.
"""

import asyncio
import json
import sys
import time
from typing import Any

import litellm
from spendbeat_gateway.litellm_guard import GuardedCallback

ASK = [{"role": "user", "content": "hello"}]
WARM = 20


class Timed(GuardedCallback):
    """The callback and a clock around its hook."""

    def __init__(self) -> None:
        super().__init__()
        self.times: list[float] = []

    async def async_pre_call_deployment_hook(self, kwargs: dict[str, Any], call_type: Any) -> Any:  # noqa: ANN401 - LiteLLM's
        began = time.perf_counter()
        try:
            return await super().async_pre_call_deployment_hook(kwargs, call_type)
        finally:
            self.times.append((time.perf_counter() - began) * 1000)


async def main(calls: int) -> list[float]:
    litellm.suppress_debug_info = True
    callback = Timed()
    litellm.callbacks = [callback]
    for _ in range(calls + WARM):
        await litellm.acompletion(
            model="openai/gpt-4o-mini",
            messages=ASK,
            max_tokens=100,
            mock_response="hi",
            metadata={"tags": ["project:shop"]},
        )
    callback.flush_guard()
    return callback.times[WARM:]


sys.stdout.write(json.dumps(asyncio.run(main(int(sys.argv[1])))))
sys.stdout.flush()
