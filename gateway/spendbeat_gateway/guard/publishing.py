"""What the service tells guards, and asks of Redis: rules, spend, what is wanted, what is pending.

`redis` is a redis.Redis of its own choice, with or without decode_responses.
"""

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from hashlib import blake2b
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from spendbeat_gateway.guard import amounts, keys
from spendbeat_gateway.guard.answers import AmountError
from spendbeat_gateway.guard.client import run
from spendbeat_gateway.guard.scripts import script

if TYPE_CHECKING:
    from redis import Redis

# Calls that began in a period settle in it, and rows of it arrive late.
KEPT = timedelta(days=8)
_COUNTERS_AT_ONCE = 200
_AT_ONCE = 2_000  # hold ids in one script, during which nobody else is served
_NO_LIMIT = 2**62  # as in set_spent.lua


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
    """Make these the rules of all guards (a mapping without its "version").

    The version is a hash of the content; whether it was another one than before.
    """
    content = {name: value for name, value in rules.items() if name != "version"}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    version = blake2b(text.encode(), digest_size=12).hexdigest()
    before, there = redis.mget(keys.VERSION, keys.RULES)
    if there is not None and before is not None and _text(before) == version:
        return False
    pipeline = redis.pipeline(transaction=True)
    pipeline.set(keys.RULES, json.dumps({"version": version, **content}, ensure_ascii=False))
    pipeline.set(keys.VERSION, version)
    pipeline.execute()
    return True


def epoch(redis: "Redis") -> str:
    """The name of this life of Redis' data, which FLUSHALL ends. Ask before the reading begins."""
    redis.set(keys.EPOCH, uuid4().hex, nx=True)
    return _text(redis.get(keys.EPOCH) or b"")


def new_epoch(redis: "Redis") -> str:
    """From now on readings that began before are not taken."""
    name = uuid4().hex
    redis.set(keys.EPOCH, name)
    return name


@dataclass(frozen=True)
class Spent:
    """What Postgres says of one counter, in dollars.

    covered: ids of holds whose settlements are in `spent`. ends: of the period; the counter goes
    eight days later.
    """

    counter: str
    first: date | str
    spent: Decimal
    limit: Decimal | None
    soft: Decimal | None
    ends: datetime | None
    covered: Collection[str] = ()

    @property
    def name(self) -> str:
        return f"{self.counter}:{self.first}"


def set_spent(redis: "Redis", one: Spent, *, reading: int, epoch: str) -> bool:
    """Put a reading into one counter, unless a newer one is there; whether it was taken.

    Raises AmountError.
    """
    return set_all(redis, [one], reading=reading, epoch=epoch)[0]


def set_all(redis: "Redis", readings: Iterable[Spent], *, reading: int, epoch: str) -> list[bool]:
    """The same for many counters, a few hundred at a time; the scripts stay one per counter.

    Raises AmountError when all others have been set.
    """
    every = list(readings)
    replies: list[int | str] = []
    for at in range(0, len(every), _COUNTERS_AT_ONCE):
        replies += _set_some(redis, every[at : at + _COUNTERS_AT_ONCE], reading, epoch)
    for one, reply in zip(every, replies, strict=True):
        if not isinstance(reply, int):
            raise AmountError(f"what is spent and held in {one.name} does not fit into 64 bits")
    return [reply == 1 for reply in replies]


def _set_some(redis: "Redis", readings: list[Spent], reading: int, epoch: str) -> list[int | str]:
    text, sha = script("set_spent")
    pipeline = redis.pipeline(transaction=False)
    pipeline.script_load(text)
    ids = [list(one.covered) for one in readings]
    for one, covered in zip(readings, ids, strict=True):
        pipeline.evalsha(
            sha, 1, keys.VERSION, epoch, one.name, *_arguments(one, reading), *covered[:_AT_ONCE]
        )
    _, *replies = pipeline.execute()
    for one, covered, reply in zip(readings, ids, replies, strict=True):
        # Afterwards: what is in `spent` and a settlement for a moment is counted twice, not never.
        for at in range(_AT_ONCE, len(covered) if reply == 1 else 0, _AT_ONCE):
            run(redis.execute_command, "cover", one.name, reading, *covered[at : at + _AT_ONCE])
    return replies


