"""Budgets edited at random while writers write, shards lag and workers are killed."""

import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from spend import partitions
from spend.budgets import store
from tests.support import budgets, ledger
from tests.support.storm import OLDEST, PROVIDERS, Rollers, Writers
from worker.database import transaction

EDITS = 40


def wanted(chance: random.Random) -> dict[str, Any]:
    scope = {}
    if chance.random() < 0.5:
        scope["provider"] = chance.choice(PROVIDERS)
    if chance.random() < 0.5:
        scope["model"] = f"model-{chance.randint(1, 3)}"
    return {
        "scope": scope,
        "period": chance.choice(["day", "week", "month", "quarter", "total"]),
        "zone": chance.choice(["UTC", "Asia/Kathmandu", "America/New_York"]),
        "week_start": chance.choice(["monday", "sunday"]),
    }


def edit_something(chance: random.Random) -> None:
    with transaction("spendbeat_reader") as session:
        names = [budget.name for budget in store.load(session)]
    if not names or (len(names) < 6 and chance.random() < 0.4):
        budgets.add(f"b{chance.getrandbits(60)}", **wanted(chance))
    elif chance.random() < 0.15:
        budgets.set_state(chance.choice(names), "removed")
    else:
        budgets.edit(chance.choice(names), **wanted(chance))


def test_after_every_edit_in_a_storm_the_audit_finds_nothing(database: str) -> None:
    """No deadlock either: it would be an error in whoever is chosen to die."""
    chance = random.Random(7)
    with transaction() as session:
        now = datetime.now(UTC)
        partitions.ensure(session, [now - timedelta(hours=h) for h in range(0, OLDEST + 720, 720)])
    with Rollers(2) as rollers, Writers(3, 7) as writers:
        for number in range(EDITS):
            edit_something(chance)
            assert budgets.agrees()
            if number % 8 == 7:
                rollers.kill_one(chance)
    while ledger.roll():
        pass
    assert budgets.agrees()
    with transaction("spendbeat_reader") as session:
        definitions = [budget.definition for budget in store.load(session)]
    rows = budgets.counted()
    assert sum(row["cost_usd"] for row in rows) == writers.committed.total
    assert budgets.spent() == budgets.model(definitions, rows)
    assert definitions
    assert sum((row[2] for row in budgets.spent().values()), Decimal(0)) > 0
