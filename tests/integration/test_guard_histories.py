"""Whatever comes in whatever order, a counter is never below what calls have cost."""

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
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
from tests.support.valkey import valkey
from worker import guard
from worker.database import engine, transaction
from worker.guard import Taken

NANOS = st.integers(0, 10**10).map(lambda nano: Decimal(nano) / 10**9)
WHICH = st.integers(0, 1000)
_NEVER = 1 << 60


@dataclass
class Call:
    """One call. cost: None while it goes on, or was released. lost: Redis forgot it in a flush.

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


class Calls(RuleBasedStateMachine):
    """Calls, their records, rollups, reconcilers that stop halfway, and a Redis that forgets."""

    redis: Redis
    url: str
    examples = 0

    def __init__(self) -> None:
        super().__init__()
        Calls.examples += 1
        self.project = f"project-{Calls.examples}"
        self.providers = (f"a{Calls.examples}", f"b{Calls.examples}")
        self.redis.flushall()
        blocked(self.project, 10**6, scope={"project": self.project}, period="year")
        self.guard = Guard(self.url)
        self.calls: list[Call] = []
        self.halfway: list[Taken] = []
        self.name = name_of(self.project)

    def teardown(self) -> None:
        try:
            self.all_is_well_in_the_end()
        finally:
            self.guard.close()

    # Calls

    @rule(dollars=NANOS, which=st.sampled_from([0, 1]))
    def begin(self, dollars: Decimal, which: int) -> None:
        self.warm()
        provider = self.providers[which]
        hold = reserve(self.guard, dollars, self.project, provider=provider)
        self.calls.append(Call(hold, provider))

    @precondition(lambda self: self.open())
    @rule(dollars=NANOS, which=WHICH, priced=st.booleans(), recorded=st.booleans())
    def end(self, dollars: Decimal, which: int, priced: bool, recorded: bool) -> None:
        found = self.open()
        call = found[which % len(found)]
        call.over, call.priced, call.lost = True, priced, False
        call.cost = dollars if priced else Decimal(call.hold.nano) / 10**9
        if recorded:  # a recorder may be quicker than the settlement
            self.book(call)
        self.guard.settle(call.hold, dollars if priced else None)

    @precondition(lambda self: self.open())
    @rule(which=WHICH)
    def give_up(self, which: int) -> None:
        found = self.open()
        call = found[which % len(found)]
        call.over = True
        self.guard.release(call.hold)

    @precondition(lambda self: self.settled())
    @rule(which=WHICH)
    def settle_again(self, which: int) -> None:
        found = self.settled()
        call = found[which % len(found)]
        self.guard.settle(call.hold, call.cost if call.priced else None)

    @rule(dollars=NANOS, which=st.sampled_from([0, 1]))
    def whole_call(self, dollars: Decimal, which: int) -> None:
        """Most of them: what is estimated is paid, and recorded at once."""
        self.begin(dollars, which)
        call = self.calls[-1]
        call.over, call.cost = True, dollars
        self.guard.settle(call.hold, dollars)
        self.book(call)

    # Their way into the totals

    @precondition(lambda self: self.unbooked())
    @rule(which=WHICH)
    def write(self, which: int) -> None:
        found = self.unbooked()
        self.book(found[which % len(found)])

    @precondition(lambda self: any(call.booked and not call.priced for call in self.calls))
    @rule()
    def settle_prices(self) -> None:
        for call in self.calls:
            if call.booked and not call.priced:
                self.price(call)

    @rule()
    def tick(self) -> None:
        ledger.tick()
        for call in self.calls:
            call.seen = call.seen or (call.booked and call.priced)

    @rule(which=st.sampled_from([0, 1]), batch=st.sampled_from([1, 2, 1000]))
    def count(self, which: int, batch: int) -> None:
        provider = self.providers[which]
        if ledger.advance(provider, batch).more or batch < 1000:
            return  # which of them is not known here
        for call in self.calls:
            if call.seen and call.provider == provider and call.counted == _NEVER:
                call.counted = last_number()

    @rule()
    def roll(self) -> None:
        """What beat and workers do all day."""
        self.tick()
        for which in (0, 1):
            self.count(which, 1000)
        reconcile(self.redis)

    # Reconcilers

    @rule()
    def reconcile(self) -> None:
        reconcile(self.redis)

    @precondition(lambda self: len(self.halfway) < 3)
    @rule()
    def begin_reading(self) -> None:
        self.halfway.append(take(self.redis))

    @precondition(lambda self: self.halfway)
    @rule(which=WHICH)
    def end_reading(self, which: int) -> None:
        guard.put(self.redis, self.halfway.pop(which % len(self.halfway)))

    @rule()
    def flush(self) -> None:
        self.redis.flushall()
        for call in self.calls:
            call.lost = True

    @invariant()
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
        assert found.held >= held
        assert Decimal(found.spent + found.settled) / 10**9 >= spent

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
def machine(database: str) -> Iterator[type[Calls]]:
    with valkey() as server:
        Calls.redis, Calls.url = server.client, server.url
        yield Calls


def test_a_counter_is_never_below_what_calls_have_cost(machine: type[Calls]) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=15,
            stateful_step_count=40,
            deadline=None,
            print_blob=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
