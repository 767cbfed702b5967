"""Budgets of many kinds, writers that spend, and a plain model of which lines that crosses.

The model is fed by the writers, with what they committed; it sees nothing of Spendbeat's tables.
"""

import random
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from threading import Event, Lock, Thread
from typing import Any, Self

from sqlalchemy import text

from spend import partitions
from spend.budgets.definition import Budget
from spend.periods import bounds
from tests.support import budgets
from worker.database import engine, transaction

PROVIDERS = ("openai", "anthropic", "google", "mistral")
MODELS = ("large", "small", "tiny")
PROJECTS = tuple(f"p{number}" for number in range(20))
# Percent of the limit; in dollars, one threshold more; and of every second budget a soft limit.
PERCENT = (30, 50, 80, 100)
DOLLARS, SOFT = 65, 90
CHANNELS = ("ops", "dev")
_SCOPES = (
    ("project",),
    ("project", "model"),
    ("project", "provider"),
    ("project", "provider", "model"),
    ("provider",),
    ("model",),
    (),
)
_PERIODS = ("month", "total", "week", "year", "day", "quarter")
_ZONES = ("UTC", "Asia/Kathmandu", "America/New_York")
_LONG_AGO = timedelta(days=40)
_INSERT = text(
    "INSERT INTO cost_logs (provider, model, attribution_id, cost_usd, started_at)"
    " VALUES (:provider, :model, :attribution_id, :cost, :at)"
)

# Budget, first day of the period, threshold.
Crossing = tuple[str, str, str]


@dataclass(frozen=True)
class Watched:
    """A budget with its lines in dollars, by threshold."""

    budget: Budget
    lines: dict[str, Decimal]


class Model:
    """What was committed, and which lines that crosses. Nothing is ever refunded."""

    def __init__(self, count: int, dollars: Decimal, seed: int) -> None:
        """count: budgets. dollars: what will be spent in all; limits are set around shares."""
        chance = random.Random(seed)
        self.rows = 0
        self.dollars = Decimal(0)
        self.mixes = {project: budgets.attribution(project=project) for project in PROJECTS}
        self.watched = [self._add(number, dollars, chance) for number in range(count)]
        self._spent: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
        self._lock = Lock()

    @staticmethod
    def _add(number: int, dollars: Decimal, chance: random.Random) -> Watched:
        values = {"project": PROJECTS, "provider": PROVIDERS, "model": MODELS}
        fields = _SCOPES[number % len(_SCOPES)] if number % 3 == 0 else _SCOPES[number % 4]
        scope = {field: chance.choice(values[field]) for field in fields}
        share = dollars
        for field in fields:
            share /= len(values[field])
        limit = (share * Decimal(chance.randint(70, 140)) / 100).quantize(Decimal("0.01"))
        lines = {f"{percent}%": limit * percent / 100 for percent in PERCENT}
        flat = (limit * DOLLARS / 100).quantize(Decimal("0.01"))
        lines[f"{flat.normalize():f}"] = flat
        soft = (limit * SOFT / 100).quantize(Decimal("0.01")) if number % 2 else None
        if soft is not None:
            lines["soft"] = soft
        channel = CHANNELS[chance.randrange(len(CHANNELS))]
        budget = budgets.add(
            f"b{number}",
            scope=scope,
            period=_PERIODS[number % len(_PERIODS)],
            zone=_ZONES[number % len(_ZONES)],
            hard_limit=str(limit),
            **({} if soft is None else {"soft_limit": str(soft)}),
            thresholds=[{"at": name, "channels": [channel]} for name in lines if name != "soft"],
        )
        return Watched(budget, lines)

    def add(self, rows: list[dict[str, Any]]) -> None:
        with self._lock:
            self.rows += len(rows)
            for row in rows:
                self.dollars += row["cost"]
                for name, first in self._periods(row):
                    self._spent[name, first] += row["cost"]

    def _periods(self, row: dict[str, Any]) -> list[tuple[str, str]]:
        found = []
        for budget in (watched.budget for watched in self.watched):
            definition = budget.definition
            if all(row[field] == value for field, value in definition.scope.items()):
                span = bounds(definition.calendar, row["at"])
                # What was over when the budget was made tells nothing.
                if span is not None and (span.ends is None or budget.armed_at < span.ends):
                    found.append((definition.name, str(span.first)))
        return found

    def crossed(self) -> dict[Crossing, Decimal]:
        """Every crossing so far, with its line."""
        lines = {watched.budget.definition.name: watched.lines for watched in self.watched}
        with self._lock:
            return {
                (name, first, threshold): line
                for (name, first), spent in self._spent.items()
                for threshold, line in lines[name].items()
                if spent >= line
            }


class Writers:
    """Threads that write at random; some roll back, some take their time with a commit."""

    def __init__(
        self, model: Model, *, rows: int, dollars: Decimal, pause: float, seed: int, count: int = 6
    ) -> None:
        """rows: how many there shall be in all, for about so many dollars. pause: seconds."""
        self._model = model
        self._rows = rows
        self._most = int(2 * dollars / rows * 10**12)
        self._pause = pause
        self._stop = Event()
        self._threads = [
            Thread(target=self._write, args=(random.Random(f"{seed}-{number}"),))
            for number in range(count)
        ]
        with transaction() as session:
            now = datetime.now(UTC)
            partitions.ensure(session, [now, now - _LONG_AGO])

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)

    @property
    def busy(self) -> bool:
        return any(thread.is_alive() for thread in self._threads)

    def _write(self, chance: random.Random) -> None:
        with engine().connect() as connection:
            while self._model.rows < self._rows and not self._stop.is_set():
                rows = [self._row(chance) for _ in range(chance.randint(1, 8))]
                connection.execute(_INSERT, rows)
                slow = chance.random() < 0.05
                self._stop.wait(chance.random() * self._pause * (20 if slow else 1))
                if chance.random() < 0.15:
                    connection.rollback()
                else:
                    connection.commit()
                    self._model.add(rows)

    def _row(self, chance: random.Random) -> dict[str, Any]:
        project = chance.choice(PROJECTS)
        late = chance.random() < 0.05
        return {
            "provider": chance.choice(PROVIDERS),
            "model": chance.choice(MODELS),
            "project": project,
            "attribution_id": self._model.mixes[project],
            "cost": Decimal(chance.randint(1, self._most)).scaleb(-12),
            "at": datetime.now(UTC) - (_LONG_AGO if late else timedelta(0)),
        }
