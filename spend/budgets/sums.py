"""Table `budget_spend`, as far as rollups do not write it: the sums of buckets, made anew."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from sqlalchemy.orm import Session

from spend.sql import query

# Shared by batches of rollups, exclusive to whoever changes what budgets match.
LOCK = 0x5BEA70007


@dataclass(frozen=True)
class Wrong:
    """A period of a budget that is not the sum of its buckets. expected and found: per measure."""

    budget_id: int
    period_start: date
    provider: str
    expected: dict[str, Decimal]
    found: dict[str, Decimal]


def hold(session: Session) -> None:
    """Wait for the batches under way and keep others out until the transaction ends."""
    session.execute(query("budgets", "hold"), {"lock": LOCK})


def recompute(
    session: Session, ids: Collection[int] | None = None, *, provider: str | None = None
) -> None:
    """Make the spend of some budgets anew, or that of one provider in all of them.

    Under hold(), or for one provider under its shard's lock and the shared LOCK.
    """
    binds = {"ids": list(ids) if ids is not None else None, "provider": provider}
    session.execute(query("budgets", "clear"), binds)
    session.execute(query("budgets", "recompute"), binds)


def wrong(session: Session, provider: str | None = None) -> list[Wrong]:
    """Every period whose spend differs from its buckets', of one provider or of all."""
    measures = ("requests", "unpriced", "spend")
    rows = session.execute(query("budgets", "audit"), {"provider": provider}).mappings()
    return [
        Wrong(
            row["budget_id"],
            row["period_start"],
            row["provider"],
            {measure: Decimal(row[f"expected_{measure}"]) for measure in measures},
            {measure: Decimal(row[measure]) for measure in measures},
        )
        for row in rows
    ]


def count(session: Session) -> int:
    """How many budgets there are, but for removed ones."""
    return int(session.scalars(query("budgets", "count")).one())
