"""The scripts' arithmetic against Python's whole numbers, at any size that fits and beyond."""

from collections.abc import Iterator, Sequence
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import Redis
from spendbeat_gateway.guard import Guard, Hold, publishing

from tests.support.guards import CALL, budget, counter, fill, publish
from tests.support.valkey import Valkey, valkey

MOST = 2**63 - 1
# Around the edges of doubles and of 64 bits, and everyday ones.
AMOUNTS = st.one_of(
    st.integers(0, 10**12),
    st.integers(2**53 - 3, 2**53 + 5_000),
    st.integers(0, MOST),
    st.integers(MOST - 2_000, MOST),
)
BUDGETS = (1, 2)
STEPS = st.tuples(
    st.sampled_from(
        (
            "reserve",
            "reserve",
            "settle",
            "settle_first",
            "release",
            "book",
            "old_reading",
            "limit_to",
        )
    ),
    AMOUNTS,
)


@pytest.fixture(scope="module")
def server() -> Iterator[Valkey]:
    with valkey() as running:
        yield running


def dollars(nano: int) -> Decimal:
    return Decimal(nano).scaleb(-9)


class World:
    """Whole numbers beside what Redis makes of them; budget 2 has the largest limit there is."""

    def __init__(self, redis: Redis, guard: Guard, limit: int) -> None:
        self.redis, self.guard, self.limit = redis, guard, limit
        self.epoch = publishing.epoch(redis)
        self.spent, self.reading = 0, 1
        self.settled: dict[str, int] = {}
        self.held: dict[str, int] = {}
        self.done: set[str] = set()
        self.holds: list[Hold] = []
        self.read()

    @property
    def used(self) -> int:
        return self.spent + sum(self.settled.values()) + sum(self.held.values())

    def reserve(self, nano: int) -> None:
        answer = self.guard.reserve({}, dollars(nano), **CALL)
        assert answer.allowed == (self.used + nano <= self.limit)
        if isinstance(answer, Hold):
            self.holds.append(answer)
            self.held[answer.id] = nano

    def settle(self, nano: int) -> None:
        if self.holds:
            self._settle(self.holds[-1], nano)

    def settle_first(self, nano: int) -> None:
        if self.holds:
            self._settle(self.holds[0], nano)

    def _settle(self, hold: Hold, nano: int) -> None:
        # Beyond 64 bits it is refused, see test_guard.
        nano = min(nano, MOST - self.used + self.held.get(hold.id, 0))
        self.guard.settle(hold, dollars(nano))
        if hold.id not in self.done:
            self.done.add(hold.id)
            self.held.pop(hold.id, None)
            self.settled[hold.id] = nano

    def release(self, _: int) -> None:
        if self.holds:
            self.guard.release(self.holds[-1])
            self.held.pop(self.holds[-1].id, None)

    def book(self, more: int) -> None:
        """Postgres has the oldest settlement by now, and something from elsewhere."""
        booked = dict(list(self.settled.items())[:1])
        more = min(more, MOST - self.used)
        self.spent += sum(booked.values()) + more
        for hold in booked:
            del self.settled[hold]
        self.reading += 1
        self.read(list(booked))

    def old_reading(self, nano: int) -> None:
        assert not fill(self.redis, 1, dollars(nano), reading=self.reading, epoch=self.epoch)

    def limit_to(self, nano: int) -> None:
        self.limit = nano
        self.reading += 1
        self.read()

    def read(self, covered: Sequence[str] = ()) -> None:
        for number, limit in zip(BUDGETS, (self.limit, MOST), strict=True):
            assert fill(
                self.redis,
                number,
                dollars(limit),
                spent=dollars(self.spent),
                reading=self.reading,
                covered=covered,
                epoch=self.epoch,
            )

    def check(self) -> None:
        for number, limit in zip(BUDGETS, (self.limit, MOST), strict=True):
            found = counter(self.redis, number)
            assert (found.limit, found.spent, found.settled, found.held) == (
                limit,
                self.spent,
                sum(self.settled.values()),
                sum(self.held.values()),
            )


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(limit=AMOUNTS, steps=st.lists(STEPS, max_size=30))
def test_every_sum_is_exact(server: Valkey, limit: int, steps: list[tuple[str, int]]) -> None:
    server.client.flushall()
    publish(server.client, *map(budget, BUDGETS))
    guard = Guard(server.url)
    world = World(server.client, guard, limit)
    for step, nano in steps:
        getattr(world, step)(nano)
        world.check()
    guard.close()
