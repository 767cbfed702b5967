"""What an alert says about where spend came from, against a plain sum."""

import random
from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from spend.alerts import contributors
from spend.budgets.definition import Budget
from spend.periods import bounds
from tests.support import budgets, ledger
from worker.database import transaction

DAY = datetime(2026, 10, 14, tzinfo=UTC)
SCOPES: tuple[dict[str, str], ...] = (
    {},
    {"project": "a"},
    {"project": "b", "provider": "openai"},
    {"model": "m1"},
    {"tag": "x", "model": "m2", "provider": "google"},
)
PERIODS = ("day", "week", "month", "total", "range")
ZONES = ("UTC", "Asia/Kathmandu", "America/New_York")


def spend() -> list[dict[str, Any]]:
    """Requests of three weeks, counted; as rows."""
    chance = random.Random(3)
    mixes = [
        budgets.attribution(project=project, agent=agent, tags=tags)
        for project in ("a", "b", None)
        for agent in ("one", "two")
        for tags in (("x",), ("y",))
    ]
    with transaction() as session:
        ledger.add(
            session,
            [
                {
                    "provider": chance.choice(("openai", "google")),
                    "model": chance.choice(("m1", "m2", "m3", "m4")),
                    "attribution_id": chance.choice(mixes),
                    "cost_usd": Decimal(chance.randint(1, 10**6)).scaleb(-4),
                    "started_at": DAY + timedelta(minutes=chance.randint(-30_000, 30_000)),
                }
                for _ in range(400)
            ],
        )
    ledger.roll()
    return budgets.counted()


def plain(budget: Budget, at: datetime, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The dearest values of each dimension, summed in Python."""
    sums: dict[str, dict[str | None, Decimal]] = {
        name: defaultdict(Decimal) for name in ("project", "agent", "model")
    }
    definition = budget.definition
    for row in rows:
        fits = all(
            value in row["tags"] if name == "tag" else row[name] == value
            for name, value in definition.scope.items()
        )
        if fits and bounds(definition.calendar, row["started_at"]) == bounds(
            definition.calendar, at
        ):
            for name, found in sums.items():
                found[row[name]] += row["cost_usd"]
    return {
        name: sorted(found.items(), key=lambda one: -one[1])[: contributors.MOST]
        for name, found in sums.items()
    }


@pytest.mark.parametrize("many", [2000, 0], ids=["looked up", "read"])
@pytest.mark.parametrize("reporting", ["UTC", "Asia/Tokyo", "America/St_Johns"])
def test_contributors_are_the_plain_sums_of_a_period_in_every_zone(
    reporting: str,
    many: int,
    database: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whole days of the reporting zone and the quarters at the edges of a period make it up."""
    monkeypatch.setattr(contributors, "_MANY", many)
    ledger.run_as(None, "UPDATE reporting_zone SET zone = :zone", zone=reporting)
    rows = spend()
    made: list[Budget] = []
    for number, scope in enumerate(SCOPES):
        for period in PERIODS:
            said: dict[str, Any] = {"scope": scope, "period": period}
            said["zone"] = ZONES[(number + len(made)) % len(ZONES)]
            if period == "range":
                said |= {"from": str(date(2026, 10, 9)), "to": str(date(2026, 10, 17))}
            made.append(budgets.add(f"{period} {number}", **said))
    wanted = {}
    for budget in made:
        for at in (DAY, DAY + timedelta(days=1, hours=20)):
            span = bounds(budget.definition.calendar, at)
            assert span is not None
            wanted[budget.id, span] = plain(budget, at, rows)
    with transaction() as session:
        found = contributors.most(session, list(wanted))
    assert {key: dict(value) for key, value in found.items()} == wanted
