"""LiteLLM's proxy as people run it, without a database: our callback, its own logger, and both."""

import json
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from spend.pricing import dollars, to_pico
from tests.support.captured import ledger
from tests.support.litellm import PROGRAMS, Proxy, environment, proxy
from tests.support.service import Service, serving, token
from tests.support.waiting import wait_for
from worker.database import transaction

CALLBACK = "spendbeat_gateway.litellm.callback"
TWICE = 2  # most requests are made so often
ATTEMPTS = 10 * TWICE + 2  # "broken" is two: the one that fails, and its fallback


def deployment(name: str, model: str, answer: object, **more: object) -> dict[str, Any]:
    parameters = {"model": model, "api_key": "unused", "mock_response": answer, **more}
    return {"model_name": name, "litellm_params": parameters}


MODELS = [
    deployment("fast", "openai/gpt-4o-mini", "hello"),
    deployment("claude", "anthropic/claude-sonnet-4-5", "hello"),
    deployment("broken", "openai/gpt-4o", "litellm.RateLimitError"),
    deployment("unknown", "openai/nope-9", "hello"),
    deployment(
        "own", "openai/in-house", "hello", input_cost_per_token=0.5, output_cost_per_token=1
    ),
    deployment("gift", "openai/given", "hello", input_cost_per_token=0, output_cost_per_token=0),
    deployment("vectors", "openai/text-embedding-3-small", [0.1, 0.2]),
]


def generic(url: str, secret: str, log_format: str) -> dict[str, Any]:
    """LiteLLM's built-in logger, under a name of its own in callback_settings."""
    return {
        "callback_type": "generic_api",
        "endpoint": f"{url}/ingest/litellm?partial=true",
        "headers": {"Authorization": f"Bearer {secret}"},
        "log_format": log_format,
        "max_retries": 3,
    }


@contextmanager
def running(
    folder: Path, service: Service, secret: str, callbacks: list[str], **settings: Any
) -> Iterator[Proxy]:
    """A proxy with these callbacks, and one that collects LiteLLM's own payloads."""
    (folder / "own.py").write_text((PROGRAMS / "own.py").read_text())
    config = {
        "model_list": MODELS,
        "router_settings": {
            "fallbacks": [{"broken": ["claude"]}],
            "num_retries": 0,
            "disable_cooldowns": True,
        },
        "litellm_settings": {
            "callbacks": ["own.collector", *callbacks],
            "cache": True,
            "cache_params": {"type": "local", "supported_call_types": ["acompletion"]},
        },
        **settings,
    }
    variables = {
        **environment(service.url, secret, folder / "spool"),
        "OWN_LOG": str(folder / "own.jsonl"),
        # The built-in logger sends once, when the last attempt is there: it drops what ends while a
        # batch is on its way (test_litellm_built_in_logger.py).
        "DEFAULT_BATCH_SIZE": str(ATTEMPTS),
        "DEFAULT_FLUSH_INTERVAL_SECONDS": "3600",
        "GENERIC_LOGGER_ENDPOINT": f"{service.url}/ingest/litellm",
        "GENERIC_LOGGER_HEADERS": f"Authorization=Bearer {secret}",
    }
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with proxy(folder, port, config, variables) as started:
        yield started


def traffic(to: Proxy) -> None:
    for n in range(TWICE):
        said = {"tags": ["project:alpha", "blue"], "spend_logs_metadata": {"sprint": "s1"}}
        no_cache = {"cache": {"no-cache": True}}
        to.chat("fast", f"{n}", metadata=said, user="end-user", **no_cache, tags="team:web")
        to.chat("fast", "the same")  # from the cache the second time
        to.chat("fast", f"stream {n}", stream=True)
        to.chat("broken", f"{n}")
        to.chat("unknown", f"{n}")
        to.chat("own", f"{n}")
        to.chat("gift", f"{n}")
        to.chat("no-such-model", f"{n}")
        to.ask("embeddings", {"model": "vectors", "input": [f"{n}"]})
    # The mocks of these two always answer with one and the same response id.
    to.ask("responses", {"model": "fast", "input": "hello"})
    message = [{"role": "user", "content": "hello"}]
    to.ask("messages", {"model": "claude", "max_tokens": 9, "messages": message})


