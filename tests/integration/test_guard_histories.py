"""Whatever comes in whatever order, a counter is never below what calls have cost."""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import TypeVar

import pytest
from redis import Redis
from spendbeat_gateway.guard import Guard, Hold, publishing
from spendbeat_gateway.guard.publishing import Counter
from sqlalchemy import text

from tests.support import ledger
from tests.support.reconciling import (
    MODEL,
    blocked,
    name_of,
    reconcile,
    record,
    reserve,
    serve,
    take,
)
from tests.support.valkey import Valkey, valkey
from worker import guard
from worker.database import engine, transaction
from worker.guard import Taken

_NEVER = 1 << 60
_T = TypeVar("_T")
# What happens, and how often.
STEPS = {
    "whole_call": 6,
    "begin": 3,
    "end": 3,
    "give_up": 1,
    "settle_again": 1,
    "write": 3,
    "settle_prices": 1,
    "tick": 1,
    "count": 2,
    "roll": 4,
    "reconcile": 2,
    "begin_reading": 3,
    "end_reading": 2,
    "flush": 1,
}


@dataclass
class Call:
    """One call. cost: None while it goes on, or was released. lost: Redis forgot it in a flush, and
    no total had it.

    counted: the number of the last reading that had begun when rollups counted it. Readings after
    it have it.
    """

    hold: Hold
    provider: str
    cost: Decimal | None = None
    over: bool = False
    priced: bool = True
    booked: bool = False
    seen: bool = False
    counted: int = _NEVER
    lost: bool = False


