"""Callers at one limit while Redis loses everything at random, and the ledger lags."""

import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from typing import Any

from redis import Redis
from spendbeat_gateway.guard import Guard, Hold, Refusal, keys, publishing
from spendbeat_gateway.guard.publishing import Spent
from sqlalchemy.exc import OperationalError

from spend.capture.desk import Desk
from spend.enforcement import readings
from spend.errors import BusyError
from tests.support import ledger
from tests.support.reconciling import blocked, counter, name_of, reconcile, record, serve
from tests.support.valkey import Valkey
from web.loader import Loader
from worker.database import engine, transaction

NANO = 10**9
PROJECT = "storm"
_CALL = Decimal("1.000000001")  # dollars at most, as the estimate says


@dataclass
class Flush:
    """What one flush took with it, in nano-dollars: open holds, settlements not rolled up.

    used: what the budget had used just before. cold: seconds until its counter was there again.
    """

    used: int
    held: int
    unrolled: int
    cold: float = 0.0


@dataclass
class Outcome:
    """In nano-dollars. billed: what calls have cost. reconciled: seconds of the last one."""

    limit: int
    billed: int = 0
    calls: int = 0
    refused: int = 0
    died: int = 0
    flushes: list[Flush] = field(default_factory=list)
    postgres: int = 0
    used: int = 0
    left_over: int = 0
    reconciled: float = 0.0

    @property
    def over(self) -> int:
        return self.billed - self.limit

    @property
    def allowed_over(self) -> int:
        """What the flushes took, together."""
        return sum(flush.held + flush.unrolled for flush in self.flushes)


class _Storm:
    def __init__(self, server: Valkey, calls: int, seed: int, blind: bool) -> None:
        self.server, self.blind = server, blind
        self.redis: Redis = server.client
        self.desk = Desk(engine())
        self.random = random.Random(seed)
        self.outcome = Outcome(int(_CALL * NANO) * calls)
        self.lock = threading.Lock()
        self.stop = threading.Event()
        self.late: list[Callable[[], None]] = []

    def call_for_ever(self, number: int) -> None:
        """Reserve, work, settle, record: at once, late, or die in between."""
        mine = random.Random(number)
        guard = Guard(self.server.url, lifetime=4)
        try:
            while not self.stop.is_set():
                answer = guard.reserve(
                    {"project": PROJECT}, _CALL, provider="openai", model="a-model"
                )
                if isinstance(answer, Refusal):
                    with self.lock:
                        self.outcome.refused += 1
                    self.stop.wait(0.02)
                    continue
                assert answer.enforced, "a call passed that nobody asked about"
                self._call(guard, answer, mine)
        finally:
            guard.close()

    def _call(self, guard: Guard, hold: Hold, mine: random.Random) -> None:
        fate = mine.random()
        self.stop.wait(mine.random() * 0.1)
        if fate < 0.03:  # its hold expires
            with self.lock:
                self.outcome.died += 1
            return
        cost = _CALL - Decimal(mine.randrange(10**8)) / NANO
        with self.lock:
            self.outcome.billed += int(cost * NANO)
            self.outcome.calls += 1
        guard.settle(hold, cost)
        tell = partial(record, hold, cost, PROJECT, desk=self.desk)
        if fate < 0.6:
            tell()
        else:
            with self.lock:
                self.late.append(tell)

    def tell_late(self) -> None:
        while not self.stop.is_set():
            self.stop.wait(0.2)
            self.tell_some(0.5)

    def tell_some(self, share: float) -> None:
        with self.lock:
            self.random.shuffle(self.late)
            some = [self.late.pop() for _ in range(int(len(self.late) * share + 0.999))]
        for tell in some:
            tell()

    def roll_for_ever(self) -> None:
        while not self.stop.wait(self.random.random()):
            ledger.roll()

    def reconcile_for_ever(self) -> None:
        while not self.stop.wait(0.3):
            self.reconcile()

    def reconcile(self) -> None:
        if self.blind:
            self.begin_at_nothing()
        else:
            try:
                reconcile(self.redis)
            except (BusyError, OperationalError):
                return

    def begin_at_nothing(self) -> None:
        """The control: what is missing is taken for 0."""
        publishing.want(self.redis, "rules")
        serve(self.redis)
        name = name_of(PROJECT)
        if counter(self.redis, PROJECT) is None:
            nothing = Spent(*name, Decimal(0), Decimal(self.outcome.limit) / NANO, None, None)
            publishing.set_spent(self.redis, nothing, reading=1, epoch=publishing.epoch(self.redis))

    def flush(self) -> None:
        """Lose everything in one transaction with a look at what is lost."""
        name = ":".join(name_of(PROJECT))
        with transaction() as session:
            waiting = list(publishing.pending(self.redis, *name_of(PROJECT)))
            number = readings.begin(session, wait=5)
            assert number is not None
            rolled = readings.read(session, number, (), readings.booked(session, waiting)).covered
            with self.redis.pipeline(transaction=True) as pipe:
                pipe.hmget(keys.counter(name), "limit", "spent", "room")
                pipe.hgetall(keys.settled(name))
                pipe.flushall()
                said, settlements, _ = pipe.execute()
        unrolled = sum(int(nano) for id_, nano in settlements.items() if id_ not in rolled)
        settled = sum(map(int, settlements.values()))
        if said[2] is None:  # it was not there again yet
            found = Flush(0, 0, unrolled)
        else:
            limit, spent, room = map(int, said)
            found = Flush(limit - room, limit - room - spent - settled, unrolled)
        at = time.monotonic()
        while counter(self.redis, PROJECT) is None and time.monotonic() < at + 10:
            time.sleep(0.001)
        found.cold = time.monotonic() - at
        self.outcome.flushes.append(found)

    def end(self) -> None:
        """Everything is recorded, counted and reconciled once."""
        self.tell_some(1)
        ledger.roll()
        deadline = time.monotonic() + 10
        while publishing.open_holds(self.redis) and time.monotonic() < deadline:
            publishing.expire(self.redis)
            time.sleep(0.05)
        at = time.monotonic()
        if not self.blind:
            reconcile(self.redis)
        self.outcome.reconciled = time.monotonic() - at
        found = counter(self.redis, PROJECT)
        assert found is not None
        self.outcome.used = found.used
        self.outcome.left_over = found.settled + found.held
        spent = ledger.scalar("SELECT coalesce(sum(spend), 0) FROM budget_spend")
        self.outcome.postgres = int(Decimal(spent) * NANO)


