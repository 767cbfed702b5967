"""What a budget says to guards: written, read back, and refused where it makes no sense."""

from decimal import Decimal
from typing import Any

import pytest

from spend.budgets import reading
from spend.budgets.checking import check
from spend.errors import BadInputError

FULL: dict[str, Any] = {
    "name": "shop",
    "soft_limit": 80,
    "hard_limit": 100,
    "enforce": "throttle",
    "throttle_per_minute": "30",
    "unreachable": "closed",
    "allowance": "0.50",
    "unpriced": "ceiling",
    "ceiling": 15,
}


def test_every_field_is_read_and_written() -> None:
    found = reading.read(FULL)
    check(found)
    assert (found.enforce, found.throttle_per_minute, found.unreachable) == (
        "throttle",
        30,
        "closed",
    )
    assert (found.allowance, found.unpriced, found.ceiling) == (
        Decimal("0.5"),
        "ceiling",
        Decimal(15),
    )
    assert reading.read(reading.written(found)) == found


def test_nobody_enforces_a_budget_that_does_not_say_so() -> None:
    found = reading.read({"name": "shop", "hard_limit": 100})
    assert found.enforce == "alert"
    written = reading.written(found)
    assert written["enforce"] == "alert"
    assert not {"unreachable", "allowance", "unpriced", "ceiling"} & written.keys()


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"enforce": "stop"}, "enforce is one of alert, block, throttle"),
        ({"enforce": "block", "hard_limit": None}, "block needs a hard limit"),
        ({"soft_limit": None}, "throttle needs a soft limit"),
        ({"throttle_per_minute": "none"}, "throttle needs a soft limit, and throttle_per_minute"),
        ({"throttle_per_minute": "many"}, "not a whole number"),
        ({"throttle_per_minute": -1}, "not a whole number"),
        ({"unreachable": "maybe"}, "unreachable is one of open, closed"),
        ({"unpriced": True}, "unpriced is one of"),
        ({"ceiling": None}, "needs a ceiling"),
        ({"allowance": "-1"}, "not an amount of dollars above 0"),
        ({"ceiling": "NaN"}, "not an amount of dollars above 0"),
    ],
)
def test_what_makes_no_sense_is_refused(said: dict[str, Any], reason: str) -> None:
    with pytest.raises(BadInputError, match=reason):
        check(reading.read({**FULL, **said}))
