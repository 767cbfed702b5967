"""The guard's part of the environment."""

from decimal import Decimal

import pytest
from spendbeat_gateway.guard.settings import from_environment, plain_url


def test_what_the_environment_says() -> None:
    found = from_environment(
        {
            "SPENDBEAT_GATEWAY_REDIS_URL": " redis://host/1 ",
            "SPENDBEAT_GATEWAY_GUARD_FAIL": "Closed",
            "SPENDBEAT_GATEWAY_GUARD_ALLOWANCE": "2.50",
        }
    )
    assert (found.redis_url, found.fail_open) == ("redis://host/1", False)
    assert found.allowance == Decimal("2.50")


@pytest.mark.parametrize("said", ["", "x", "-1", "NaN", "1e99"])
def test_a_mistake_leaves_the_default(said: str) -> None:
    found = from_environment(
        {"SPENDBEAT_GATEWAY_GUARD_FAIL": "what", "SPENDBEAT_GATEWAY_GUARD_ALLOWANCE": said}
    )
    assert (found.redis_url, found.fail_open, found.allowance) == (None, True, Decimal(1))


def test_a_url_in_the_spelling_of_the_service_is_understood() -> None:
    assert plain_url("redis+socket:///run/redis.sock?virtual_host=3") == (
        "unix:///run/redis.sock?db=3"
    )
    assert plain_url("rediss://host:1/2") == "rediss://host:1/2"
