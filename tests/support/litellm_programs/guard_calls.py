"""Calls of LiteLLM's SDK with the guard; prints what became of each and of what was held."""

import asyncio
import gc
import json
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import litellm
from redis import Redis
from spendbeat_gateway import faults
from spendbeat_gateway.guard import publishing
from spendbeat_gateway.litellm import callback
from spendbeat_gateway.litellm_guard import GuardedCallback

ASK = {"messages": [{"role": "user", "content": "hello"}], "max_tokens": 100}
MODEL = {"model": "openai/gpt-4o-mini", "api_key": "unused"}
SHOP = {"metadata": {"spend_logs_metadata": {"project": "shop"}}}
ODD: list[Any] = [{}, {"model": 7, "metadata": []}, {"litellm_logging_obj": object()}]
ENDS: list[Any] = [None, {}, {"standard_logging_object": 7}, {"litellm_call_id": []}, []]

assert isinstance(callback, GuardedCallback)
litellm.callbacks = [callback]
litellm.suppress_debug_info = True
redis = Redis.from_url(sys.argv[1], decode_responses=True)


def held() -> tuple[int, int]:
    assert callback.flush_guard()
    counter = publishing.counter(redis, "1.1", sys.argv[2])
    assert counter is not None
    return counter.held, counter.settled


async def held_at_last() -> int:
    """What stays held once LiteLLM has told of the ends, which it does in tasks of its own."""
    for _ in range(100):
        if held()[0] == 0:
            return 0
        await asyncio.sleep(0.05)
    return held()[0]


async def chat(**more: Any) -> Any:
    return await litellm.acompletion(**{**MODEL, **ASK, **SHOP, "mock_response": "hi", **more})


async def asked(call: Callable[[], Awaitable[Any]]) -> dict[str, Any]:
    """Whether the guard was asked, what stays held and what was settled by a call."""
    before, count = held()[1], callback.guard_stats().get("allowed", 0)
    try:
        await call()
        error = None
    except Exception as raised:  # noqa: BLE001 - it is what is looked at
        error = type(raised).__name__
    left = await held_at_last()
    asks = callback.guard_stats().get("allowed", 0) - count
    return {"asked": asks, "held": left, "settled": held()[1] - before, "error": error}


async def cancelled() -> None:
    task = asyncio.create_task(chat(mock_response="hi", mock_delay=30))
    while not held()[0]:  # noqa: ASYNC110 - it comes from Redis
        await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def abandoned() -> None:
    stream = await chat(stream=True, mock_response="one two three")
    assert held()[0]
    await anext(aiter(stream))
    del stream
    gc.collect()


async def odd() -> int:
    """Whatever the hook is given, it does not raise."""
    before = faults.count
    for kwargs in ODD:
        for kind in ("acompletion", None, object()):
            assert await callback.async_pre_call_deployment_hook(kwargs, kind) is None
    for kwargs in ENDS:
        end = {"kwargs": kwargs, "response_obj": None, "start_time": None, "end_time": None}
        await callback.async_log_success_event(**end)
        await callback.async_log_failure_event(**end)
    return faults.count - before


async def main() -> dict[str, Any]:
    found: dict[str, Any] = {
        "chat": await asked(chat),
        "stream": await asked(lambda: drained(chat(stream=True))),
        "failed": await asked(lambda: chat(mock_response="litellm.InternalServerError")),
        "cancelled": await asked(cancelled),
        "abandoned": await asked(abandoned),
        "responses": await asked(
            lambda: litellm.aresponses(
                **MODEL, **SHOP, input="hi", max_output_tokens=100, mock_response="hi"
            )
        ),
        "messages": await asked(
            lambda: litellm.anthropic_messages(
                model="anthropic/claude-sonnet-4-5", **ASK, **SHOP, mock_response="hi"
            )
        ),
        "embedding": await asked(
            lambda: litellm.aembedding(
                model="openai/text-embedding-3-small", input=["hi"], mock_response=[0.1], **SHOP
            )
        ),
        "listed": await asked(lambda: callback.async_pre_call_deployment_hook({}, "alist_files")),
        "sync": await asked(lambda: asyncio.to_thread(sync)),
        "odd": await odd(),
    }
    redis.flushall()
    publishing.publish_rules(redis, json.loads(sys.argv[3]))
    spent = publishing.Spent("1.1", sys.argv[2], 0, 0, None, None)
    publishing.set_spent(redis, spent, reading=1, epoch=publishing.epoch(redis))
    try:
        await chat(num_retries=2)
    except litellm.RateLimitError as error:
        found["refused"] = [type(error).__name__, error.status_code, error.message]
        found["budget"] = error.refusal.budget
    found["refusals"] = callback.guard_stats().get("refused:budget")
    return found


def sync() -> None:
    litellm.completion(**MODEL, **ASK, **SHOP, mock_response="hi")


async def drained(stream: Awaitable[Any]) -> None:
    async for _ in await stream:
        pass


sys.stdout.write(json.dumps(asyncio.run(main())))
