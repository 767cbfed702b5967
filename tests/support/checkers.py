"""Sixteen checkers at once that give up at random points, while spend swings around the lines.

What was spent is known to the harness, which wrote it: nothing that it checks comes from sums.
"""

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from threading import Event, Thread, local
from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.orm import Session

from spend.alerts import checks
from spend.alerts.checks import Checked
from tests.support import alerts, budgets, ledger, outboxes
from tests.support.waiting import wait_for
from worker.database import make_engine, transaction

PROVIDERS = ("openai", "anthropic", "google", "mistral")
PROJECTS = ("alpha", "beta", "gamma")
SHARES = (20, 40, 60, 80, 100)  # percent of the limit
Key = tuple[str, str]


class GaveUpError(Exception):
    """A check ends here, as if its process had died."""


@dataclass
class Told:
    """What there is at the end, and what the model says. By budget and threshold.

    reached: at the end; ever: at some moment between two commits. gave_up: checks that ended in
    the middle; finished: those that did not. errors: what no check should raise.
    """

    reached: set[Key] = field(default_factory=set)
    ever: set[Key] = field(default_factory=set)
    raised: Counter[Key] = field(default_factory=Counter)
    open: set[Key] = field(default_factory=set)
    messages: Counter[Key] = field(default_factory=Counter)
    disordered: list[str] = field(default_factory=list)
    gave_up: int = 0
    finished: int = 0
    errors: list[Exception] = field(default_factory=list)

    @property
    def twice(self) -> set[Key]:
        """Crossings with more than one alert or message."""
        return {key for found in (self.raised, self.messages) for key in found if found[key] > 1}


class Books:
    """Budgets of all kinds of scopes, and what each has spent according to whoever wrote it."""

    def __init__(self) -> None:
        self.limits: dict[str, Decimal] = {}
        self.scopes: dict[str, dict[str, str]] = {}
        self.spent: dict[str, Decimal] = defaultdict(Decimal)
        self.mixes = {project: budgets.attribution(project=project) for project in PROJECTS}
        scopes: list[dict[str, str]] = [{}]
        scopes += [{"project": project} for project in PROJECTS]
        scopes += [{"provider": provider} for provider in PROVIDERS]
        scopes += [{"project": j, "provider": p} for j in PROJECTS for p in PROVIDERS]
        for number, scope in enumerate(scopes):
            name = f"b{number}"
            self.limits[name] = Decimal(400 // (1 + 2 * len(scope)))
            self.scopes[name] = scope
            budgets.add(
                name,
                scope=scope,
                period=("total", "month", "year")[number % 3],
                hard_limit=self.limits[name],
                thresholds=[f"{share}%" for share in SHARES],
            )

    def spend(self, chance: random.Random, most: int) -> None:
        """A few requests and refunds in one transaction, of up to so many cents."""
        with transaction() as session:
            for _ in range(chance.randint(1, 4)):
                project, provider = chance.choice(PROJECTS), chance.choice(PROVIDERS)
                dollars = Decimal(chance.randint(-1500, most)).scaleb(-2)
                ledger.add(
                    session,
                    provider=provider,
                    attribution_id=self.mixes[project],
                    cost_usd=dollars,
                )
                for name, scope in self.scopes.items():
                    if {"project": project, "provider": provider}.items() >= scope.items():
                        self.spent[name] += dollars

    def reached(self) -> set[Key]:
        return {
            (name, f"{share}%")
            for name, limit in self.limits.items()
            for share in SHARES
            if self.spent[name] >= limit * share / 100
        }


class Checkers:
    """Threads that look, each on a connection of its own, until told to stop."""

    def __init__(self, url: str, count: int, seed: int, told: Told) -> None:
        self._engine: Engine = make_engine(url, "spendbeat_writer", pool_size=count)
        self._left = local()
        self._stop = Event()
        self._told = told
        event.listen(self._engine, "before_cursor_execute", self._perhaps)
        self._threads = [
            Thread(target=self._look, args=(random.Random(f"{seed}-{n}"),)) for n in range(count)
        ]

    @contextmanager
    def looking(self) -> Iterator[None]:
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in self._threads:
                thread.join(60)
            self._engine.dispose()

    def _perhaps(self, *_: Any) -> None:
        """Give up before the statement whose turn it is."""
        self._left.statements = getattr(self._left, "statements", 0) - 1
        if self._left.statements == 0:
            raise GaveUpError

    def _look(self, chance: random.Random) -> None:
        kinds: list[Callable[[Session, datetime], Checked]] = [
            *(lambda s, now, p=p: checks.check(s, p, now) for p in PROVIDERS),
            checks.check_due,
            checks.review,
        ]
        while not self._stop.wait(chance.random() * 0.05):
            self._left.statements = chance.randint(1, 60) if chance.random() < 0.4 else 0
            try:
                with Session(self._engine) as session, session.begin():
                    chance.choice(kinds)(session, datetime.now(UTC))
                    if chance.random() < 0.05:
                        raise GaveUpError  # noqa: TRY301 - the last moment before the commit
                self._told.finished += 1
            except GaveUpError:
                self._told.gave_up += 1
            except Exception as error:  # noqa: BLE001 - a thread's; the test looks at them
                self._told.errors.append(error)


def storm(url: str, *, rounds: int, giving_up: int = 0, checkers: int = 16, seed: int = 1) -> Told:
    """Spend for so many rounds while everybody looks; then let a last check find what is left.

    giving_up: so many checks have ended in the middle by then, at least; a quick machine has
    written all rounds before that.
    """
    outboxes.channel()
    told, books, chance = Told(), Books(), random.Random(seed)
    with Checkers(url, checkers, seed, told).looking():
        for number in range(rounds):
            # Up, and then around where that led to.
            books.spend(chance, most=3000 if number < rounds / 2 else 1200)
            told.ever |= books.reached()
            # Some shards lag.
            for provider in ledger.tick().shards:
                if chance.random() < 0.7:
                    ledger.advance(provider)
        wait_for(lambda: told.gave_up >= giving_up, "checks that give up")
    ledger.roll()
    alerts.check(datetime.now(UTC))
    told.reached = books.reached()
    _read(told)
    return told


def _read(told: Told) -> None:
    names: dict[int, Key] = {}
    for alert in alerts.told():
        names[alert.id] = key = (alert.budget, alert.threshold)
        told.raised[key] += 1
        if alert.state == "open":
            told.open.add(key)
    last: dict[str, int] = defaultdict(int)
    for message in alerts.messages():
        alert_id = message["body"]["alert"]["id"]
        told.messages[names[alert_id]] += 1
        if alert_id < last[message["lane"]]:
            told.disordered.append(message["lane"])
        last[message["lane"]] = alert_id
