"""Budgets in a Redis for guards, as the service would put them there."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from redis import Redis
from spendbeat_gateway.guard import Hold, Refusal, publishing
from spendbeat_gateway.guard.publishing import Counter, Spent

FIRST = "2026-11-01"
ALWAYS = [{"first": FIRST, "starts": None, "ends": None}]
CALL: Any = {"provider": "openai", "model": "gpt-4o"}


def budget(number: int, *keys: str, **fields: Any) -> dict[str, Any]:
    """A rule that blocks, for all of time, named b{number} with the counter {number}.1."""
    return {
        "id": number,
        "name": f"b{number}",
        "counter": f"{number}.1",
        "keys": sorted(keys),
        "enforce": "block",
        "unreachable": "closed",
        "periods": ALWAYS,
        **fields,
    }


def publish(redis: Redis, *budgets: Mapping[str, Any], **more: Any) -> None:
    publishing.publish_rules(redis, {"budgets": list(budgets), **more})


def fill(
    redis: Redis,
    number: int,
    limit: Decimal | int | str | None,
    *,
    spent: Decimal | int | str = 0,
    soft: Decimal | int | str | None = None,
    reading: int = 1,
    covered: Sequence[str] = (),
    ends: datetime | None = None,
    epoch: str | None = None,
) -> bool:
    """What a reading of Postgres puts into the counter of budget(number)."""
    one = Spent(
        f"{number}.1",
        FIRST,
        Decimal(spent),
        None if limit is None else Decimal(limit),
        None if soft is None else Decimal(soft),
        ends,
        covered,
    )
    return publishing.set_spent(redis, one, reading=reading, epoch=epoch or publishing.epoch(redis))


def counter(redis: Redis, number: int) -> Counter:
    found = publishing.counter(redis, f"{number}.1", FIRST)
    assert found is not None, f"counter {number} is cold"
    return found


def pending(redis: Redis, number: int) -> dict[str, int]:
    return publishing.pending(redis, f"{number}.1", FIRST)


def held(answer: Hold | Refusal) -> Hold:
    assert isinstance(answer, Hold), answer
    return answer


def refused(answer: Hold | Refusal, reason: str) -> Refusal:
    assert isinstance(answer, Refusal), answer
    assert answer.reason == reason, answer
    return answer
