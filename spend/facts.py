"""What reports add up: sums per provider, model and attribution, from where they are cheapest.

Days of the reporting zone are summed up already, in `daily_cost_summaries`: a hundredth of the
buckets' rows. They serve whole days of that zone, and all reports that do not ask for days; what
is left at both ends, and days of another zone, come from the buckets. Both move in one
transaction, so they never disagree. The role that tenants act as may read the buckets only.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from sqlalchemy import (
    ColumnElement,
    Date,
    Select,
    Subquery,
    cast,
    func,
    null,
    select,
    text,
    union_all,
)
from sqlalchemy.orm import Session

from models import DailyCostSummary, ReportingZone, Series, SpendBucket
from spend import filters, zones
from spend.errors import BadInputError
from spend.filters import Only
from spend.periods import midnight

FIGURES = ("requests", "input_tokens", "output_tokens", "unpriced", "total_cost")
_MAY_READ = text("SELECT has_table_privilege(:name, 'SELECT')")


class Span(NamedTuple):
    """From and up to, not including; None is all of time on that side."""

    since: datetime | None = None
    until: datetime | None = None

    def within(self, other: "Span") -> "Span":
        """What both have in common; it may be nothing."""
        since = max((s for s in (self.since, other.since) if s is not None), default=None)
        until = min((u for u in (self.until, other.until) if u is not None), default=None)
        return Span(since, until)


@dataclass(frozen=True)
class Parts:
    """Which days come from their summaries, and which spans from the buckets."""

    days: tuple[date | None, date | None] | None
    spans: tuple[Span, ...]


def facts(
    session: Session,
    span: Span,
    only: Only,
    *,
    days_of: str | None = None,
    figures: Sequence[str] = FIGURES,
) -> Subquery:
    """Rows of provider, model, attribution_id, day and figures; several may be of one group.

    days_of: the zone whose days are told apart; without it `day` is NULL. The filter on what
    attributions say is left to the caller, who joins them; only buckets are narrowed by it here.
    Raises BadInputError for a time that cuts through a bucket.
    """
    for moment in span:
        if moment is not None and (moment.minute % 15 or moment.second or moment.microsecond):
            raise BadInputError(f"{moment.isoformat()} is not on a quarter of an hour.")
    parts = _parts(session, span, days_of)
    numbers = filters.series(session, only) if parts.spans else None
    found = [_buckets(each, numbers, days_of, figures) for each in parts.spans]
    if parts.days is not None:
        found.append(_days(parts.days, figures, told=days_of is not None))
    whole = found[0] if len(found) == 1 else union_all(*found)
    return whole.subquery("facts")


def may_read(session: Session, table: str) -> bool:
    """Whether the role of this session sees a table at all."""
    return bool(session.scalar(_MAY_READ, {"name": table}))


def split(span: Span, zone: ZoneInfo) -> Parts:
    """Whole days of a zone, and what is left before and after them."""
    first = None if span.since is None else _day_from(span.since, zone)
    end = None if span.until is None else span.until.astimezone(zone).date()
    if first is not None and end is not None and first >= end:
        return Parts(None, (span,))
    spans = []
    if first is not None and span.since is not None and span.since < midnight(first, zone):
        spans.append(Span(span.since, midnight(first, zone)))
    if end is not None and span.until is not None and midnight(end, zone) < span.until:
        spans.append(Span(midnight(end, zone), span.until))
    return Parts((first, end), tuple(spans))


def _parts(session: Session, span: Span, days_of: str | None) -> Parts:
    buckets = Parts(None, (span,))
    if not may_read(session, DailyCostSummary.__tablename__):
        return buckets
    zone = session.scalars(select(ReportingZone.zone)).one()
    if zone in zones.OFFSETS or (days_of is not None and days_of != zone):
        return buckets
    try:
        return split(span, ZoneInfo(zone))
    except (KeyError, ValueError, OSError, OverflowError):
        # A zone that only Postgres knows, or a time at the end of the calendar.
        return buckets


def _day_from(moment: datetime, zone: ZoneInfo) -> date:
    """The first day that begins at or after a moment."""
    day = moment.astimezone(zone).date()
    return day if midnight(day, zone) >= moment.astimezone(UTC) else day + timedelta(days=1)


def _days(
    days: tuple[date | None, date | None], figures: Sequence[str], *, told: bool
) -> Select[Any]:
    table = DailyCostSummary
    day: ColumnElement[Any] = table.day.expression if told else cast(null(), Date)
    statement = select(
        table.provider,
        table.model,
        table.attribution_id,
        day.label("day"),
        *(getattr(table, name).label(name) for name in figures),
    )
    first, end = days
    if first is not None:
        statement = statement.where(table.day >= first)
    if end is not None:
        statement = statement.where(table.day < end)
    return statement


def _buckets(
    span: Span, numbers: Sequence[int] | None, days_of: str | None, figures: Sequence[str]
) -> Select[Any]:
    table = SpendBucket
    where = _within(span)
    if numbers is not None:
        where.append(filters.among(table.series_id.expression, numbers))
    if days_of is not None:
        # As they are: there are so many groups of a series and a day that adding up twice costs
        # more than it saves.
        return (
            select(
                Series.provider,
                Series.model,
                Series.attribution_id,
                cast(func.timezone(days_of, table.bucket), Date).label("day"),
                *(getattr(table, name).label(name) for name in figures),
            )
            .join(Series, Series.id == table.series_id)
            .where(*where)
        )
    # Added up by number before names come in: they are what takes the time.
    by_series = (
        select(
            table.series_id,
            *(func.sum(getattr(table, name)).label(name) for name in figures),
        )
        .where(*where)
        .group_by(table.series_id)
        .subquery()
    )
    return select(
        Series.provider,
        Series.model,
        Series.attribution_id,
        cast(null(), Date).label("day"),
        *(by_series.c[name] for name in figures),
    ).join(by_series, by_series.c.series_id == Series.id)


def _within(span: Span) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if span.since is not None:
        found.append(SpendBucket.bucket >= span.since)
    if span.until is not None:
        found.append(SpendBucket.bucket < span.until)
    return found