class Calls:
    """Calls, their records, rollups, reconcilers that stop halfway, and a Redis that forgets."""

    def __init__(self, redis: Redis, url: str, seed: int) -> None:
        self.redis = redis
        self.random = random.Random(seed)
        self.project = "shop"
        self.providers = ("a", "b")
        blocked(self.project, 10**6, scope={"project": self.project}, period="year")
        self.guard = Guard(url)
        self.calls: list[Call] = []
        self.halfway: list[Taken] = []
        self.done: list[str] = []
        self.name = name_of(self.project)

    def run(self, steps: int) -> None:
        names = self.random.choices(list(STEPS), list(STEPS.values()), k=steps)
        for name in names:
            step: Callable[[], object] = getattr(self, name)
            self.done.append(name)
            step()
            self.nothing_is_missing()

    # Calls

    def begin(self) -> Call:
        self.warm()
        provider = self.random.choice(self.providers)
        hold = reserve(self.guard, self.dollars(), self.project, provider=provider)
        self.calls.append(Call(hold, provider))
        return self.calls[-1]

    def end(self) -> None:
        for call in self.one_of(self.open()):
            call.over, call.lost = True, False
            call.priced = self.random.random() < 0.7
            dollars = self.dollars()
            call.cost = dollars if call.priced else Decimal(call.hold.nano) / 10**9
            if self.random.random() < 0.3:  # a recorder may be quicker than the settlement
                self.book(call)
            self.guard.settle(call.hold, dollars if call.priced else None)

    def give_up(self) -> None:
        for call in self.one_of(self.open()):
            call.over = True
            self.guard.release(call.hold)

    def settle_again(self) -> None:
        for call in self.one_of(self.settled()):
            call.lost = False  # where Redis had forgotten it, it is told of it now
            self.guard.settle(call.hold, call.cost)

    def whole_call(self) -> None:
        """Most of them: what is estimated is paid, and recorded at once."""
        call = self.begin()
        call.over, call.cost = True, Decimal(call.hold.nano) / 10**9
        self.guard.settle(call.hold, call.cost)
        self.book(call)

    # Their way into the totals

    def write(self) -> None:
        for call in self.one_of(self.unbooked()):
            self.book(call)

    def settle_prices(self) -> None:
        for call in self.calls:
            if call.booked and not call.priced:
                self.price(call)

    def tick(self) -> None:
        ledger.tick()
        for call in self.calls:
            call.seen = call.seen or (call.booked and call.priced)

    def count(self) -> None:
        """A batch of one shard, often a small one."""
        self._count(self.random.choice(self.providers), self.random.choice((1, 2, 1000)))

    def roll(self) -> None:
        """What beat and workers do all day."""
        self.tick()
        for provider in self.providers:
            self._count(provider, 1000)
        reconcile(self.redis)

    def _count(self, provider: str, batch: int) -> None:
        if ledger.advance(provider, batch).more or batch < 1000:
            return  # which of them is not known here
        for call in self.calls:
            if call.seen and call.provider == provider and call.counted == _NEVER:
                call.counted = last_number()

    # Reconcilers

    def reconcile(self) -> None:
        reconcile(self.redis)

    def begin_reading(self) -> None:
        if len(self.halfway) < 3:
            self.halfway.append(take(self.redis))

    def end_reading(self) -> None:
        for taken in self.one_of(self.halfway):
            self.halfway.remove(taken)
            guard.put(self.redis, taken)

    def flush(self) -> None:
        self.redis.flushall()
        for call in self.calls:
            call.lost = call.counted == _NEVER
        self.random.choice((self.end_reading, self.end, lambda: None))()

    def nothing_is_missing(self) -> None:
        found = self.counter()
        if found is None:
            return
        spent = sum(
            (
                call.cost
                for call in self.calls
                if call.cost is not None and (not call.lost or found.reading > call.counted)
            ),
            Decimal(0),
        )
        held = sum(call.hold.nano for call in self.open() if not call.lost)
        assert found.held >= held, self.done
        assert Decimal(found.spent + found.settled) / 10**9 >= spent, self.done

    def all_is_well_in_the_end(self) -> None:
        self.warm()
        for number, call in enumerate(self.open()):
            call.over, call.lost = True, False
            if number % 2:
                self.guard.release(call.hold)
            else:
                call.cost = Decimal(call.hold.nano) / 10**9
                self.guard.settle(call.hold, call.cost)
        for call in self.unbooked():
            self.book(call)
        self.settle_prices()
        ledger.roll()
        reconcile(self.redis)
        self.nothing_is_missing()
        found = self.counter()
        assert found is not None
        costs = (call.cost for call in self.calls if call.cost is not None)
        assert found.spent == sum(costs, Decimal(0)) * 10**9
        assert (found.settled, found.held) == (0, 0)

    # Helpers

    def dollars(self) -> Decimal:
        return Decimal(self.random.choice((0, 1, self.random.randrange(10**10)))) / 10**9

    def one_of(self, found: list[_T]) -> list[_T]:
        """One by chance, if there is any."""
        return [self.random.choice(found)] if found else []

    def counter(self) -> Counter | None:
        return publishing.counter(self.redis, *self.name)

    def open(self) -> list[Call]:
        return [call for call in self.calls if not call.over]

    def settled(self) -> list[Call]:
        return [call for call in self.calls if call.cost is not None]

    def unbooked(self) -> list[Call]:
        return [call for call in self.settled() if not call.booked]

    def warm(self) -> None:
        """What the loader does when somebody misses something."""
        for name in ("rules", ":".join(self.name)):
            publishing.want(self.redis, name)
        serve(self.redis)

    def book(self, call: Call) -> None:
        record(call.hold, call.cost if call.priced else None, self.project, call.provider)
        call.booked = True

    def price(self, call: Call) -> None:
        """What a later settlement of prices books for a request that came without one."""
        with engine().connect() as connection:
            row = connection.execute(
                text("SELECT id, started_at, attribution_id FROM cost_logs WHERE request_id = :id"),
                {"id": f"call-{call.hold.id}"},
            ).one()
        with transaction() as session:
            ledger.add(
                session,
                adjusts_id=row.id,
                started_at=row.started_at,
                attribution_id=row.attribution_id,
                provider=call.provider,
                model=MODEL,
                unpriced=-1,
                price_version_id=7,
                cost_usd=call.cost,
            )
        call.priced = True


def last_number() -> int:
    return int(ledger.scalar("SELECT last_value FROM guard_readings"))


@pytest.fixture
def redis(database: str) -> Iterator[Valkey]:
    with valkey() as server:
        yield server


@pytest.mark.parametrize("seed", [1, 2])
def test_a_counter_is_never_below_what_calls_have_cost(redis: Valkey, seed: int) -> None:
    calls = Calls(redis.client, redis.url, seed)
    try:
        calls.run(150)
        calls.all_is_well_in_the_end()
    finally:
        calls.guard.close()
