"""Writers that commit out of order, roll back, use savepoints and hold transactions open, while
rollups run; and naive rollups beside them, which such writers must be able to fool.

The harness keeps what really was committed, so that nothing it checks comes from the ledger.
"""

import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from threading import Event, Lock, Thread
from typing import Any, Self

from sqlalchemy import Connection, text

from spend import partitions
from worker.database import engine, transaction

OLDEST = 2000  # hours
PROVIDERS = ("openai", "anthropic", "google")
_INSERT = text(
    "INSERT INTO cost_logs (provider, model, cost_usd, input_tokens, started_at)"
    " VALUES (:provider, :model, :cost, :tokens, now() - make_interval(hours => :age))"
)

Key = tuple[str, str]


@dataclass
class Committed:
    """What writers have committed, told by themselves."""

    dollars: Counter[Key] = field(default_factory=Counter)
    rows: int = 0
    lock: Lock = field(default_factory=Lock)

    def add(self, rows: list[dict[str, Any]]) -> None:
        with self.lock:
            self.rows += len(rows)
            for row in rows:
                self.dollars[row["provider"], row["model"]] += row["cost"]

    @property
    def total(self) -> Decimal:
        return sum(self.dollars.values(), Decimal(0))


class Writers:
    """Threads that write at random until told to stop; one transaction is held open throughout."""

    def __init__(self, count: int, seed: int, pause: float = 0.02) -> None:
        self.committed = Committed()
        self._stop = Event()
        self._pause = pause
        self._threads = [
            Thread(target=self._write, args=(random.Random(f"{seed}-{n}"),)) for n in range(count)
        ]
        self._threads.append(Thread(target=self._hold, args=(random.Random(seed),)))

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)

    def _write(self, chance: random.Random) -> None:
        with engine().connect() as connection:
            while not self._stop.is_set():
                rows = self._transaction(connection, chance)
                self._stop.wait(chance.random() * self._pause)
                if chance.random() < 0.15:
                    connection.rollback()
                else:
                    connection.commit()
                    self.committed.add(rows)

    def _transaction(self, connection: Connection, chance: random.Random) -> list[dict[str, Any]]:
        kept: list[dict[str, Any]] = []
        for _ in range(chance.randint(1, 3)):
            rows = [_row(chance) for _ in range(chance.randint(1, 4))]
            savepoint = connection.begin_nested() if chance.random() < 0.4 else None
            connection.execute(_INSERT, rows)
            if savepoint is not None and chance.random() < 0.5:
                savepoint.rollback()
            else:
                kept += rows
            self._stop.wait(chance.random() * self._pause)
        return kept

    def _hold(self, chance: random.Random) -> None:
        with engine().connect() as connection:
            rows = [_row(chance) for _ in range(10)]
            connection.execute(_INSERT, rows)
            self._stop.wait()
            connection.commit()
            self.committed.add(rows)


def _row(chance: random.Random) -> dict[str, Any]:
    return {
        "provider": chance.choice(PROVIDERS),
        "model": f"model-{chance.randint(1, 3)}",
        "cost": Decimal(chance.randint(1, 10**9)).scaleb(-12),
        "tokens": chance.randint(0, 5000),
        "age": chance.randint(0, OLDEST),
    }


# A worker's whole life: tick, then every shard, each message delivered twice at the same time.
_ROLLER = """
from concurrent.futures import ThreadPoolExecutor
from tests.support import ledger
print("ready", flush=True)
with ThreadPoolExecutor(4) as pool:
    while True:
        shards = ledger.tick().shards
        list(pool.map(lambda shard: ledger.advance(shard, 50), [s for s in shards for _ in "12"]))
"""


class Rollers:
    """Processes that roll up without a pause and are killed with SIGKILL at random moments."""

    def __init__(self, count: int) -> None:
        self._processes = [self._start() for _ in range(count)]
        self.kills = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            self._end(process)

    def kill_one(self, chance: random.Random) -> None:
        """Let one live for a while, kill it in whatever it is doing, and start another."""
        place = chance.randrange(len(self._processes))
        process = self._processes[place]
        assert process.stdout is not None
        assert process.stdout.readline(), "a worker of the storm did not even start"
        time.sleep(0.3 + 1.2 * chance.random())  # the length of a life, not a wait for something
        self._end(process)
        self._processes[place] = self._start()
        self.kills += 1

    @staticmethod
    def _start() -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-c", _ROLLER], stdout=subprocess.PIPE)

    @staticmethod
    def _end(process: subprocess.Popen[bytes]) -> None:
        process.kill()
        process.communicate()


class Naive(Thread):
    """A rollup that remembers how far it was by a column of the rows, like many out there."""

    def __init__(self, select: str, start: object) -> None:
        super().__init__()
        self._select = text(select)
        self._mark = start
        self._stop_it = Event()
        self.total = Decimal(0)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop_it.set()
        self.join(30)

    def run(self) -> None:
        while not self._stop_it.is_set():
            self.step()
            self._stop_it.wait(0.05)

    def step(self) -> None:
        with engine("spendbeat_reader").connect() as connection:
            mark, dollars = connection.execute(self._select, {"mark": self._mark}).one()
        if mark is not None:
            self._mark = mark
            self.total += dollars


def naive_by_id() -> Naive:
    """Rows above the highest id seen."""
    return Naive("SELECT max(id), sum(cost_usd) FROM cost_logs WHERE id > :mark", 0)


def naive_by_arrival() -> Naive:
    """Rows that arrived after the last one seen."""
    return Naive(
        "SELECT max(created_at), sum(cost_usd) FROM cost_logs WHERE created_at > :mark",
        "-infinity",
    )


@dataclass(frozen=True)
class Outcome:
    """What was committed, and what each way of counting made of it."""

    committed: Committed
    kills: int
    by_id: Decimal
    by_arrival: Decimal


def storm(
    seconds: float,
    *,
    writers: int = 6,
    rollers: int = 2,
    seed: int = 1,
    enough: Callable[[Committed, int], bool] = lambda _committed, _kills: False,
) -> Outcome:
    """Let everything happen at once for a while; the rollups are not yet brought to the end.

    It ends sooner when it is `enough`: what was committed and how many were killed until then.
    """
    chance = random.Random(seed)
    with transaction() as session:
        now = datetime.now(UTC)
        partitions.ensure(session, [now - timedelta(hours=h) for h in range(0, OLDEST + 720, 720)])
    by_id, by_arrival = naive_by_id(), naive_by_arrival()
    with ExitStack() as stack:
        stack.enter_context(by_id)
        stack.enter_context(by_arrival)
        killed = stack.enter_context(Rollers(rollers))
        writing = stack.enter_context(Writers(writers, seed))
        end = time.monotonic() + seconds
        while time.monotonic() < end and not enough(writing.committed, killed.kills):
            killed.kill_one(chance)
    for naive in (by_id, by_arrival):
        naive.step()
    return Outcome(writing.committed, killed.kills, by_id.total, by_arrival.total)