def storm(
    server: Valkey,
    *,
    callers: int,
    calls: int,
    seconds: float,
    flushes: float,
    seed: int,
    loaders: int = 8,
    blind: bool = False,
) -> Outcome:
    """A limit worth `calls`, against callers and a FLUSHALL every `flushes` seconds on average.

    flushes: 0 is none: only a ledger that lags, and reconciliations. blind: the control, in which
    a missing counter is taken for an empty one.
    """
    limit = _CALL * calls
    blocked(PROJECT, str(limit), scope={"project": PROJECT}, period="year")
    scene = _Storm(server, calls, seed, blind)
    scene.reconcile()
    jobs = [partial(scene.call_for_ever, seed * 1000 + n) for n in range(callers)]
    jobs += [scene.tell_late, scene.roll_for_ever, scene.reconcile_for_ever]
    with _loading(server, 0 if blind else loaders), ThreadPoolExecutor(len(jobs)) as pool:
        running = [pool.submit(job) for job in jobs]
        end = time.monotonic() + seconds
        try:
            while time.monotonic() < end and not any(job.done() for job in running):
                pause = scene.random.expovariate(1 / flushes) if flushes else 1.0
                time.sleep(min(pause, end - time.monotonic(), 5.0))
                if flushes and time.monotonic() < end:
                    scene.flush()
        finally:
            scene.stop.set()
        for job in running:
            job.result()
    scene.end()
    return scene.outcome


@contextmanager
def _loading(server: Valkey, count: int) -> Iterator[None]:
    """As many as there are processes of the web service."""
    found: list[Any] = [Loader(engine(), server.url) for _ in range(count)]
    for loader in found:
        loader.start()
    try:
        yield
    finally:
        for loader in found:
            loader.stop()
