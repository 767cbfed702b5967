"""Callers at one limit, killed at random, and a provider's bill that says what they really spent.

A caller asks for room, makes its call (a line in the bill), and settles; now and then it asks
twice, settles twice, or gives the room back. It is killed wherever it is. Somebody plays Postgres:
what is in the bill becomes `spent`, as the ledger would have it from the spools of the dead.
"""

import asyncio
import os
import random
import signal
import threading
import time
from collections.abc import Callable
from decimal import Decimal
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import NamedTuple, Protocol
from uuid import uuid4

from redis import Redis
from spendbeat_gateway.guard import AsyncGuard, Guard, Hold, Refusal, keys, publishing

from tests.support.guards import CALL, FIRST, budget, counter, fill, publish
from tests.support.valkey import Valkey
from tests.support.waiting import wait_for

CALLS = 1_300
# Beyond doubles when added up; and far enough from 64 bits for what is counted twice for a moment,
# since its caller is dead, and for the control, which has no limit.
NANO = 700_000_000_000_003
ESTIMATE = Decimal(NANO).scaleb(-9)
LIMIT = ESTIMATE * CALLS
LIFETIME = 5.0
_MARGIN = 1.0
_PROCESSES = 8
_REFUSED_PAUSE = 0.02
_READING = 0.25
_MOST = 120.0


class Outcome(NamedTuple):
    """billed: nano-dollars really spent; limit; calls: lines of the bill; back: seconds until holds
    were gone; held: nano-dollars still held then; used: as guards see it.
    """

    billed: int
    limit: int
    calls: int
    kills: int
    abandoned: int
    refused: int
    back: float
    held: int
    used: int


