"""The guard over HTTP: room asked for, settled, given back; and LiteLLM's generic guardrail."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from redis import Redis
from spendbeat_gateway.guard import prices
from sqlalchemy import text

from spend.capture.identity import key_of_id
from tests.support import guards
from tests.support.captured import ledger
from tests.support.service import Service, serving, token
from tests.support.valkey import Valkey, valkey
from worker.database import transaction

ENDS = datetime(2100, 1, 1, tzinfo=UTC)
CALL = {"provider": "openai", "model": "gpt-4o", "project": "shop"}
TIER = {"above": 0, "service": "", "rates": {"input": "10", "output": "20"}}  # per million tokens
DAILY = [{"from": 0, "tiers": [TIER]}]
PRICE = json.dumps({"segments": [{"until": None, "source": "test", "daily": DAILY}]})
GUARDRAIL = "/beta/litellm_basic_guardrail_api"


@pytest.fixture
def server() -> Iterator[Valkey]:
    with valkey() as started:
        period = {"first": guards.FIRST, "starts": 0, "ends": ENDS.timestamp()}
        budget = guards.budget(1, "project=shop", name="shop", periods=[period])
        guards.publish(started.client, budget)
        guards.fill(started.client, 1, "0.10", ends=ENDS)
        yield started


@pytest.fixture
def redis(server: Valkey) -> Redis:
    return server.client


@pytest.fixture
def service(database: str, server: Valkey) -> Iterator[Service]:
    path = server.url.removeprefix("unix://")
    url = f"redis+socket://{path}?virtual_host=0"
    with serving(token("guard", "guard", "ingest"), guard_redis_url=url) as started:
        yield started


def reserve(service: Service, **more: object) -> dict[str, Any]:
    answer = service.post({**CALL, **more}, "/guard/reserve")
    said: dict[str, Any] = answer.json()
    return {**said, "status": answer.status_code, "wait": answer.headers.get("retry-after")}


def held(redis: Redis) -> tuple[int, int]:
    """Nano-dollars held and settled."""
    found = guards.counter(redis, 1)
    return found.held, found.settled


def test_room_is_kept_until_it_is_settled_or_given_back(service: Service, redis: Redis) -> None:
    first = reserve(service, estimate_usd="0.06")
    assert (first["status"], first["enforced"]) == (200, True)
    assert held(redis) == (60_000_000, 0)
    second = reserve(service, estimate_usd="0.06")
    assert second["status"] == 429
    assert second["error"].startswith("Budget 'shop' has $0.04 of $0.10 left until 2100-01-01")
    assert (second["reason"], second["budget"], second["allowed"]) == ("budget", "shop", False)
    assert Decimal(second["left_usd"]) == Decimal("0.04")
    assert int(second["wait"]) > 2_000_000_000
    for _ in range(2):
        answer = service.post({"hold": first["hold"], "cost_usd": "0.013"}, "/guard/settle")
        assert answer.json() == {"settled": True}
    assert held(redis) == (0, 13_000_000)
    third = reserve(service, estimate_usd="0.06")
    for _ in range(2):
        assert service.post({"hold": third["hold"]}, "/guard/release").json() == {"released": True}
    assert held(redis) == (0, 13_000_000)


def test_the_same_id_holds_nothing_more(service: Service, redis: Redis) -> None:
    for _ in range(3):
        said = reserve(service, estimate_usd="0.06", id="mine-1")
        assert (said["status"], said["hold"]["id"]) == (200, "mine-1")
    assert held(redis) == (60_000_000, 0)


def test_a_cost_that_nobody_knows_counts_as_what_was_held(service: Service, redis: Redis) -> None:
    hold = reserve(service, estimate_usd="0.06")["hold"]
    service.post({"hold": hold, "cost_usd": None}, "/guard/settle")
    assert held(redis) == (0, 60_000_000)


def test_tags_that_name_a_field_are_that_field(service: Service, redis: Redis) -> None:
    said = reserve(service, project=None, tags=["Project: shop", "blue"], estimate_usd="0.06")
    assert said["enforced"]
    assert not reserve(service, project="other", tags="project:shop", estimate_usd="9")["enforced"]


def test_what_is_under_no_budget_is_allowed(service: Service, redis: Redis) -> None:
    said = reserve(service, project="other", estimate_usd="9")
    assert (said["status"], said["enforced"]) == (200, False)


@pytest.mark.parametrize(
    ("more", "names"),
    [
        ({}, "estimate_usd is needed"),
        ({"estimate_usd": "-1"}, "estimate_usd is dollars from 0"),
        ({"estimate_usd": "NaN"}, "estimate_usd is dollars from 0"),
        ({"estimate_usd": True}, "estimate_usd is dollars from 0"),
        ({"estimate_usd": None}, "estimate_usd is missing"),
        ({"estimate_usd": "1", "request": "hi"}, "not both"),
        ({"request": 7}, "estimate_usd is needed"),
        ({"estimate_usd": "1", "model": ""}, "provider and model are needed"),
        ({"estimate_usd": "1", "projct": "x"}, "There is no field 'projct'"),
        ({"estimate_usd": "1", "team": ["x"]}, "team is not a text"),
        ({"estimate_usd": "1", "lifetime": 0}, "lifetime is seconds"),
        ({"estimate_usd": "99999999999999"}, "estimate_usd"),
    ],
)
def test_what_makes_no_sense_is_named(
    service: Service, redis: Redis, more: dict[str, object], names: str
) -> None:
    said = reserve(service, **more)
    assert said["status"] == 400
    assert names in said["error"]
    assert held(redis) == (0, 0)


@pytest.mark.parametrize(
    "body", [{}, {"hold": 1}, {"hold": {}}, {"hold": {"id": "x", "nano": "y"}}]
)
def test_what_is_no_hold_is_refused(service: Service, body: dict[str, object]) -> None:
    for route in ("settle", "release"):
        answer = service.post({**body, "cost_usd": "1"}, f"/guard/{route}")
        assert answer.status_code == 400
        assert "hold" in answer.json()["error"]


def test_it_needs_a_token_for_it_and_a_body_within_bounds(service: Service) -> None:
    other = {"authorization": f"Bearer {token('other', 'ingest')}"}
    for path in ("/guard/reserve", "/guard/settle", "/guard/release", GUARDRAIL):
        assert service.post({}, path, **other).status_code == 403
        assert service.post({}, path, authorization="Bearer no").status_code == 401
        assert service.post(b"[]", path).status_code == 400
        assert service.post(b"{", path).status_code == 400
        assert service.post({}, path, content_type="text/plain").status_code == 415
        assert service.post(b" " * (9 << 20), path).status_code == 413


def test_while_redis_is_away_it_is_503_and_says_so(service: Service, server: Valkey) -> None:
    assert reserve(service, estimate_usd="0.01")["status"] == 200  # knows the rules from then on
    server.kill()
    said = reserve(service, estimate_usd="0.01")
    assert (said["status"], said["reason"]) == (503, "unreachable")
    assert int(said["wait"]) >= 1


def asked(call: str, **more: object) -> dict[str, object]:
    return {
        "input_type": "request",
        "litellm_call_id": call,
        "model": "fast",
        "structured_messages": [{"role": "user", "content": "hello"}],
        "request_data": {"user_api_key_alias": "prod"},
        "request_headers": {"X-LiteLLM-Tags": "project:shop"},
        "additional_provider_specific_params": {
            "models": {"fast": "openai/gpt-4o-mini"},
            "max_tokens": 100,
        },
        **more,
    }


def payload(call: str, began: float, **more: object) -> dict[str, object]:
    return {
        "id": f"chatcmpl-{call}-{began:.0f}-0123456789",
        "litellm_call_id": call,
        "call_type": "acompletion",
        "custom_llm_provider": "openai",
        "model": "gpt-4o-mini",
        "status": "success",
        "startTime": began,
        "prompt_tokens": 10,
        "completion_tokens": 20,
        "response_cost": 0.0005,
        "request_tags": ["project:shop"],
        "metadata": {"user_api_key_alias": "prod"},
        **more,
    }


def booked() -> list[Any]:
    return ledger(
        "request_id, cost_usd,"
        " (SELECT project FROM attributions AS a WHERE a.id = attribution_id) AS project"
    )


def request_keys() -> set[bytes]:
    with transaction("spendbeat_reader") as session:
        return {key.bytes for key in session.scalars(text("SELECT key FROM request_keys"))}


def test_a_guardrail_blocks_what_a_budget_has_no_room_for(service: Service, redis: Redis) -> None:
    # The price that Spendbeat would publish.
    prices.publish_prices(redis, {"openai/gpt-4o-mini": PRICE})
    assert service.post(asked("call-1"), GUARDRAIL).json() == {"action": "NONE"}
    assert held(redis)[0] > 0
    guards.fill(redis, 1, "0.10", spent="0.10", ends=ENDS, reading=2)
    said = service.post(asked("call-2"), GUARDRAIL).json()
    assert said["action"] == "BLOCKED"
    assert said["blocked_reason"].startswith("Budget 'shop' has $0 of $0.10 left until 2100")


def test_an_answer_is_never_asked_for(service: Service, redis: Redis) -> None:
    said = service.post(asked("call-1", input_type="response"), GUARDRAIL).json()
    assert said == {"action": "NONE"}
    assert held(redis) == (0, 0)


def test_the_event_of_a_call_settles_what_its_guardrail_held(
    service: Service, redis: Redis
) -> None:
    """Calls whose clients gave them one id hold and settle each for itself, and both are booked."""
    prices.publish_prices(redis, {"openai/gpt-4o-mini": PRICE})
    for _ in range(2):
        service.post(asked("one-id"), GUARDRAIL)
    began = time.time()
    before = held(redis)[0]
    none = {"response_cost": 0, "prompt_tokens": 0, "completion_tokens": 0}
    service.post([payload("one-id", began, status="failure", **none)], "/ingest/litellm")
    assert held(redis) == (before // 2, 0), "a failure gives back; another attempt may follow"
    for number in range(3):
        event = payload("one-id", began + number)
        assert service.post([event], "/ingest/litellm").json()["imported"] == 1
        assert service.post([event], "/ingest/litellm").json()["known"] == 1
    assert held(redis) == (0, 1_000_000)
    keys = {key_of_id(hold) for hold in guards.pending(redis, 1)}
    assert len(keys) == 2
    assert keys <= request_keys()
    assert sum(row.cost_usd for row in booked()) == Decimal("0.0015")


def test_what_could_not_be_booked_is_settled_when_it_comes_again(
    service: Service, redis: Redis
) -> None:
    prices.publish_prices(redis, {"openai/gpt-4o-mini": PRICE})
    service.post(asked("call-1"), GUARDRAIL)
    before = held(redis)
    good, bad = payload("call-1", time.time()), payload("call-2", time.time(), startTime=None)
    assert service.post([good, bad], "/ingest/litellm").status_code == 422
    assert held(redis) == before
    assert service.post([good], "/ingest/litellm").json()["imported"] == 1
    assert held(redis) == (0, 500_000)
