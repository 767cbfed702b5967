"""What the service tells guards, and asks of Redis: rules, spend, what is wanted, what is pending.

`redis` is a redis.Redis of its own choice, with or without decode_responses.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from redis import Redis


@dataclass(frozen=True)
class Counter:
    """A budget's period as Redis has it, in nano-dollars.

    limit, soft: None where there is none. settled: by calls that `spent` does not cover yet. held:
    by calls under way. reading: the number of the reading of Postgres that `spent` is from.
    """

    limit: int | None
    soft: int | None
    spent: int
    reading: int
    settled: int
    held: int

    @property
    def used(self) -> int:
        return self.spent + self.settled + self.held


def publish_rules(redis: "Redis", rules: Mapping[str, Any]) -> bool:
    """Make these the rules of all guards (a mapping as in the contract, without its "version").

    The version is a hash of the content; whether it was another one than before.
    """
    raise NotImplementedError


def set_spent(
    redis: "Redis",
    counter: str,
    first: date | str,
    *,
    reading: int,
    spent: Decimal,
    limit: Decimal | None,
    soft: Decimal | None,
    covered: Collection[str] = (),
    ends: datetime | None,
) -> bool:
    """Put what Postgres says, in dollars, into one counter, unless a newer reading is there.

    covered: ids of holds whose settlements are in `spent`. ends: of the period; the counter goes
    eight days later. Whether it was taken.
    """
    raise NotImplementedError


def drop(redis: "Redis", counter: str, first: date | str) -> None:
    """Forget a counter, so that the next call finds it cold."""
    raise NotImplementedError


def wanted(redis: "Redis") -> set[str]:
    """What guards have missed, taken out of Redis: "{counter}:{first}", "rules", "price:...".

    Whoever takes it serves it; what is missed again is wanted again.
    """
    raise NotImplementedError


def wait(redis: "Redis", seconds: float) -> bool:
    """Wait until somebody misses something, at most `seconds`; whether somebody did."""
    raise NotImplementedError


def loaded(redis: "Redis") -> list[tuple[str, str]]:
    """The counters that are in Redis: (counter, first)."""
    raise NotImplementedError


def counter(redis: "Redis", counter: str, first: date | str) -> Counter | None:
    """None: cold."""
    raise NotImplementedError


def pending(redis: "Redis", counter: str, first: date | str) -> dict[str, int]:
    """Settlements that are not covered yet: hold id -> nano-dollars."""
    raise NotImplementedError


def expire(redis: "Redis") -> int:
    """Let holds whose time is over give their room back, all of them; how many there were."""
    raise NotImplementedError


def counts(redis: "Redis") -> dict[str, int]:
    """Decisions of all guards since Redis began: "allowed", "refused:budget", ..."""
    raise NotImplementedError
