"""What asking the guard adds to a call through LiteLLM's proxy: by the callback, by its guardrail.

Three real proxies with a mock model, one call to each in turn, so that a busy machine disturbs all
alike: one with the callback that only records, one with the callback that asks the guard, one with
LiteLLM's generic guardrail that asks the service (and logs by LiteLLM's own logger). Added is the
difference of each call to the one beside it. The hook alone is timed inside of LiteLLM's SDK. One
budget matches, Redis is on a Unix socket.

    ./run test --collect-only -q    (makes LiteLLM's environment)
    ./run bench litellm_guard --calls 500
"""

import argparse
import json
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from decimal import Decimal
from pathlib import Path
from statistics import median, quantiles
from typing import Any

from redis import Redis
from spendbeat_gateway.guard import publishing
from spendbeat_gateway.guard.prices import publish_prices

from benchmarks.ingest import web
from benchmarks.stack import database, server, show
from tests.support.litellm import Proxy, environment, proxy, python
from tests.support.service import token
from tests.support.valkey import valkey

MODEL = "openai/gpt-4o-mini"
FIRST = "2026-11-01"
TIER = {"above": 0, "service": "", "rates": {"input": "0.15", "output": "0.6"}}
PRICE = {"until": None, "source": "bench", "daily": [{"from": 0, "tiers": [TIER]}]}
TAGS = "project:shop"
WARM = 20


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--calls", type=int, default=500)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(argv)
    found = measure(options.calls)
    if options.json:
        print(json.dumps(found))
        return 0
    rows = [[name, *(f"{ms:.2f}" for ms in each.values())] for name, each in found.items()]
    show(f"{options.calls} calls, milliseconds", ["", *next(iter(found.values()))], rows)
    return 0


def measure(calls: int) -> dict[str, dict[str, float]]:
    with ExitStack() as stack:
        redis = stack.enter_context(valkey())
        os.environ["SPENDBEAT_GUARD_REDIS_URL"] = redis.url.replace("unix", "redis+socket")
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        stack.enter_context(database(stack.enter_context(server())))
        secret = token("bench", "ingest", "guard")
        port, _ = stack.enter_context(web(1, folder / "web.log"))
        publish(redis.client)
        url = f"http://127.0.0.1:{port}"
        proxies = {
            name: stack.enter_context(running(folder / name, name, url, secret, redis.url))
            for name in ("recording", "callback", "guardrail")
        }
        times = {name: [one(to) for _ in range(WARM)][:0] for name, to in proxies.items()}
        for _ in range(calls):
            for name, to in proxies.items():
                times[name].append(one(to))
        plain = times["recording"]
        found = {"through a proxy that records": figures(plain)}
        for name, words in (("callback", "added by the callback"), ("guardrail", "the guardrail")):
            found[words] = figures([a - b for a, b in zip(times[name], plain, strict=True)])
        found["the hook alone"] = hook(calls, folder, redis.url)
        assert publishing.counts(redis.client).get("allowed", 0) > 2 * calls
        return found


def publish(redis: Redis) -> None:
    budget = {"id": 1, "name": "shop", "counter": "1.1", "keys": ["project=shop"]}
    period = {"first": FIRST, "starts": None, "ends": None}
    publishing.publish_rules(
        redis, {"budgets": [{**budget, "enforce": "block", "periods": [period]}]}
    )
    spent = publishing.Spent("1.1", FIRST, Decimal(0), Decimal(1_000_000), None, None)
    publishing.set_spent(redis, spent, reading=1, epoch=publishing.epoch(redis))
    publish_prices(redis, {MODEL: json.dumps({"segments": [PRICE]})})


@contextmanager
def running(folder: Path, name: str, url: str, secret: str, redis_url: str) -> Iterator[Proxy]:
    folder.mkdir()
    parameters = {"model": MODEL, "api_key": "unused", "mock_response": "hello"}
    config: dict[str, Any] = {"model_list": [{"model_name": "fast", "litellm_params": parameters}]}
    variables = {**environment(url, secret, folder / "spool")}
    if name == "guardrail":
        guardrail = {
            "guardrail": "generic_guardrail_api",
            "mode": "pre_call",
            "default_on": True,
            "api_base": url,
            "headers": {"Authorization": f"Bearer {secret}"},
            "additional_provider_specific_params": {"models": {"fast": MODEL}, "max_tokens": 100},
        }
        config["guardrails"] = [{"guardrail_name": "spendbeat", "litellm_params": guardrail}]
        config["litellm_settings"] = {"callbacks": ["generic_api"]}
        variables["GENERIC_LOGGER_ENDPOINT"] = f"{url}/ingest/litellm?partial=true"
        variables["GENERIC_LOGGER_HEADERS"] = f"Authorization=Bearer {secret}"
    else:
        config["litellm_settings"] = {"callbacks": ["spendbeat_gateway.litellm.callback"]}
    if name == "callback":
        variables |= guarded(redis_url)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with proxy(folder, port, config, variables) as started:
        yield started


def guarded(redis_url: str) -> dict[str, str]:
    return {"SPENDBEAT_GATEWAY_GUARD": "1", "SPENDBEAT_GATEWAY_REDIS_URL": redis_url}


def one(to: Proxy) -> float:
    """Milliseconds of one call."""
    began = time.perf_counter()
    answer = to.chat("fast", "hello", tags=TAGS, max_tokens=100)
    assert answer.is_success, answer.text
    return (time.perf_counter() - began) * 1000


def hook(calls: int, folder: Path, redis_url: str) -> dict[str, float]:
    program = Path(__file__).with_name("litellm_guard_calls.py")
    variables = {**environment("http://127.0.0.1:9", "", folder / "sdk"), **guarded(redis_url)}
    done = subprocess.run(
        [python(), str(program), str(calls)],
        env={**os.environ, **variables},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return figures(json.loads(done.stdout.splitlines()[-1]))


def figures(times: list[float]) -> dict[str, float]:
    return {"median": median(times), "p99": quantiles(times, n=100)[98]}
