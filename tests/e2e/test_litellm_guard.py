"""LiteLLM's proxy with the callback that asks the guard before each attempt."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from redis import Redis
from spendbeat_gateway.guard import publishing
from spendbeat_gateway.guard.prices import publish_prices
from sqlalchemy import text

from spend.capture.identity import key_of_id
from tests.support import guards
from tests.support.captured import ledger
from tests.support.litellm import MASTER_KEY, Proxy, environment, proxy
from tests.support.service import serving, token
from tests.support.upstream import Upstream, upstream
from tests.support.valkey import Valkey, valkey
from tests.support.waiting import wait_for
from worker.database import transaction

CALLBACK = "spendbeat_gateway.litellm.callback"
PRICES = {"input_cost_per_token": 0.00001, "output_cost_per_token": 0.00002}
COST = Decimal("0.0005")  # 10 tokens of input, 20 of output
NANO = 10**9
TIER = {"above": 0, "service": "", "rates": {"input": "10", "output": "20"}}  # per million tokens
DAILY = [{"from": 0, "tiers": [TIER]}]
PRICE = json.dumps({"segments": [{"until": None, "source": "test", "daily": DAILY}]})
ENDS = datetime(2100, 1, 1, tzinfo=UTC)
PERIOD = {"first": guards.FIRST, "starts": 0, "ends": ENDS.timestamp()}
SHOP = {"spend_logs_metadata": {"project": "shop"}}
OTHER = {"spend_logs_metadata": {"project": "other"}}


@pytest.fixture(scope="module")
def provider() -> Iterator[Upstream]:
    with upstream() as started:
        yield started


@contextmanager
def running(
    folder: Path, provider: Upstream, variables: dict[str, str], **settings: Any
) -> Iterator[Proxy]:
    """A proxy whose models all cost the same and are all answered by `provider`."""

    def deployment(name: str, model: str) -> dict[str, Any]:
        parameters = {"model": model, "api_key": "unused", "api_base": provider.url, **PRICES}
        return {"model_name": name, "litellm_params": parameters}

    config = {
        "model_list": [
            deployment("fast", "openai/gpt-4o-mini"),
            deployment("fast", "openai/gpt-4o"),
            deployment("broken", "openai/gpt-4.1"),
            deployment("backup", "openai/gpt-4.1-mini"),
        ],
        "router_settings": {"fallbacks": [{"broken": ["backup"]}], "num_retries": 2},
        **settings,
    }
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with proxy(folder, port, config, variables) as started:
        yield started


def ask(to: Proxy, content: str = "hello", model: str = "fast", **more: Any) -> httpx.Response:
    said = {"metadata": SHOP, "max_tokens": 100, **more}
    return to.chat(model, content, **said)


@pytest.fixture
def server() -> Iterator[Valkey]:
    with valkey() as started:
        guards.publish(
            started.client,
            guards.budget(1, "project=shop", name="shop", periods=[PERIOD]),
            guards.budget(2, "project=other"),
        )
        guards.fill(started.client, 1, "0.02", ends=ENDS)
        guards.fill(started.client, 2, 100)
        yield started


def test_the_callback_refuses_settles_and_releases(
    database: str, tmp_path: Path, server: Valkey, provider: Upstream
) -> None:
    secret, redis = token("proxy"), server.client
    settings = {"litellm_settings": {"callbacks": [CALLBACK], "request_timeout": 3}}
    with serving(secret) as service:
        variables = {
            **environment(service.url, secret, tmp_path / "spool"),
            "SPENDBEAT_GATEWAY_GUARD": "1",
            "SPENDBEAT_GATEWAY_REDIS_URL": server.url,
        }
        with running(tmp_path, provider, variables, **settings) as to:
            calls = passes_until_the_budget_is_full(to, redis)
            others_are_not_refused(to, redis)
            guards.fill(redis, 1, 100, ends=ENDS, reading=2)
            failures_hold_nothing(to, redis, calls)
            whoever_goes_away_gives_back(to, redis, provider)
            what_was_held_is_in_the_ledger(redis)


def test_the_generic_guardrail_blocks_and_its_events_settle(
    database: str, tmp_path: Path, server: Valkey, provider: Upstream
) -> None:
    """Nothing of ours is in the proxy: LiteLLM asks our service, and its own logger tells it."""
    secret, redis = token("proxy", "ingest", "guard"), server.client
    publish_prices(redis, {"openai/gpt-4o-mini": PRICE})
    with serving(secret, guard_redis_url=server.url.replace("unix", "redis+socket")) as service:
        guardrail = {
            "guardrail": "generic_guardrail_api",
            "mode": "pre_call",
            "default_on": True,
            "api_base": service.url,
            "headers": {"Authorization": f"Bearer {secret}"},
            "additional_provider_specific_params": {
                "models": {"fast": "openai/gpt-4o-mini"},
                "max_tokens": 100,
            },
        }
        settings = {
            "guardrails": [{"guardrail_name": "spendbeat", "litellm_params": guardrail}],
            "litellm_settings": {"callbacks": ["generic_api"]},
        }
        variables = {
            **environment(service.url, secret, tmp_path / "spool"),
            "DEFAULT_BATCH_SIZE": "1",
            "GENERIC_LOGGER_ENDPOINT": f"{service.url}/ingest/litellm?partial=true",
            "GENERIC_LOGGER_HEADERS": f"Authorization=Bearer {secret}",
        }
        with running(tmp_path, provider, variables, **settings) as to:
            calls = 0
            while (answer := tagged(to)).is_success:
                calls += 1
                settled(redis)  # the logger loses what ends while a batch is on its way
                assert calls < 40
            assert calls > 10
            assert answer.status_code == 400
            assert "Budget 'shop' has $0.0" in answer.json()["error"]["message"]
            assert settled(redis) == calls * COST * NANO
            assert tagged(to, "project:other").is_success
            what_was_held_is_in_the_ledger(redis)


def tagged(to: Proxy, tags: str = "project:shop") -> httpx.Response:
    """With the header that reaches a guardrail."""
    return to.chat("fast", "hello", tags=tags, max_tokens=100)


def settled(redis: Redis, number: int = 1) -> int:
    """Nano-dollars, once nothing is held any more."""
    wait_for(lambda: guards.counter(redis, number).held == 0, "all holds to end")
    return guards.counter(redis, number).settled


def passes_until_the_budget_is_full(to: Proxy, redis: Redis) -> int:
    calls = 0
    while (answer := ask(to)).is_success:
        calls += 1
        assert calls < 40
    assert calls > 10, answer.text
    assert answer.status_code == 429, answer.text
    said = answer.json()["error"]["message"]
    assert "Budget 'shop' has $0.0" in said
    assert "of $0.02 left until 2100-01-01 00:00 UTC; this call may cost $0.0" in said
    assert int(answer.headers["retry-after"]) > 2_000_000_000
    assert answer.headers["x-should-retry"] == "false"
    assert settled(redis) == calls * COST * NANO
    return calls


def others_are_not_refused(to: Proxy, redis: Redis) -> None:
    """A refusal cools no deployment down, and the Router does not ask again."""
    for _ in range(4):
        assert ask(to).status_code == 429
        assert ask(to, metadata=OTHER).is_success
    wait_for(lambda: refused(redis) >= 5, "the counts of refusals")
    assert refused(redis) == 5


def refused(redis: Redis) -> int:
    return publishing.counts(redis).get("refused:budget", 0)


def failures_hold_nothing(to: Proxy, redis: Redis, calls: int) -> None:
    """Each attempt is asked for: two retries and a fallback here; only the last one costs."""
    answer = ask(to, "fail", model="broken")
    assert answer.status_code == 500
    assert settled(redis) == calls * COST * NANO


def whoever_goes_away_gives_back(to: Proxy, redis: Redis, provider: Upstream) -> None:
    before = settled(redis)
    for more in ({}, {"stream": True}):
        go_away(to, provider, more)
        wait_for(lambda: guards.counter(redis, 1).held == 0, f"a hold to end ({more})", 20)
    provider.release.set()
    assert ask(to, stream=True).is_success
    assert settled(redis) >= before + COST * NANO


def go_away(to: Proxy, provider: Upstream, more: dict[str, Any]) -> None:
    """Ask, wait until the provider has begun, and close the connection."""
    gone = threading.Event()

    def call() -> None:
        bearer = {"Authorization": f"Bearer {MASTER_KEY}"}
        said = {"model": "fast", "max_tokens": 100, "metadata": SHOP, **more}
        said["messages"] = [{"role": "user", "content": "hang"}]
        with httpx.Client(base_url=to.client.base_url, headers=bearer, trust_env=False) as client:
            request = client.build_request("POST", "/v1/chat/completions", json=said)
            with client.stream(
                "POST", request.url, content=request.content, headers=request.headers, timeout=1.5
            ) as answer:
                for _ in answer.iter_bytes():
                    break
                gone.wait(1)

    def quiet() -> None:
        with suppress(httpx.TransportError):
            call()

    thread = threading.Thread(target=quiet)
    thread.start()
    assert provider.begun.acquire(timeout=10)
    thread.join()


def what_was_held_is_in_the_ledger(redis: Redis) -> None:
    """By the ids of its holds Spendbeat finds what of the counter its own figures cover."""
    held = {key_of_id(hold) for hold in guards.pending(redis, 1)}
    wait_for(lambda: held <= set(request_keys()), "all that was settled in the ledger")
    rows = ledger(
        "cost_usd, (SELECT project FROM attributions AS a WHERE a.id = attribution_id) AS project"
    )
    spent = sum(row.cost_usd for row in rows if row.project == "shop")
    assert spent * NANO == guards.counter(redis, 1).settled


def request_keys() -> list[bytes]:
    with transaction("spendbeat_reader") as session:
        return [key.bytes for key in session.scalars(text("SELECT key FROM request_keys"))]
