"""Budgets for tests, and a plain model of what they have spent."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from sqlalchemy import text

from spend import attributions
from spend.attribution.mix import Mix
from spend.budgets import reading, store, sums
from spend.budgets.definition import Budget, Definition
from spend.periods import bounds
from tests.support import ledger
from worker.database import transaction

Spent = dict[tuple[str, str, str], tuple[int, int, Decimal]]


def add(name: str, /, **said: Any) -> Budget:
    """A budget of 100 dollars, but for what is said, in a transaction of its own."""
    with transaction() as session:
        definition = reading.read({"name": name, "hard_limit": 100, **said})
        return store.add(session, definition, "test")


def edit(name: str, /, **said: Any) -> Budget:
    with transaction() as session:
        sums.hold(session)
        before = store.find(session, name)
        return store.change(session, before, reading.read(said, before.definition), "test")


def set_state(name: str, kind: store.Kind) -> Budget:
    with transaction() as session:
        return store.set_state(session, name, kind, "test")


def attribution(**fields: Any) -> int:
    """The id of a mix, recorded if it is new."""
    mix = Mix(**fields)
    with transaction() as session:
        return attributions.resolve(session, [mix])[mix]


def spent() -> Spent:
    """Requests, unpriced and dollars, by name of the budget, first day and provider."""
    with transaction("spendbeat_reader") as session:
        rows = session.execute(
            text(
                "SELECT name, period_start::text, provider, requests, unpriced, spend"
                " FROM budget_spend AS s JOIN budgets AS b ON b.id = s.budget_id"
            )
        )
        return {tuple(row[:3]): tuple(row[3:]) for row in rows}


def dollars(name: str) -> Decimal:
    """All that a budget's scope has spent, in every period."""
    return sum((row[2] for key, row in spent().items() if key[0] == name), Decimal(0))


def counted() -> list[dict[str, Any]]:
    """The ledger's rows with their attribution; those that are not counted yet too."""
    with transaction("spendbeat_reader") as session:
        rows = session.execute(
            text(
                "SELECT l.*, a.organization, a.project, a.sprint, a.agent, a.user_id, a.team,"
                " a.api_key, a.tags"
                " FROM cost_logs AS l LEFT JOIN attributions AS a ON a.id = l.attribution_id"
            )
        )
        return [dict(row) for row in rows.mappings()]


def model(definitions: Iterable[Definition], rows: Iterable[Mapping[str, Any]]) -> Spent:
    """What spent() must be, row by row in Python."""
    rows = list(rows)
    found: Spent = {}
    for definition in definitions:
        for row in rows:
            if not _matches(definition, row):
                continue
            period = bounds(definition.calendar, row["started_at"])
            if period is None:
                continue
            key = (definition.name, str(period.first), row["provider"])
            requests, unpriced, spend = found.get(key, (0, 0, Decimal(0)))
            adjusts = row["adjusts_id"] is not None
            found[key] = (
                requests + (not adjusts),
                unpriced + (row["unpriced"] if adjusts else row["cost_usd"] is None),
                spend + (row["cost_usd"] or 0),
            )
    return found


def _matches(definition: Definition, row: Mapping[str, Any]) -> bool:
    return all(
        value in (row["tags"] or ()) if field == "tag" else row[field] == value
        for field, value in definition.scope.items()
    )


def agrees() -> bool:
    """Whether the audit finds nothing, budgets included."""
    return ledger.verify().agrees
