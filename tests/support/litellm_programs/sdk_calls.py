"""200 calls of LiteLLM's SDK with our callback; prints what LiteLLM itself says of each attempt.

Runs in LiteLLM's own environment (tests/support/litellm.py), so nothing of ours is imported but
what a caller installs.
"""

import asyncio
import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import litellm
from litellm import Router
from litellm.caching import Cache
from litellm.integrations.custom_logger import CustomLogger
from spendbeat_gateway import default_recorder
from spendbeat_gateway.litellm import callback

ASK = [{"role": "user", "content": "hello"}]
MODELS = ("gpt-4o", "anthropic/claude-sonnet-4-5", "gemini/gemini-2.5-pro", "gpt-4o-mini")
UNKNOWN = "openai/nope-9"
FAILING = "litellm.RateLimitError"

attempts: list[dict[str, Any]] = []


class Own(CustomLogger):
    """LiteLLM's own numbers, by no code of ours."""

    def _note(self, kwargs: Any) -> None:
        said = kwargs["standard_logging_object"]
        names = ("startTime", "status", "prompt_tokens", "completion_tokens", "response_cost")
        more = ("cache_hit", "model", "custom_llm_provider", "trace_id")
        attempts.append({name: said[name] for name in (*names, *more)})

    def log_success_event(self, kwargs: Any, **_: Any) -> None:
        self._note(kwargs)

    def log_failure_event(self, kwargs: Any, **_: Any) -> None:
        self._note(kwargs)

    async def async_log_success_event(self, kwargs: Any, **_: Any) -> None:
        self._note(kwargs)

    async def async_log_failure_event(self, kwargs: Any, **_: Any) -> None:
        self._note(kwargs)


def one(number: int, **more: Any) -> None:
    litellm.completion(
        model=MODELS[number % len(MODELS)], messages=ASK, mock_response="hi " * (1 + number), **more
    )


async def one_async(number: int, **more: Any) -> Any:
    return await litellm.acompletion(
        model=MODELS[number % len(MODELS)], messages=ASK, mock_response="hi " * (1 + number), **more
    )


async def streamed(number: int) -> None:
    async for _ in await one_async(number, stream=True):
        pass


def streamed_sync(number: int) -> None:
    made = litellm.completion(
        model=MODELS[number % len(MODELS)],
        messages=ASK,
        mock_response="hi " * (1 + number),
        stream=True,
    )
    for _ in made:
        pass


def failing() -> None:
    with suppress(litellm.RateLimitError):
        litellm.completion(model="gpt-4o", messages=ASK, mock_response=FAILING)


async def failing_async() -> None:
    with suppress(litellm.RateLimitError):
        await litellm.acompletion(model="gpt-4o", messages=ASK, mock_response=FAILING)


def router() -> Router:
    def model(name: str, real: str, answer: str) -> dict[str, Any]:
        parameters = {"model": real, "mock_response": answer, "api_key": "unused"}
        return {"model_name": name, "litellm_params": parameters}

    models = [
        model("broken", "gpt-4o", FAILING),
        model("whole", "anthropic/claude-sonnet-4-5", "hi"),
        model("unknown", UNKNOWN, "hi"),
    ]
    fallbacks = [{"broken": ["whole"]}]
    return Router(model_list=models, fallbacks=fallbacks, num_retries=1, disable_cooldowns=True)


async def main() -> None:
    # 100 without waiting for one another
    await asyncio.gather(*(one_async(n) for n in range(40)), *(streamed(n) for n in range(20)))
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(one, range(40)))
    # 80 one by one
    for number in range(20):
        streamed_sync(number)
        failing()
        await failing_async()
    for _ in range(10):
        litellm.completion(model=UNKNOWN, messages=ASK, mock_response="hi")
        await litellm.aembedding(
            model="text-embedding-3-small", input=["a"], mock_response=[0.1, 0.2]
        )
    # 8 of which 6 come from the cache
    litellm.cache = Cache(type="local")
    for _ in range(4):
        await one_async(3, caching=True)
        await litellm.aembedding(
            model="text-embedding-3-small", input=["b"], mock_response=[0.3], caching=True
        )
        await asyncio.sleep(0.05)  # what is answered first is kept for the second in a task
    litellm.cache = None
    # 12 calls that are 28 attempts: two of the broken, one of the whole
    # At once, since LiteLLM waits for seconds between two attempts.
    routed = router()
    waiting = [asyncio.to_thread(routed.completion, model="broken", messages=ASK) for _ in range(4)]
    models = ("broken", "unknown") * 4
    waiting.extend(routed.acompletion(model=model, messages=ASK) for model in models)
    await asyncio.gather(*waiting)
    await settled()


async def settled() -> None:
    """LiteLLM tells its callbacks after the answer; what is left when the loop ends is lost."""
    before, until = -1, time.monotonic() + 30
    while before != len(attempts) and time.monotonic() < until:
        before = len(attempts)
        await asyncio.sleep(0.5)


litellm.suppress_debug_info = True
litellm.callbacks = [Own(), callback]
asyncio.run(main())
# A stream that is not read to its end: no callback is told of it.
next(iter(litellm.completion(model="gpt-4o", messages=ASK, mock_response="hi " * 9, stream=True)))
arrived = default_recorder().flush(30)
said = {"attempts": attempts, "arrived": arrived, "open": callback.calls().open}
sys.stdout.write(json.dumps(said))
