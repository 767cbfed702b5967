"""Between Postgres and the guards' Redis: rules, what budgets have spent, and what guards miss.

docs/guard.md, Reconciliation, says why this never makes a counter smaller than true spend.
"""

import random
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import ROUND_CEILING, Decimal
from functools import cache
from itertools import islice
from typing import Literal, TypeVar

from redis import Redis
from spendbeat_gateway.guard import keys, publishing
from sqlalchemy import text
from sqlalchemy.orm import Session

from spend.enforcement import readings
from spend.enforcement.readings import Reading
from spend.enforcement.rules import NANO, Counter, rules
from spend.errors import SpendbeatError
from worker import broker
from worker.settings import settings

# What the service notes for `spendbeat guard status` and the exporter.
STATE = keys.PREFIX + "state"
_PRICE = "price:"
_SECONDS = 5.0
# How long one that loads waits for another reconciliation.
_PATIENCE = 3.0
_CHUNK = 500
# Beyond so many, settlements wait for the next reading: they stay counted meanwhile.
MOST_PENDING = 50_000
# Of so many uncovered settlements the age is looked up.
_SAMPLE = 1_000
# A settlement's record goes so many milliseconds after it.
_RECORD_LIVES = 86_400_000
_T = TypeVar("_T")
Name = tuple[str, str]


class BehindError(SpendbeatError):
    """Redis holds readings of a later number than this Postgres gives."""


@dataclass(frozen=True)
class Reconciled:
    """What a reconciliation found. 'busy' was somebody else's.

    refused: counters that have a newer reading. covered, pending: settlements that this reading
    covers, and that none does. drift: largest difference, in dollars, between what a counter said
    and what Postgres and the uncovered settlements say. oldest: seconds since the oldest of them.
    """

    outcome: Literal["read", "busy"]
    reading: int | None = None
    published: bool = False
    counters: int = 0
    refused: int = 0
    covered: int = 0
    pending: int = 0
    drift: Decimal = Decimal(0)
    oldest: float = 0.0


@dataclass(frozen=True)
class Held:
    """What Redis has of a counter: nano-dollars from Postgres (None: cold), and settlements."""

    spent: int | None
    settlements: Mapping[str, int]


@cache
def client() -> Redis:
    """This process's connection pool to the Redis of guards."""
    return broker.client(settings().guard_url, _SECONDS)


@dataclass(frozen=True)
class Taken:
    """A reading that is to be put into Redis. held: what was there before."""

    epoch: str
    found: Reading
    counters: Mapping[Name, Counter]
    held: Mapping[Name, Held]
    published: bool


def reconcile(session: Session, redis: Redis, now: datetime, *, wait: float = 0) -> Reconciled:
    """Publish the rules, and bring every counter to what Postgres says, in this transaction.

    wait: for another one that is at it, so many seconds. Raises BehindError where Redis knows later
    readings, BusyError.
    """
    epoch = publishing.epoch(redis)
    publishing.expire(redis)
    return _put(session, redis, take(session, redis, now, epoch, wait=wait))


def serve(session: Session, redis: Redis, now: datetime) -> Reconciled | None:
    """Load what guards miss; None where they miss nothing. Raises as reconcile()."""
    epoch = publishing.epoch(redis)
    missed = publishing.wanted(redis)
    if not missed:
        return None
    if prices := {name.removeprefix(_PRICE) for name in missed if name.startswith(_PRICE)}:
        from worker import guard_prices  # noqa: PLC0415 - knows prices, which workers need not

        guard_prices.publish_wanted(redis, session, prices)
    if missed == {_PRICE + name for name in prices}:
        return Reconciled("read")
    names = set(publishing.names(missed))
    return _put(session, redis, take(session, redis, now, epoch, names, wait=_PATIENCE), brief=True)


def reload(session: Session, redis: Redis, now: datetime, *, forget: bool = False) -> Reconciled:
    """Load everything anew, whatever readings Redis has. Holds and settlements stay.

    forget: settlements that Postgres does not cover go, too.
    """
    epoch = publishing.new_epoch(redis)
    redis.delete(keys.VERSION)  # so that the rules are published in any case
    taken = take(session, redis, now, epoch, wait=_PATIENCE)
    if taken and forget:
        everything = frozenset(id_ for one in taken.held.values() for id_ in one.settlements)
        taken = replace(taken, found=replace(taken.found, covered=everything))
    return _put(session, redis, taken)


def take(
    session: Session,
    redis: Redis,
    now: datetime,
    epoch: str,
    names: Collection[Name] | None = None,
    *,
    wait: float = 0,
) -> Taken | None:
    """Publish the rules and read what Postgres says of some counters, or of all that are due.

    None where somebody else is at it. `epoch` was asked for before.
    """
    number = readings.begin(session, wait=wait)
    if number is None:
        return None
    known = rules(session, now)
    published = publishing.publish_rules(redis, known.content)
    if names is None:
        there = set(publishing.loaded(redis))
        publishing.retire(redis, there - known.counters.keys())
        names = known.due | there
    counters = {name: known.counters[name] for name in names if name in known.counters}
    held = _held(redis, counters)
    settlements = {id_ for one in held.values() for id_ in one.settlements}
    some = list(settlements)
    if len(some) > MOST_PENDING:
        # Others each time: those that are never recorded stay, and must not hide the rest.
        some = random.sample(some, MOST_PENDING)
    pending = readings.booked(session, some)
    found = readings.read(session, number, (c.wanted for c in counters.values()), pending)
    return Taken(epoch, found, counters, held, published)


