"""What a scrape says about budgets, their checks and their alerts.

Of each budget one row per provider is read, that of the current period: no bucket, no forecast, and
nothing that grows with history.
"""

from collections.abc import Iterator
from itertools import product

from prometheus_client.core import Metric
from sqlalchemy import Connection

from models import ALERT_STATES, BUDGET_STATES
from spend.budgets.definition import SEVERITIES
from spend.sql import query
from worker import metrics

# Looks are seconds apart; whoever waits for longer is waiting for something that does not run.
_LATE_SECONDS = 60.0


def collect(connection: Connection, most: int) -> Iterator[Metric]:
    """All of them, with the figures of at most so many budgets."""
    yield from _budgets(connection, most)
    yield from _alerts(connection)
    checks = connection.execute(query("metrics", "checks"), {"late": _LATE_SECONDS}).one()
    yield metrics.CHECK_LAG.one(checks.age)
    yield metrics.CHECKS_OVERDUE.one(checks.overdue)


def _budgets(connection: Connection, most: int) -> Iterator[Metric]:
    """Figures of the `most` budgets that are nearest to their limits, and how many there are."""
    kept = dict.fromkeys((state for state in BUDGET_STATES if state != "removed"), 0)
    kept.update(
        {row.state: row.budgets for row in connection.execute(query("metrics", "budget_states"))}
    )
    family = metrics.BUDGETS.family()
    for state, count in kept.items():
        family.add_metric([state], float(count))
    yield family

    rows = connection.execute(query("metrics", "budgets"), {"most": most}).all()
    yield metrics.BUDGETS_LEFT_OUT.one(max(0, sum(kept.values()) - len(rows)))
    yield metrics.BUDGET_USED.many(rows, "used")
    yield metrics.BUDGET_LIMIT.many(rows, "cap")
    yield metrics.BUDGET_LEFT.many(rows, "rest")


def _alerts(connection: Connection) -> Iterator[Metric]:
    """Each severity in each state, also where there is none."""
    rows = connection.execute(query("metrics", "alerts"))
    found = {(row.severity, row.state): row.alerts for row in rows}
    family = metrics.ALERTS.family()
    for severity, state in product(SEVERITIES, ALERT_STATES):
        family.add_metric([severity, state], float(found.get((severity, state), 0)))
    yield family
