"""Where the spend of a budget's period came from."""

from collections.abc import Collection
from datetime import UTC, datetime
from decimal import Decimal

from sqlalchemy.orm import Session

from spend.alerts.alert import DIMENSIONS, Contributors
from spend.periods import Span
from spend.sql import query

MOST = 3
# From so many series of a scope on, reading all of a day is quicker than looking each of them up.
_MANY = 2000
_FIRST = datetime(1970, 1, 1, tzinfo=UTC)
_LAST = datetime(9999, 1, 1, tzinfo=UTC)


def most(
    session: Session, periods: Collection[tuple[int, Span]]
) -> dict[tuple[int, Span], Contributors]:
    """For budgets (by id) and periods: the MOST of each dimension, the dearest first."""
    wanted = list(dict.fromkeys(periods))
    begins = [span.starts or _FIRST for _, span in wanted]
    finishes = [span.ends or _LAST for _, span in wanted]
    found: dict[tuple[int, datetime], dict[str, list[tuple[str | None, Decimal]]]] = {
        (id_, starts): {dimension: [] for dimension in DIMENSIONS}
        for (id_, _), starts in zip(wanted, begins, strict=True)
    }
    if wanted:
        binds = {
            "ids": [id_ for id_, _ in wanted],
            "begins": begins,
            "finishes": finishes,
            "most": MOST,
            "many": _MANY,
        }
        for row in session.execute(query("alerts", "contributors"), binds):
            found[row.budget_id, row.starts][row.dimension].append((row.value, row.spend))
    return {key: found[key[0], key[1].starts or _FIRST] for key in wanted}