def told(folder: Path) -> list[dict[str, Any]]:
    """LiteLLM's own payloads: one per attempt, although it tells some of them by both hooks."""
    file = folder / "own.jsonl"
    lines = file.read_text().splitlines() if file.exists() else []
    payloads = [json.loads(line) for line in lines]
    return list({(p["litellm_call_id"], p["startTime"]): p for p in payloads}.values())


def expected(payload: dict[str, Any]) -> tuple[object, ...]:
    """An attempt as LiteLLM has it, in the ledger's terms; its cost apart."""
    prefix, _, model = payload["model"].rpartition("/")
    return (
        round(payload["startTime"] * 1_000_000),
        prefix or payload["custom_llm_provider"] or "unknown",
        model,
        payload["status"],
        payload["prompt_tokens"],
        payload["completion_tokens"],
    )


def booked() -> dict[tuple[object, ...], Decimal | None]:
    rows = ledger(
        "(extract(epoch FROM started_at) * 1000000)::bigint, provider, model, status,"
        " input_tokens, output_tokens, cost_usd"
    )
    found = {tuple(row[:-1]): row.cost_usd for row in rows}
    assert len(found) == len(rows), "an attempt is there twice"
    return found


@pytest.mark.parametrize(
    ("callbacks", "log_format"),
    [
        pytest.param([CALLBACK], None, id="callback"),
        pytest.param(["generic_api"], None, id="built-in logger"),
        pytest.param([CALLBACK, "spendbeat"], "ndjson", id="both"),
    ],
)
def test_each_attempt_is_booked_once_whatever_tells_of_it(
    database: str, tmp_path: Path, callbacks: list[str], log_format: str | None
) -> None:
    secret = token("proxy")
    with serving(secret) as service:
        settings = {}
        if log_format:
            logger = generic(service.url, secret, log_format)
            settings["callback_settings"] = {"spendbeat": logger}
        with running(tmp_path, service, secret, callbacks, **settings) as started:
            traffic(started)
            wait_for(lambda: len(told(tmp_path)) >= ATTEMPTS, "LiteLLM to tell of all attempts")
            wait_for(lambda: len(booked()) >= ATTEMPTS, "all attempts in the ledger")
            attempts = told(tmp_path)
        assert len(attempts) == ATTEMPTS
    found = booked()
    assert sorted(found) == sorted(map(expected, attempts))
    check_costs(attempts, found)
    check_attribution()
    assert conflicts() == 0


def check_costs(
    attempts: list[dict[str, Any]], found: dict[tuple[object, ...], Decimal | None]
) -> None:
    for payload in attempts:
        cost = found[expected(payload)]
        said = dollars(to_pico(Decimal(str(payload["response_cost"]))))
        if payload["model"] == "openai/nope-9":
            assert (cost, said) == (None, 0), "behind a proxy an unknown price looks like 0"
        elif payload["call_type"] == "anthropic_messages":
            # LiteLLM cannot price what its own mock answers; our list can.
            assert payload["response_cost_failure_debug_info"]
            assert cost == Decimal("0.01383")
        else:
            assert cost == said
    free = {p["model"] for p in attempts if p["status"] == "success" and not p["response_cost"]}
    assert free == {
        "openai/nope-9",
        "openai/given",
        "openai/gpt-4o-mini",  # from the cache
        "anthropic/claude-sonnet-4-5",
    }


def check_attribution() -> None:
    rows = ledger(
        "(SELECT row(project, team, sprint, tags)::text FROM attributions AS a"
        " WHERE a.id = attribution_id) AS who, end_user"
    )
    who = Counter((row.who, row.end_user) for row in rows if row.end_user)
    assert who == {("(alpha,web,s1,{blue})", "end-user"): TWICE}


def conflicts() -> int:
    with transaction("spendbeat_reader") as session:
        return session.scalar(text("SELECT count(*) FROM request_conflicts")) or 0
