"""LiteLLM's SDK with the guard: what is asked for, and that nothing stays held."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from spendbeat_gateway.guard.prices import publish_prices

from tests.support import guards
from tests.support.litellm import calls, environment
from tests.support.valkey import valkey

MODELS = ("openai/gpt-4o-mini", "anthropic/claude-sonnet-4-5", "openai/text-embedding-3-small")
TIER = {"above": 0, "service": "", "rates": {"input": "10", "output": "20"}}  # per million tokens
DAILY = [{"from": 0, "tiers": [TIER]}]
PRICE = json.dumps({"segments": [{"until": None, "source": "test", "daily": DAILY}]})


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    folder: Path = tmp_path_factory.mktemp("spool")
    rules = {"budgets": [guards.budget(1, "project=shop", name="shop")]}
    with valkey() as server:
        guards.publish(server.client, *rules["budgets"])
        guards.fill(server.client, 1, 1000)
        publish_prices(server.client, dict.fromkeys(MODELS, PRICE))
        variables = {
            **environment("http://127.0.0.1:9", "", folder),
            "SPENDBEAT_GATEWAY_GUARD": "1",
            "SPENDBEAT_GATEWAY_REDIS_URL": server.url,
        }
        arguments = (server.url, guards.FIRST, json.dumps(rules))
        yield calls("guard_calls.py", variables, *arguments)


@pytest.mark.parametrize("call", ["chat", "stream", "responses", "messages", "embedding"])
def test_a_call_is_asked_for_once_and_settled(said: dict[str, Any], call: str) -> None:
    assert said[call]["error"] is None
    assert said[call]["asked"] == 1
    assert said[call]["held"] == 0
    assert said[call]["settled"] > 0


@pytest.mark.parametrize("call", ["failed", "cancelled", "abandoned"])
def test_a_call_that_comes_to_nothing_holds_nothing(said: dict[str, Any], call: str) -> None:
    assert (said[call]["asked"], said[call]["held"], said[call]["settled"]) == (1, 0, 0)


@pytest.mark.parametrize("call", ["listed", "sync"])
def test_what_costs_nothing_and_synchronous_calls_are_not_asked_for(
    said: dict[str, Any], call: str
) -> None:
    assert (said[call]["asked"], said[call]["error"]) == (0, None)


def test_a_refusal_is_a_rate_limit_error_that_says_which_budget(said: dict[str, Any]) -> None:
    name, status, message = said["refused"]
    assert (name, status, said["budget"]) == ("BudgetRefusedError", 429, "shop")
    assert message.startswith("Budget 'shop' has $0 of $0 left; this call may cost $0.0")


def test_nothing_odd_makes_the_hook_raise(said: dict[str, Any]) -> None:
    assert said["odd"] >= 0
