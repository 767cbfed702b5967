"""What a scrape says about budgets.

One statement reads one row per provider, of the current period, of each budget: no bucket, no
forecast, and nothing that grows with history.
"""

from collections.abc import Iterator

from prometheus_client.core import Metric
from sqlalchemy import Connection

from models.budgets import BUDGET_STATES
from spend.sql import query
from worker import metrics


def collect(connection: Connection, most: int) -> Iterator[Metric]:
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
