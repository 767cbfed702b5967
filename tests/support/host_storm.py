"""Workers on two hosts, Postgres, Redis and a receiver on a third; one is cut off, then lost.

Both times in the middle of a transaction, if it can be caught in one: then Postgres holds its locks
and waits for a client that cannot answer.
"""

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from sqlalchemy import text

from benchmarks.stack import autocommit, database
from spend import secrets
from spend.delivery import destination, registry
from tests.support import alerts, ledger
from tests.support.alert_storm import Heard
from tests.support.crossings import CHANNELS, Model, Writers
from tests.support.databases import name
from tests.support.delivery_storm import hurrying
from tests.support.hosts import Host
from tests.support.moody import Moody, moody
from tests.support.programs import CELERY, Program
from tests.support.waiting import wait_for
from worker.database import transaction
from worker.embedded.postgres import EmbeddedPostgres
from worker.embedded.redis import EmbeddedRedis

_BUSY = text(
    "SELECT count(*) FROM pg_stat_activity WHERE client_addr = CAST(:at AS inet)"
    " AND xact_start IS NOT NULL AND query !~ '^(BEGIN|SELECT 1|SHOW|SELECT pg_catalog.version)'"
)
_SILENT = text(
    "SELECT count(*) FROM pg_stat_activity WHERE client_addr = CAST(:at AS inet)"
    " AND xact_start < now() - interval '1 s'"
)
_CUT_TRIES = 15
_LEFT = (
    "SELECT (SELECT count(*) FROM budget_news)"
    " + (SELECT count(*) FROM outbox WHERE state = 'waiting')"
)


class Postgres(EmbeddedPostgres):
    """Reachable on one host's address, and by us on its socket."""

    def __init__(self, home: Path, host: Host) -> None:
        super().__init__(home, {"listen_addresses": host.address, "fsync": "off"})
        self.host = host

    def started(self) -> None:
        super().started()
        with (self.data / "pg_hba.conf").open("a") as rules:
            rules.write("host all all samenet trust\n")
        with autocommit(self.url("postgres")) as connection:
            connection.execute(text("SELECT pg_reload_conf()"))


class Redis(EmbeddedRedis):
    def __init__(self, home: Path, host: Host) -> None:
        super().__init__(home)
        self.host = host

    def prepare(self) -> list[str]:
        at = ["--bind", self.host.address, "--port", "6379", "--protected-mode", "no"]
        # It gives clients up that it cannot reach before the cable is back.
        return [*super().prepare(), *at, "--tcp-keepalive", "3"]


@dataclass
class Found:
    """middle: how often a host was cut off inside a transaction. lag: seconds from the end of
    writing, with one host lost, until all was counted, looked at and told. freed: seconds until
    Postgres gave up the lost host's transactions. alone: rows counted while one was cut off.
    """

    rows: int = 0
    dollars: Decimal = Decimal(0)
    counted: Decimal = Decimal(0)
    agrees: bool = False
    crossings: int = 0
    alerts: int = 0
    came: int = 0
    again: int = 0
    missing: int = 0
    surplus: int = 0
    middle: int = 0
    alone: int = 0
    rejoined: int = 0
    freed: float = 0
    lag: float = 0
    seconds: float = 0
    states: Counter[str] = field(default_factory=Counter)

    @property
    def right(self) -> bool:
        return (
            self.agrees
            and self.counted == self.dollars
            and self.crossings == self.alerts == self.came
            and not self.missing
            and not self.surplus
            and self.states.keys() == {"delivered"}
            and min(self.alone, self.rejoined) > 0
        )


@dataclass
class Site:
    """A host with workers, and with a beat of its own."""

    host: Host
    programs: list[Program]

    def start(self) -> None:
        with self.host.inside():
            for program in self.programs:
                program.start()

    def ready(self) -> bool:
        return all(" ready." in p.logs() or "beat" in p.name for p in self.programs)

    def tasks(self) -> int:
        """How many have ended here."""
        return sum(program.logs().count(" succeeded in ") for program in self.programs)

    def lose_power(self) -> None:
        for program in self.programs:
            program.kill()


def site(host: Host, folder: Path, values: dict[str, str]) -> Site:
    short = host.name.rpartition("-")[2]
    quiet = ("--without-mingle", "-l", "INFO")
    commands = {
        "worker": ("worker", "-n", f"worker@{short}", "-X", "delivery", "-c", "2", *quiet),
        "delivery": (
            *("worker", "-n", f"delivery@{short}", "-Q", "delivery"),
            *("-P", "threads", "-c", "4", *quiet),
        ),
        "beat": ("beat", "--pidfile=", "-l", "WARNING"),
    }
    return Site(
        host,
        [
            Program(f"{kind}-{short}", (*CELERY, *words), folder / f"{kind}-{short}.log", values)
            for kind, words in commands.items()
        ],
    )


@contextmanager
def receivers(host: Host, read: Any) -> Iterator[tuple[Moody, ...]]:
    """One per channel, on a host, that take everything at once."""
    with ExitStack() as stack:
        with host.inside():
            found = [
                stack.enter_context(moody({}, seed=n, read=read, address=host.address))
                for n, _ in enumerate(CHANNELS)
            ]
        yield tuple(found)