class Bill:
    """What the provider has counted: a line is written whole, and stays when the writer dies."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = os.open(path, os.O_APPEND | os.O_CREAT | os.O_WRONLY, 0o600)

    def add(self, call: str, nano: int) -> None:
        os.write(self._file, f"{call} {nano}\n".encode())

    def read(self) -> dict[str, int]:
        lines = self._path.read_text(encoding="ascii").splitlines()
        found: dict[str, int] = {}
        for call, nano in (line.split() for line in lines):
            found[call] = found.get(call, 0) + int(nano)
        return found


class Stop(Protocol):
    def is_set(self) -> bool: ...


def _cost(dice: random.Random) -> int:
    """At most the estimate; often exactly that."""
    return NANO if dice.random() < 0.6 else dice.randint(0, NANO)


def _dollars(nano: int) -> Decimal:
    return Decimal(nano).scaleb(-9)


def _good(hold: Hold) -> bool:
    """Whether there is time left to make the call under it."""
    return time.time() < hold.expires_at - _MARGIN


def thread_caller(guard: Guard, bill: Bill, stop: Stop, pace: float, seed: int) -> None:
    dice = random.Random(seed)
    while not stop.is_set():
        call = uuid4().hex
        answer: Hold | Refusal = guard.reserve({}, ESTIMATE, id=call, **CALL)
        if dice.random() < 0.1:  # an answer that was lost on its way
            answer = guard.reserve({}, ESTIMATE, id=call, **CALL)
        if isinstance(answer, Refusal):
            time.sleep(_REFUSED_PAUSE)
            continue
        time.sleep(dice.random() * pace)
        if dice.random() < 0.1 or not _good(answer):
            guard.release(answer)
            continue
        nano = _cost(dice)
        bill.add(call, nano)
        time.sleep(dice.random() * pace)
        for _ in range(dice.choice((1, 1, 1, 2))):
            guard.settle(answer, _dollars(nano))


async def async_caller(guard: AsyncGuard, bill: Bill, stop: Stop, pace: float, seed: int) -> None:
    dice = random.Random(seed)
    while not stop.is_set():
        call = uuid4().hex
        answer: Hold | Refusal = await guard.reserve({}, ESTIMATE, id=call, **CALL)
        if dice.random() < 0.1:
            answer = await guard.reserve({}, ESTIMATE, id=call, **CALL)
        if isinstance(answer, Refusal):
            await asyncio.sleep(_REFUSED_PAUSE)
            continue
        await asyncio.sleep(dice.random() * pace)
        if dice.random() < 0.1 or not _good(answer):
            await guard.release(answer)
            continue
        nano = _cost(dice)
        bill.add(call, nano)
        await asyncio.sleep(dice.random() * pace)
        for _ in range(dice.choice((1, 1, 1, 2))):
            await guard.settle(answer, _dollars(nano))


def naive_caller(redis: Redis, bill: Bill, stop: Stop, pace: float, seed: int) -> None:
    """The control: look whether there is room, make the call, add what it has cost."""
    dice = random.Random(seed)
    limit = NANO * CALLS
    while not stop.is_set():
        if int(redis.get("naive") or 0) + NANO > limit:
            time.sleep(_REFUSED_PAUSE)
            continue
        nano = _cost(dice)
        bill.add(uuid4().hex, nano)
        time.sleep(dice.random() * pace)
        redis.incrby("naive", nano)


def _threads(callers: int, target: Callable[[int], None], seed: int) -> None:
    threads = [threading.Thread(target=target, args=(seed * 1000 + n,)) for n in range(callers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _coroutines(url: str, bill: Bill, stop: Stop, *, pace: float, callers: int, seed: int) -> None:
    async def run() -> None:
        guard = AsyncGuard(url, lifetime=LIFETIME, timeout=60)
        await asyncio.gather(
            *(async_caller(guard, bill, stop, pace, seed * 1000 + n) for n in range(callers))
        )
        await guard.aclose()

    asyncio.run(run())


class Storm:
    """Processes of callers; half of them threads, half coroutines. pace: half a call's seconds."""

    def __init__(
        self,
        server: Valkey,
        folder: Path,
        way: str,
        *,
        callers: int,
        seconds: float,
        seed: int,
    ) -> None:
        self._server, self._way = server, way
        # Most of the time there is room, so most of those that are killed hold some.
        self._pace = min(1.0, callers * seconds * 0.4 / CALLS)
        self._dice = random.Random(seed)
        self.bill = Bill(folder / f"bill-{way}-{callers}-{seed}")
        self._context = get_context("fork")
        self._stop = self._context.Event()
        count = min(callers, _PROCESSES)
        self._callers = [callers // count + (n < callers % count) for n in range(count)]
        # Made before the forks, on purpose.
        self._guard = Guard(server.url, lifetime=LIFETIME, timeout=60)
        self._processes = [self._start(place) for place in range(count)]

    def _start(self, place: int) -> BaseProcess:
        process = self._context.Process(
            target=self._work, args=(place, self._dice.randrange(1 << 30)), daemon=True
        )
        process.start()
        return process

    def _work(self, place: int, seed: int) -> None:
        callers = self._callers[place]
        if self._way == "naive":
            with Redis.from_url(self._server.url) as redis:
                _threads(
                    callers,
                    lambda n: naive_caller(redis, self.bill, self._stop, self._pace, n),
                    seed,
                )
        elif place % 2:
            _coroutines(
                self._server.url,
                self.bill,
                self._stop,
                pace=self._pace,
                callers=callers,
                seed=seed,
            )
        else:
            _threads(
                callers,
                lambda n: thread_caller(self._guard, self.bill, self._stop, self._pace, n),
                seed,
            )

    def kill_one(self) -> None:
        place = self._dice.randrange(len(self._processes))
        process = self._processes[place]
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        self._processes[place] = self._start(place)

    def stop(self) -> None:
        self._stop.set()
        for process in self._processes:
            process.join(60)
            assert process.exitcode == 0, "a caller failed"


def storm(
    server: Valkey, folder: Path, *, callers: int, seconds: float, kills: float, seed: int
) -> Outcome:
    """kills: a second, on average."""
    client = server.client
    client.flushall()
    publish(client, budget(1))
    epoch = publishing.epoch(client)
    fill(client, 1, LIMIT, epoch=epoch)
    one = Storm(server, folder, "guard", callers=callers, seconds=seconds, seed=seed)
    dice, reading, killed = random.Random(seed), 1, 0
    began = time.monotonic()
    next_reading = next_kill = began
    # A machine that is busy gets the time to come to the limit at all; one caller does not.
    while (now := time.monotonic()) < began + seconds or (
        callers > 1 and not client.hget(keys.COUNTS, "refused:budget") and now < began + _MOST
    ):
        if now >= next_kill and kills:
            if now > began:
                one.kill_one()
                killed += 1
            next_kill = now + dice.expovariate(kills)
        if now >= next_reading:
            reading += 1
            _read(client, one.bill, reading, epoch)
            next_reading = now + _READING
        time.sleep(0.005)
    one.stop()
    ended = time.monotonic()
    _read(client, one.bill, reading + 1, epoch)
    wait_for(lambda: publishing.expire(client) == 0 == publishing.open_holds(client), "holds")
    back = time.monotonic() - ended
    bill, found, counts = one.bill.read(), counter(client, 1), publishing.counts(client)
    return Outcome(
        billed=sum(bill.values()),
        limit=NANO * CALLS,
        calls=len(bill),
        kills=killed,
        abandoned=counts.get("expired", 0),
        refused=counts.get("refused:budget", 0),
        back=back,
        held=found.held,
        used=found.used,
    )


def _read(client: Redis, bill: Bill, reading: int, epoch: str) -> None:
    """What reconciliation does: a snapshot of the ledger, then what of Redis it covers."""
    booked = bill.read()
    covered = [hold for hold in publishing.pending(client, "1.1", FIRST) if hold in booked]
    fill(
        client,
        1,
        LIMIT,
        spent=_dollars(sum(booked.values())),
        reading=reading,
        covered=covered,
        epoch=epoch,
    )


def naive(server: Valkey, folder: Path, *, callers: int, seconds: float, seed: int) -> int:
    """Nano-dollars that the same callers spend beyond the limit with get-then-add."""
    server.client.flushall()
    one = Storm(server, folder, "naive", callers=callers, seconds=seconds, seed=seed)
    ends = time.monotonic() + seconds
    wait_for(
        lambda: (
            time.monotonic() > ends
            and (callers == 1 or sum(one.bill.read().values()) > NANO * (CALLS - 1))
        ),
        "callers to come to the limit",
        _MOST,
    )
    one.stop()
    return sum(one.bill.read().values()) - NANO * CALLS
