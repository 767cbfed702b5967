"""Spend over time: per hour, day, week or month, by the values that cost most."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal
from zoneinfo import ZoneInfo

from sqlalchemy import (
    ColumnElement,
    Select,
    Subquery,
    case,
    func,
    literal,
    select,
)
from sqlalchemy.orm import Session

from models import Attribution, Series, SpendBucket
from spend import filters, reports
from spend.facts import Span, facts
from spend.filters import Only
from spend.periods import midnight

Size = Literal["hour", "day", "week", "month"]
# Up to so long a time is cut into steps of this size; beyond, into months.
_LONGEST: tuple[tuple[timedelta, Size], ...] = (
    (timedelta(days=2, hours=1), "hour"),
    (timedelta(days=100), "day"),
    (timedelta(days=800), "week"),
)
_HOUR = timedelta(hours=1)
_FIGURES = ("unpriced", "total_cost")


@dataclass(frozen=True)
class Band:
    """What one value cost in each step. rest: everything that is in no other band."""

    value: str | None
    rest: bool
    costs: tuple[Decimal, ...]


@dataclass(frozen=True)
class Trend:
    """edges: where steps begin, and the end of the last one. unpriced: requests per step."""

    size: Size
    edges: tuple[datetime, ...]
    bands: tuple[Band, ...]
    unpriced: tuple[int, ...]

    @property
    def totals(self) -> tuple[Decimal, ...]:
        """Dollars per step."""
        return tuple(
            sum((band.costs[place] for band in self.bands), Decimal(0))
            for place in range(len(self.edges) - 1)
        )


def trend(
    session: Session,
    by: str,
    values: Sequence[str | None],
    *,
    since: datetime,
    until: datetime,
    zone: ZoneInfo,
    only: Only,
) -> Trend:
    """Dollars per step, in a band for each of these values of a dimension and one for the rest.

    The bands add up to the total. A tag overlaps with others, so by tags there is only the rest.
    Raises BadInputError as reports.spend().
    """
    size, edges = steps(since, until, zone)
    if reports.overlaps([by]):
        by, values = "provider", []
    if size == "hour":
        statement = _by_hour(by, values, Span(since, until), only)
    else:
        source = facts(session, Span(since, until), only, days_of=zone.key, figures=_FIGURES)
        statement = _by_day(source, by, values, only)
    costs = [[Decimal(0)] * (len(edges) - 1) for _ in range(len(values) + 1)]
    unpriced = [0] * (len(edges) - 1)
    for at, place, unknown, cost in session.execute(statement):
        step = _step(edges, at if size == "hour" else midnight(at, zone))
        costs[place][step] += Decimal(cost)
        unpriced[step] += int(unknown)
    bands = [Band(value, rest=False, costs=tuple(costs[n])) for n, value in enumerate(values)]
    bands.append(Band(None, rest=True, costs=tuple(costs[-1])))
    return Trend(size, edges, tuple(bands), tuple(unpriced))


def steps(since: datetime, until: datetime, zone: ZoneInfo) -> tuple[Size, tuple[datetime, ...]]:
    """How finely a time is cut, and where: at most about a hundred steps, but for many years.

    Days, weeks (from Monday) and months are those of the zone; the first and the last one may be
    cut short.
    """
    length = until - since
    size: Size = next((size for longest, size in _LONGEST if length <= longest), "month")
    if size == "hour":
        count = -(-length // _HOUR)
        return size, (*(since + n * _HOUR for n in range(count)), until)
    edges = [since]
    day = since.astimezone(zone).date()
    while True:
        day = _next(day, size)
        edge = midnight(day, zone)
        if edge >= until:
            return size, (*edges, until)
        if edge > edges[-1]:
            edges.append(edge)


def named(by: str, source: Subquery) -> ColumnElement[Any]:
    """The column of a dimension that does not overlap, where facts and attributions are joined."""
    return source.c[by] if by in ("provider", "model") else _attributed(by)


def joined(statement: Select[Any], source: Subquery, only: Only) -> Select[Any]:
    """Facts with what their attributions say, and only the requests that are asked for."""
    return (
        statement.select_from(source)
        .outerjoin(Attribution, Attribution.id == source.c.attribution_id)
        .where(*filters.conditions(only, source.c.provider, source.c.model))
    )


def _by_day(source: Subquery, by: str, values: Sequence[str | None], only: Only) -> Select[Any]:
    place = _place(named(by, source), values)
    sums = (func.sum(source.c[name]) for name in _FIGURES)
    statement = select(source.c.day.label("at"), place, *sums)
    return joined(statement, source, only).group_by("at", "place")


def _by_hour(by: str, values: Sequence[str | None], span: Span, only: Only) -> Select[Any]:
    """Hours from the first moment on, so that no hour of a clock that is set back is two in one."""
    bucket = SpendBucket.bucket
    hour = func.date_bin(_HOUR, bucket, span.since).label("at")
    column = getattr(Series, by) if by in ("provider", "model") else _attributed(by)
    sums = (func.sum(getattr(SpendBucket, name)) for name in _FIGURES)
    found = select(hour, _place(column, values), *sums)
    return (
        found.select_from(SpendBucket)
        .join(Series, Series.id == SpendBucket.series_id)
        .outerjoin(Attribution, Attribution.id == Series.attribution_id)
        .where(bucket >= span.since, bucket < span.until)
        .where(*filters.conditions(only, Series.provider.expression, Series.model.expression))
        .group_by("at", "place")
    )


def _attributed(by: str) -> ColumnElement[Any]:
    column: ColumnElement[Any] = getattr(Attribution, by)
    return column


def _place(column: ColumnElement[Any], values: Sequence[str | None]) -> ColumnElement[Any]:
    """Which of the values it is; their number for the rest."""
    found = [
        (column.is_(None) if value is None else column == value, literal(n))
        for n, value in enumerate(values)
    ]
    rest = literal(len(values))
    return (case(*found, else_=rest) if found else rest).label("place")


def _step(edges: Sequence[datetime], at: datetime) -> int:
    """The step that a moment is in; a day that begins before the first edge is in the first."""
    return min(max(bisect_right(edges, at) - 1, 0), len(edges) - 2)


def _next(day: date, size: Size) -> date:
    """The first day of the next step."""
    if size == "day":
        return day + timedelta(days=1)
    if size == "week":
        return day + timedelta(days=7 - day.weekday())
    return (day.replace(day=1) + timedelta(days=32)).replace(day=1)
