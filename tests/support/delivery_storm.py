"""Deliveries while the receiver fails at random and workers die, between any two steps.

The real beat and real workers over a real Redis. The pauses between attempts, which are hours, are
cut short in the database; the rings that killed workers took with them, too.
"""

import random
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Event, Thread

from sqlalchemy import text

from spend import secrets
from spend.delivery import destination, outbox, registry
from spend.delivery.outcome import Message
from tests.support.moody import Moody, out_of_order
from tests.support.programs import CELERY, Program
from worker.database import transaction

ALLOWED = "127.0.0.1"
DYING = (sys.executable, "-m", "celery", "-A", "tests.support.dying")
_HASTE = text(
    "UPDATE outbox SET next_at = least(next_at, now()),"
    " rung_at = CASE WHEN rung_at > now() - interval '2 s' THEN rung_at END"
    " WHERE state = 'waiting' AND (next_at > now() OR rung_at <= now() - interval '2 s')"
)
_LEFT = text("SELECT count(*) FROM outbox WHERE state = 'waiting'")
_STATES = text("SELECT state, count(*) FROM outbox GROUP BY 1")


@dataclass(frozen=True)
class Found:
    """put, distinct, again: messages, different ids that came, and how often one came again.

    early: marked delivered though the receiver never took it. disordered: lanes. hands: messages
    that a worker has in hand at the same time.
    """

    put: int
    distinct: int
    again: int
    missing: frozenset[str]
    early: frozenset[str]
    disordered: tuple[str, ...]
    states: dict[str, int]
    kills: int
    hands: int
    deaths: int
    shown: Counter[str]
    unanswered: int
    seconds: float

    @property
    def right(self) -> bool:
        """Everything came, in order; what came again has an unanswered request or a death."""
        return (
            self.distinct == self.put == self.states.get("delivered")
            and not (self.missing or self.early or self.disordered)
            and self.again <= self.unanswered + self.kills * self.hands + self.deaths
        )


def prepare(url: str, key: str, name: str = "storm") -> int:
    """The channel; its id."""
    with transaction() as session:
        added = registry.add(
            session,
            name,
            "webhook",
            url,
            secrets.parse(key, "a test"),
            allowed=destination.networks(ALLOWED),
        )
    return added.channel.id


def put(channel_id: int, count: int, lanes: int) -> list[str]:
    """Messages over so many lanes, each lane's in a transaction of its own; their ids."""
    ids = []
    for place in range(lanes):
        lane = f"budget:{place}/channel:{channel_id}"
        with transaction() as session:
            for number in range(place, count, lanes):
                body = {"version": 1, "lane": lane, "number": number}
                told = Message(outbox.new_id(), datetime.now(UTC), "test.numbered", body)
                outbox.put(session, lane=lane, channel_id=channel_id, message=told)
                ids.append(told.id)
    return ids


def environment(key: str) -> dict[str, str]:
    return {
        "SPENDBEAT_SECRET_KEY": key,
        "SPENDBEAT_WEBHOOK_ALLOWED": ALLOWED,
        "SPENDBEAT_TICK_SECONDS": "0.25",
    }


@contextmanager
def hurrying() -> Iterator[None]:
    """Let the time of pauses and of lost rings pass quickly."""
    stop = Event()

    def hurry() -> None:
        while not stop.wait(0.25):
            with transaction() as session:
                session.execute(_HASTE)

    thread = Thread(target=hurry)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def storm(
    folder: Path,
    broker_url: str,
    database_url: str,
    receiver: Moody,
    *,
    messages: int,
    lanes: int,
    kill_every: float,
    dying: float = 0.002,
    workers: int = 2,
    pool: Sequence[str] = (),
    seconds: float = 600,
) -> Found:
    """Put messages and let everything happen until all ended; AssertionError if that takes longer.

    kill_every: seconds after which one of the workers is killed with all its processes, on
    average. dying: probability of a process to die at each step of its own. pool: options of the
    workers, the last of which is how many messages one has in hand.
    """
    key = secrets.new_key()
    ids = put(prepare(receiver.url, key), messages, lanes)
    values = {
        **environment(key),
        "DATABASE_URL": database_url,
        "REDIS_URL": broker_url,
        "SPENDBEAT_DYING": str(dying),
    }
    names = [f"worker-{number}" for number in range(workers)]
    programs = [
        Program(
            name,
            (
                *DYING,
                "worker",
                "-Q",
                "delivery,ticks",
                "--without-mingle",
                "-n",
                f"{name}@%h",
                *pool,
            ),
            folder / f"{name}.log",
            values,
        )
        for name in names
    ]
    beat = Program("beat", (*CELERY, "beat", "--pidfile="), folder / "beat.log", values)
    began = time.monotonic()
    kills = 0
    chance = random.Random(1)
    try:
        for program in (*programs, beat):
            program.start()
        with hurrying():
            again_at = began + kill_every + 3
            while waiting := left():
                assert time.monotonic() < began + seconds, f"{waiting} messages are left"
                time.sleep(0.1)
                # The first one as soon as they work: a quick machine is done before its time.
                if time.monotonic() > again_at or (not kills and waiting < messages):
                    victim = chance.choice(programs)
                    victim.kill()
                    victim.start()
                    kills += 1
                    again_at = time.monotonic() + kill_every * chance.uniform(0.5, 1.5)
    finally:
        for program in (beat, *programs):
            program.kill()
    deaths = sum(program.logs().count("signal 9 (SIGKILL)") for program in programs)
    hands = int(pool[-1]) if pool else 1
    seconds = time.monotonic() - began
    return _found(receiver, ids, seconds, kills=kills, hands=hands, deaths=deaths)


def left() -> int:
    with transaction("spendbeat_reader") as session:
        return int(session.scalar(_LEFT) or 0)


def _found(receiver: Moody, ids: list[str], seconds: float, **counts: int) -> Found:
    came = Counter(receiver.ids)
    with transaction("spendbeat_reader") as session:
        states = {str(state): int(count) for state, count in session.execute(_STATES)}
        done = set(session.scalars(text("SELECT id FROM outbox WHERE state = 'delivered'")))
    return Found(
        put=len(ids),
        distinct=len(came),
        again=came.total() - len(came),
        missing=frozenset(set(ids) - came.keys()),
        early=frozenset(done - came.keys()),
        disordered=tuple(out_of_order(receiver)),
        states=states,
        **counts,
        shown=receiver.shown,
        unanswered=receiver.unanswered,
        seconds=seconds,
    )