def channels(found: tuple[Moody, ...], key: str, allowed: str) -> None:
    for channel, receiver in zip(CHANNELS, found, strict=True):
        with transaction() as session:
            registry.add(
                session,
                channel,
                "webhook",
                receiver.url,
                secrets.parse(key, "a test"),
                allowed=destination.networks(allowed),
            )


def cut(host: Host) -> bool:
    """Pull a host's cable; True if Postgres is in the middle of a transaction of it."""
    for _ in range(_CUT_TRIES):
        wait_for(lambda: _number(_BUSY, host), f"a transaction of {host.name}", 60)
        host.unplug()
        time.sleep(1.2)  # what needs nothing from the host has ended by then
        if _number(_SILENT, host):
            return True
        host.plug()
        time.sleep(0.3)
    host.unplug()
    return False


def _number(statement: Any, host: Host) -> int:
    with transaction(None) as session:
        return int(session.scalar(statement, {"at": host.address}) or 0)


def storm(
    folder: Path,
    machines: tuple[Host, Host, Host],
    *,
    budgets: int,
    rows: int,
    away: float,
    seed: int,
) -> Found:
    """Write so many rows meanwhile; over when all is counted, looked at and told."""
    hub, one, two = machines
    key = secrets.new_key()
    dollars = Decimal(10_000)
    heard = Heard()
    found = Found()
    began = time.monotonic()
    with ExitStack() as stack:
        with hub.inside():
            postgres = stack.enter_context(Postgres(folder / "home", hub))
            stack.enter_context(Redis(folder / "home", hub))
        url = stack.enter_context(database(postgres.url("postgres")))
        taken = stack.enter_context(receivers(hub, heard.read))
        allowed = hub.address
        channels(taken, key, allowed)
        model = Model(budgets, dollars, seed)
        values = {
            "DATABASE_URL": f"postgresql://postgres@{hub.address}:5432/{name(url)}",
            "REDIS_URL": f"redis://{hub.address}:6379/0",
            "SPENDBEAT_SECRET_KEY": key,
            "SPENDBEAT_WEBHOOK_ALLOWED": allowed,
            "SPENDBEAT_TICK_SECONDS": "0.5",
            "SPENDBEAT_CHECK_SECONDS": "1",
            "SPENDBEAT_GUARD_SECONDS": "60",
        }
        sites = [site(host, folder, values) for host in (one, two)]
        for each in sites:
            stack.callback(each.lose_power)
            each.start()
        wait_for(lambda: all(each.ready() for each in sites), "the workers", 120)
        with (
            hurrying(),
            Writers(model, rows=rows, dollars=dollars, pause=0.2, seed=seed) as writers,
        ):
            wait_for(lambda: model.rows > rows * 0.15, "rows", 300)
            found.middle += cut(two)
            before = counted_rows()
            time.sleep(away)
            found.alone = counted_rows() - before
            done = sites[1].tasks()
            two.plug()
            wait_for(lambda: sites[1].tasks() > done, "the host that came back to work", 300)
            wait_for(lambda: model.rows > rows * 0.6 or not writers.busy, "rows", 600)
            found.rejoined = sites[1].tasks() - done
            found.middle += cut(two)
            sites[1].lose_power()
            lost = time.monotonic()
            wait_for(lambda: not _number(_SILENT, two), "Postgres to give the lost host up", 1200)
            found.freed = time.monotonic() - lost
            wait_for(lambda: not writers.busy, "the writers", 1200)
            ended = time.monotonic()
            wait_for(lambda: over(model), "all to be counted and told", 1200)
            found.lag = time.monotonic() - ended
        look(found, model, taken, heard)
    found.seconds = time.monotonic() - began
    return found


def over(model: Model) -> bool:
    return counted() == model.dollars and not ledger.scalar(_LEFT)


def counted() -> Decimal:
    return Decimal(ledger.scalar("SELECT sum(total_cost) FROM spend_summary") or 0)


def counted_rows() -> int:
    return int(ledger.scalar("SELECT sum(rows_total) FROM cursors") or 0)


def look(found: Found, model: Model, taken: tuple[Moody, ...], heard: Heard) -> None:
    """What the ledger, the totals and the receivers say at the end."""
    expected = model.crossed().keys()
    came = Counter(message for receiver in taken for message in receiver.ids)
    heard_of = set(heard.crossings.values())
    found.rows, found.dollars, found.counted = model.rows, model.dollars, counted()
    found.agrees = ledger.verify().agrees
    found.crossings, found.alerts, found.came = len(expected), len(alerts.told()), len(came)
    found.again = came.total() - len(came)
    found.missing, found.surplus = len(expected - heard_of), len(heard_of - expected)
    with transaction("spendbeat_reader") as session:
        for state, count in session.execute(text("SELECT state, count(*) FROM outbox GROUP BY 1")):
            found.states[state] = count