def put(redis: Redis, taken: Taken) -> set[Name]:
    """Put a reading into Redis, whenever; the counters that did not take it."""
    said = {}
    for name, counter in taken.counters.items():
        spend = taken.found.spend.get((counter.wanted.budget_id, counter.wanted.first))
        if spend is not None:  # else the budget says something else by now: next time
            covered = taken.found.covered & taken.held[name].settlements.keys()
            said[name] = publishing.Spent(
                *name, spend, counter.limit, counter.soft, counter.span.ends, covered
            )
    number, epoch = taken.found.number, taken.epoch
    answers = publishing.set_all(redis, said.values(), reading=number, epoch=epoch)
    return {name for name, was in zip(said, answers, strict=True) if not was}


def noted(redis: Redis) -> dict[str, str]:
    """What the newest reconciliation noted, as texts; empty before the first."""
    return {_text(name): _text(said) for name, said in redis.hgetall(STATE).items()}


def _put(session: Session, redis: Redis, taken: Taken | None, *, brief: bool = False) -> Reconciled:
    if taken is None:
        return Reconciled("busy")
    refused = put(redis, taken)
    settlements = {id_ for one in taken.held.values() for id_ in one.settlements}
    left = settlements - taken.found.covered
    result = Reconciled(
        "read",
        taken.found.number,
        taken.published,
        len(taken.counters),
        len(refused),
        len(settlements) - len(left),
        len(left),
        _drift(taken, refused),
        0.0 if brief else _oldest(redis, left),
    )
    if not brief:
        _note(redis, result)
    if refused:
        _check_number(session, redis, taken, refused)
    return result


def _held(redis: Redis, names: Collection[Name]) -> dict[Name, Held]:
    found = {}
    for some in _chunks(names, _CHUNK):
        with redis.pipeline(transaction=False) as pipe:
            for counter, first in some:
                pipe.hget(keys.counter(f"{counter}:{first}"), "spent")
                pipe.hgetall(keys.settled(f"{counter}:{first}"))
            answers = pipe.execute()
        for name, spent, settlements in zip(some, answers[::2], answers[1::2], strict=True):
            found[name] = Held(
                None if spent is None else int(spent),
                {_text(id_): int(nano) for id_, nano in settlements.items()},
            )
    return found


def _drift(taken: Taken, refused: Collection[Name]) -> Decimal:
    largest = 0
    for name, counter in taken.counters.items():
        spend = taken.found.spend.get((counter.wanted.budget_id, counter.wanted.first))
        before = taken.held[name]
        if spend is None or before.spent is None or name in refused:
            continue
        covered = taken.found.covered & before.settlements.keys()
        nano = int((spend * NANO).to_integral_value(rounding=ROUND_CEILING))
        difference = before.spent + sum(before.settlements[id_] for id_ in covered) - nano
        largest = max(largest, difference, key=abs)
    return Decimal(largest) / NANO


def _oldest(redis: Redis, uncovered: Iterable[str]) -> float:
    """Seconds since the oldest of some settlements, at most a day."""
    some = list(islice(uncovered, _SAMPLE))
    if not some:
        return 0.0
    with redis.pipeline(transaction=False) as pipe:
        for id_ in some:
            pipe.pttl(keys.hold(id_))
        left = [max(0, int(ms)) for ms in pipe.execute()]
    return max(0.0, (_RECORD_LIVES - min(left)) / 1000)


def _note(redis: Redis, result: Reconciled) -> None:
    with redis.pipeline() as pipe:
        pipe.hset(
            STATE,
            mapping={
                "reading": str(result.reading),
                "at": str(time.time()),
                "counters": str(result.counters),
                "pending": str(result.pending),
                "drift": str(result.drift),
                "oldest": f"{result.oldest:.3f}",
                "behind": "1" if result.refused else "0",
            },
        )
        pipe.hincrby(STATE, "readings", 1)
        pipe.hincrby(STATE, "refused", result.refused)
        pipe.execute()


def _check_number(session: Session, redis: Redis, taken: Taken, refused: Collection[Name]) -> None:
    """Nobody else can have taken a number since, so a later one in Redis is of another history."""
    session.execute(text("SELECT 1"))  # an error where the connection, and so the lock, was lost
    name, first = min(refused)
    later, number = redis.hget(keys.counter(f"{name}:{first}"), "reading"), taken.found.number
    if later is not None and int(later) >= number and publishing.epoch(redis) == taken.epoch:
        raise BehindError(
            f"Redis has reading {int(later)} of counter {name}, but this Postgres is only at"
            f" {number}: it was restored from a backup, or two databases use one Redis. Guards go"
            " on with what Redis has. If this is the right database, run 'spendbeat guard reload'."
        )


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value


def _chunks(values: Iterable[_T], size: int) -> Iterator[list[_T]]:
    iterator = iter(values)
    while some := list(islice(iterator, size)):
        yield some