def _arguments(one: Spent, reading: int) -> tuple[int | str, ...]:
    return (
        reading,
        amounts.spent(one.spent),
        "" if one.limit is None else amounts.limit(one.limit),
        "" if one.soft is None else amounts.limit(one.soft),
        "" if one.ends is None else int((one.ends + KEPT).timestamp() * 1000),
    )


def want(redis: "Redis", name: str) -> None:
    """Say that something is missing."""
    run(redis.execute_command, "miss", name)


def wanted(redis: "Redis") -> set[str]:
    """What guards have missed, taken out of Redis: "{counter}:{first}", "rules", "price:...".

    Whoever takes it serves it; what is missed again is wanted again.
    """
    pipeline = redis.pipeline(transaction=True)
    pipeline.smembers(keys.WANTED)
    pipeline.delete(keys.WANTED)
    return {_text(name) for name in pipeline.execute()[0]}


def wait(redis: "Redis", seconds: float) -> bool:
    """Wait until somebody misses something, at most `seconds`; whether somebody did.

    The client's socket_timeout must be longer.
    """
    return redis.brpop([keys.BELL], timeout=seconds) is not None


def loaded(redis: "Redis") -> list[tuple[str, str]]:
    """The counters that are in Redis: (counter, first)."""
    names = sorted(map(_text, redis.smembers(keys.LOADED)))
    pipeline = redis.pipeline(transaction=False)
    for name in names:
        pipeline.exists(keys.counter(name), keys.settled(name))
    there = pipeline.execute() if names else []
    if gone := [name for name, found in zip(names, there, strict=True) if not found]:
        redis.srem(keys.LOADED, *gone)
    return [_split(name) for name, found in zip(names, there, strict=True) if found]


def retire(redis: "Redis", counters: Iterable[tuple[str, str]]) -> None:
    """Let counters that no rule has any more go eight days from now, if they have no end."""
    names = [":".join(one) for one in counters]
    found = [key for name in names for key in (keys.counter(name), keys.settled(name))]
    pipeline = redis.pipeline(transaction=False)
    for key in found:
        pipeline.pttl(key)
    endless = [key for key, lives in zip(found, pipeline.execute(), strict=True) if lives == -1]
    for key in endless:
        pipeline.pexpire(key, KEPT)
    pipeline.execute()


def counter(redis: "Redis", counter: str, first: date | str) -> Counter | None:
    """None: cold."""
    name = f"{counter}:{first}"
    pipeline = redis.pipeline(transaction=True)
    pipeline.hmget(keys.counter(name), "limit", "soft", "spent", "reading", "room")
    pipeline.hvals(keys.settled(name))
    fields, settlements = pipeline.execute()
    if fields[-1] is None:
        return None
    limit, soft, spent, reading, room = (_number(field) for field in fields)
    settled = sum(int(nano) for nano in settlements)
    held = (_NO_LIMIT if limit is None else limit) - (spent or 0) - settled - (room or 0)
    return Counter(limit, soft, spent or 0, reading or 0, settled, held)


def pending(redis: "Redis", counter: str, first: date | str) -> dict[str, int]:
    """Settlements that are not covered yet: hold id -> nano-dollars."""
    found = redis.hgetall(keys.settled(f"{counter}:{first}"))
    return {_text(hold): int(nano) for hold, nano in found.items()}


def expire(redis: "Redis") -> int:
    """Let holds whose time is over give their room back, all of them; how many there were."""
    total = 0
    while n := int(run(redis.execute_command, "expire", 500)):
        total += n
    return total


def open_holds(redis: "Redis") -> int:
    """How many holds are open, over all budgets."""
    return int(redis.zcard(keys.HOLDS))


def counts(redis: "Redis") -> dict[str, int]:
    """Decisions of all guards since Redis began: "allowed", "refused:budget", ..."""
    found = redis.hgetall(keys.COUNTS)
    return {_text(decision): int(n) for decision, n in found.items()}


def _split(name: str) -> tuple[str, str]:
    counter, _, first = name.partition(":")
    return counter, first


def _number(field: bytes | str | None) -> int | None:
    return int(field) if field else None


def _text(said: bytes | str) -> str:
    return said.decode() if isinstance(said, bytes) else said


def names(entries: Iterable[str]) -> list[tuple[str, str]]:
    """The counters among what is wanted."""
    return [_split(entry) for entry in entries if entry[:1].isdigit()]
