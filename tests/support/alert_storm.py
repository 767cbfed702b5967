"""From rows to webhooks while everything dies: writers, beat, workers, and a receiver that fails.

Real programs over a real broker. Their processes die between any two steps, whole workers and beat
too, and messages of the broker come twice. The pauses of deliveries are cut short.
"""

import math
import random
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from threading import Event, Thread
from typing import Any

from celery import Celery
from kombu.exceptions import OperationalError
from sqlalchemy import text

from spend import secrets
from spend.delivery import destination, registry
from tests.support import alerts, ledger
from tests.support.crossings import CHANNELS, PROVIDERS, Crossing, Model, Writers
from tests.support.delivery_storm import ALLOWED, DYING, environment, hurrying
from tests.support.moody import Moody, out_of_order
from tests.support.programs import CELERY, Program
from worker.database import transaction

QUEUES = "ticks,rollups,checks,delivery"
# What is sent twice, in the worst order, beside what beat and the tasks themselves send.
_REPEATED = {
    "tasks.ticks.take": "ticks",
    "tasks.budgets.look": "ticks",
    "tasks.delivery.ring": "ticks",
    "tasks.rollups.roll_up": "rollups",
    "tasks.budgets.check": "checks",
    "tasks.budgets.check_due": "checks",
    "tasks.budgets.review": "checks",
    "tasks.delivery.deliver": "delivery",
}
_OF_A_SHARD = ("tasks.rollups.roll_up", "tasks.budgets.check")
_LEFT = text(
    "SELECT (SELECT count(*) FROM budget_news)"
    " + (SELECT count(*) FROM outbox WHERE state = 'waiting')"
)
_STATES = text("SELECT state, count(*) FROM outbox GROUP BY 1")


@dataclass
class Heard:
    """What receivers were told, by id of the alert. read() is for a receiver."""

    crossings: dict[int, Crossing] = field(default_factory=dict)
    lines: dict[int, Decimal] = field(default_factory=dict)

    def read(self, data: dict[str, Any]) -> tuple[str, int]:
        number = int(data["alert"]["id"])
        first = data["period"]["first"]
        self.crossings[number] = (data["budget"]["name"], first, data["alert"]["threshold"])
        self.lines[number] = Decimal(data["alert"]["line"])
        return data["budget"]["name"], number


@dataclass(frozen=True)
class Found:
    """expected: crossings by the model. rows: of budget_alerts. distinct: webhook-ids that came.

    missing, surplus: crossings that came not, or without being any; twice: that came with more
    than one id. again: how often an id came again; excused: requests without an answer and
    deaths. disordered: (budget, channel) whose messages came in another order than their alerts,
    or a higher line before a lower one. deaths: by task; steps: different ones.
    """

    expected: int
    rows: int
    distinct: int
    missing: frozenset[Crossing]
    surplus: frozenset[Crossing]
    twice: frozenset[Crossing]
    untold: frozenset[Crossing]
    again: int
    excused: int
    disordered: tuple[str, ...]
    states: dict[str, int]
    agrees: bool
    committed: int
    repeated: int
    kills: int
    deaths: Counter[str]
    steps: int
    shown: Counter[str]
    seconds: float

    @property
    def right(self) -> bool:
        wrong = (self.missing, self.surplus, self.twice, self.untold, self.disordered)
        return (
            self.expected == self.rows == self.distinct == self.states.get("delivered")
            and len(self.states) == 1
            and not any(wrong)
            and self.again <= self.excused
            and self.agrees
        )


def storm(
    folder: Path,
    broker_url: str,
    database_url: str,
    receivers: tuple[Moody, ...],
    heard: Heard,
    *,
    budgets: int,
    rows: int,
    kill_every: float,
    dying: float,
    workers: int = 2,
    pause: float = 0.1,
    seed: int = 1,
    seconds: float = 900,
) -> Found:
    """Write so many rows, and let everything happen until nothing is left to do.

    receivers: one per channel, reading for `heard`. kill_every: seconds with all programs up after
    which one is killed with all its processes, on average. dying: as in delivery_storm.
    AssertionError if it takes longer than `seconds`.
    """
    dollars = Decimal(10_000)
    key = secrets.new_key()
    for name, receiver in zip(CHANNELS, receivers, strict=True):
        _channel(name, receiver.url, key)
    model = Model(budgets, dollars, seed)
    values = {
        **environment(key),
        # Beat rings no faster than workers that keep dying can take it on a busy machine.
        "SPENDBEAT_TICK_SECONDS": "1",
        "SPENDBEAT_CHECK_SECONDS": "1",
        "SPENDBEAT_GUARD_SECONDS": "60",
        "DATABASE_URL": database_url,
        "REDIS_URL": broker_url,
        "SPENDBEAT_DYING": str(dying),
        "SPENDBEAT_DEATHS": str(folder / "deaths"),
    }
    beat = Program("beat", (*CELERY, "beat", "--pidfile="), folder / "beat.log", values)
    programs = [beat] + [_worker(f"worker-{n}", folder, values) for n in range(workers)]
    began = time.monotonic()
    kills = 0
    chance = random.Random(seed)
    try:
        for program in programs:
            program.start()
        with (
            hurrying(),
            _repeating(broker_url, seed) as repeated,
            Writers(model, rows=rows, dollars=dollars, pause=pause, seed=seed) as writers,
        ):
            kill_at = math.inf
            while writers.busy or not _over(model):
                assert time.monotonic() < began + seconds, _what_is_left(model)
                time.sleep(0.1)  # the time of others, not a wait for something
                if time.monotonic() > kill_at:
                    victim = chance.choice(programs)
                    victim.kill()
                    # Of the next one's start, only what it says itself.
                    victim.log.unlink()
                    victim.start()
                    kills += 1
                    kill_at = math.inf
                elif kill_at == math.inf and all(map(_up, programs)):
                    kill_at = time.monotonic() + kill_every * chance.uniform(0.5, 1.5)
    finally:
        for program in programs:
            program.kill()
    deaths = (folder / "deaths").read_text().splitlines() if (folder / "deaths").exists() else []
    return _found(
        model,
        receivers,
        heard,
        repeated=repeated[0],
        kills=kills,
        deaths=deaths,
        seconds=time.monotonic() - began,
    )


