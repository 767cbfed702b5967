"""What changed most against the equal time before."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sqlalchemy import Select, func, literal, select, union_all
from sqlalchemy.orm import Session

from spend import reports
from spend.facts import Span, facts
from spend.filters import Only
from spend.trend import joined, named


@dataclass(frozen=True)
class Mover:
    """A value's dollars now and before; at least that, where requests are unpriced."""

    value: str | None
    now: Decimal
    before: Decimal
    unpriced: int

    @property
    def change(self) -> Decimal:
        """Dollars more, or less than nothing."""
        return self.now - self.before


def movers(
    session: Session,
    by: str,
    now: Span,
    before: Span,
    *,
    most: int,
    only: Only,
) -> list[Mover]:
    """The values of a dimension that cost much more or less than before, the biggest change first.

    Tags overlap, so there is nothing to say about them. Raises BadInputError as reports.spend().
    """
    if reports.overlaps([by]):
        return []
    both = union_all(
        _sums(session, by, now, only, now=True), _sums(session, by, before, only, now=False)
    ).subquery()
    cost_now, cost_before = func.sum(both.c.now), func.sum(both.c.before)
    change = func.abs(cost_now - cost_before)
    statement = (
        select(both.c.value, cost_now, cost_before, func.sum(both.c.unpriced))
        .group_by(both.c.value)
        .having(change > 0)
        .order_by(change.desc(), both.c.value)
        .limit(most)
    )
    return [
        Mover(value, Decimal(cost), Decimal(earlier), int(unpriced))
        for value, cost, earlier, unpriced in session.execute(statement)
    ]


def _sums(session: Session, by: str, span: Span, only: Only, *, now: bool) -> Select[Any]:
    source = facts(session, span, only, figures=("total_cost", "unpriced"))
    cost, nothing = func.sum(source.c.total_cost), literal(0)
    figures = (
        (cost if now else nothing).label("now"),
        (nothing if now else cost).label("before"),
        func.sum(source.c.unpriced).label("unpriced"),
    )
    value = named(by, source).label("value")
    return joined(select(value, *figures), source, only).group_by("value")
