"""A time beside the equal one before it, by the values of a dimension: sums, and what changed most.

Everything comes from one reading of what was counted in both, since that is what takes the time.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    CTE,
    ColumnElement,
    Select,
    Text,
    cast,
    func,
    literal,
    null,
    select,
    union_all,
)
from sqlalchemy.orm import Session

from spend import reports
from spend.facts import FIGURES, Span, facts
from spend.filters import Only
from spend.reports import SpendLine
from spend.trend import joined, named

_BEFORE = ("unpriced", "total_cost")
_COLUMNS = (*FIGURES, *(f"{name}_before" for name in _BEFORE))


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


@dataclass(frozen=True)
class Comparison:
    """lines: the dearest values now. nobody: what is not attributed now, None where nothing is.

    total, lines and nobody are those of spend.reports. before: dollars, and requests unpriced.
    """

    total: SpendLine
    before: tuple[Decimal, int]
    lines: list[SpendLine]
    nobody: SpendLine | None
    movers: list[Mover]


def compare(
    session: Session, by: str, now: Span, before: Span, *, lines: int, movers: int, only: Only
) -> Comparison:
    """At most so many lines and movers, the dearest and the biggest change first.

    Tags overlap: of them there are lines, and nothing to say about changes. Raises BadInputError as
    reports.spend().
    """
    if reports.overlaps([by]):
        return _overlapping(session, by, now, before, lines=lines, only=only)
    groups = union_all(
        _sums(session, by, now, only, now=True), _sums(session, by, before, only, now=False)
    ).subquery()
    sums = [func.sum(groups.c[name]).label(name) for name in _COLUMNS]
    statement = select(groups.c.value, *sums).group_by(groups.c.value)
    rows = session.execute(_wanted(statement.cte("g"), lines, movers)).all()
    found: dict[str, list[Sequence[Any]]] = {"total": [], "line": [], "nobody": [], "mover": []}
    for row in rows:
        found[row.kind].append(row[1:])
    [whole] = found["total"]
    nobody = [_line(row) for row in found["nobody"]]
    return Comparison(
        total=SpendLine((), *_figures(whole)),
        before=(Decimal(whole[-1] or 0), int(whole[-2] or 0)),
        lines=sorted(map(_line, found["line"]), key=_order),
        nobody=nobody[0] if nobody and (nobody[0].requests or nobody[0].total_cost) else None,
        movers=sorted(map(_mover, found["mover"]), key=lambda one: -abs(one.change)),
    )


def _overlapping(
    session: Session, by: str, now: Span, before: Span, *, lines: int, only: Only
) -> Comparison:
    whole = reports.total(session, since=now.since, until=now.until, only=only)
    earlier = reports.total(session, since=before.since, until=before.until, only=only)
    found = reports.page(session, [by], lines, since=now.since, until=now.until, only=only)
    return Comparison(whole, (earlier.total_cost, earlier.unpriced), found, None, [])


def _sums(session: Session, by: str, span: Span, only: Only, *, now: bool) -> Select[Any]:
    source = facts(session, span, only, figures=FIGURES if now else _BEFORE)
    nothing = literal(0)
    here = [func.sum(source.c[n]).label(n) if now else nothing.label(n) for n in FIGURES]
    there = [
        (nothing if now else func.sum(source.c[name])).label(f"{name}_before") for name in _BEFORE
    ]
    value = named(by, source).label("value")
    return joined(select(value, *here, *there), source, only).group_by("value")


def _wanted(groups: CTE, lines: int, movers: int) -> Select[Any]:
    """Of all groups, only those that are shown, each with what it is shown as."""
    columns = [groups.c[name] for name in _COLUMNS]
    change = func.abs(groups.c.total_cost - groups.c.total_cost_before)
    kinds: list[Select[Any]] = [
        select(*_told("total", cast(null(), Text)), *(func.sum(column) for column in columns)),
        select(*_told("line", groups.c.value), *columns)
        .where((groups.c.requests != 0) | (groups.c.total_cost != 0))
        .order_by(groups.c.total_cost.desc(), groups.c.value.is_(None), groups.c.value)
        .limit(lines),
        select(*_told("nobody", groups.c.value), *columns).where(groups.c.value.is_(None)),
        select(*_told("mover", groups.c.value), *columns)
        .where(change > 0)
        .order_by(change.desc(), groups.c.value)
        .limit(movers),
    ]
    return select(union_all(*(select(kind.subquery()) for kind in kinds)).subquery())


def _told(kind: str, value: ColumnElement[Any]) -> tuple[ColumnElement[Any], ColumnElement[Any]]:
    return literal(kind, Text).label("kind"), value.label("value")


def _figures(row: Sequence[Any]) -> tuple[int, int, int, int, Decimal]:
    """Of the columns after the value, those of FIGURES."""
    requests, tokens_in, tokens_out, unpriced, cost = (value or 0 for value in row[1:6])
    return int(requests), int(tokens_in), int(tokens_out), int(unpriced), Decimal(cost)


def _line(row: Sequence[Any]) -> SpendLine:
    return SpendLine((None if row[0] is None else str(row[0]),), *_figures(row))


def _order(line: SpendLine) -> tuple[Decimal, bool]:
    # Equal ones keep the database's order.
    return -line.total_cost, line.group[0] is None


def _mover(row: Sequence[Any]) -> Mover:
    unpriced = int(row[4] or 0) + int(row[-2] or 0)
    return Mover(row[0], Decimal(row[5] or 0), Decimal(row[-1] or 0), unpriced)