def _up(program: Program) -> bool:
    said = program.logs()
    return "[queues]" in said or "is starting" in said


def _channel(name: str, url: str, key: str) -> None:
    with transaction() as session:
        registry.add(
            session,
            name,
            "webhook",
            url,
            secrets.parse(key, "a test"),
            allowed=destination.networks(ALLOWED),
        )


def _worker(name: str, folder: Path, values: dict[str, str]) -> Program:
    arguments = ("worker", "-Q", QUEUES, "-c", "2", "--without-mingle", "-n", f"{name}@%h")
    return Program(name, (*DYING, *arguments), folder / f"{name}.log", values)


@contextmanager
def _repeating(broker_url: str, seed: int) -> Iterator[list[int]]:
    """Send messages at random, each of them twice with the same id; yields how many."""
    stop = Event()
    count = [0]
    chance = random.Random(seed)
    # Not ours: its configuration is that of the first broker of this process.
    app = Celery("repeats", broker=broker_url)

    def repeat() -> None:
        while not stop.wait(chance.random() * 0.4):
            name = chance.choice(list(_REPEATED))
            said = {}
            if name in _OF_A_SHARD:
                said = {"provider": chance.choice(PROVIDERS)}
            elif name == "tasks.delivery.deliver":
                said = {"lane": _some_lane(chance)}
            task_id = f"again-{chance.getrandbits(60)}"
            for _ in "12":
                with suppress(OperationalError):
                    app.send_task(
                        name, kwargs=said, queue=_REPEATED[name], expires=30, task_id=task_id
                    )
                    count[0] += 1

    thread = Thread(target=repeat)
    thread.start()
    try:
        yield count
    finally:
        stop.set()
        thread.join()
        app.close()


def _some_lane(chance: random.Random) -> str:
    with transaction("spendbeat_reader") as session:
        lanes = session.scalars(text("SELECT lane FROM outbox_lanes ORDER BY 1")).all()
    return chance.choice(lanes) if lanes else "none"


def _over(model: Model) -> bool:
    """Whether all is counted, looked at and sent. Crossings themselves are not asked for."""
    with transaction("spendbeat_reader") as session:
        counted = session.scalar(text("SELECT sum(total_cost) FROM spend_summary")) or 0
        return counted == model.dollars and not session.scalar(_LEFT)


def _what_is_left(model: Model) -> str:
    left = ledger.scalar(str(_LEFT))
    counted = ledger.scalar("SELECT sum(total_cost) FROM spend_summary")
    return f"{left} checks and messages are left; {counted} of {model.dollars} is counted"


def _found(
    model: Model,
    receivers: tuple[Moody, ...],
    heard: Heard,
    *,
    repeated: int,
    kills: int,
    deaths: list[str],
    seconds: float,
) -> Found:
    expected = model.crossed().keys()
    ids: dict[Crossing, set[str]] = defaultdict(set)
    came: Counter[str] = Counter()
    disordered: list[str] = []
    for receiver in receivers:
        came.update(receiver.ids)
        disordered += out_of_order(receiver)
        for lane, messages in receiver.came.items():
            disordered += [lane] if _climbs_down(messages, heard) else []
            for number, message_id in messages:
                ids[heard.crossings[number]].add(message_id)
    rows = {(one.budget, str(one.period.first), one.threshold) for one in alerts.told()}
    with transaction("spendbeat_reader") as session:
        states = {str(state): int(count) for state, count in session.execute(_STATES)}
    return Found(
        expected=len(expected),
        rows=len(alerts.told()),
        distinct=len(came),
        missing=frozenset(expected - ids.keys()),
        surplus=frozenset(ids.keys() - expected),
        twice=frozenset(crossing for crossing, found in ids.items() if len(found) > 1),
        untold=frozenset(expected ^ rows),
        again=came.total() - len(came),
        # A worker has two messages in hand.
        excused=sum(one.unanswered for one in receivers) + 2 * kills + len(deaths),
        disordered=tuple(disordered),
        states=states,
        agrees=ledger.verify().agrees,
        committed=model.rows,
        repeated=repeated,
        kills=kills,
        deaths=Counter(line.split()[0].removeprefix("tasks.") for line in deaths),
        steps=len(set(deaths)),
        shown=sum((one.shown for one in receivers), Counter()),
        seconds=seconds,
    )


def _climbs_down(messages: list[tuple[int, str]], heard: Heard) -> bool:
    """Whether a lower line of a period was told after a higher one. Repetitions do not count."""
    highest: dict[str, Decimal] = {}
    for number in dict.fromkeys(number for number, _ in messages):
        first, line = heard.crossings[number][1], heard.lines[number]
        if line < highest.get(first, line):
            return True
        highest[first] = line
    return False
