"""What there is to judge of budgets: their periods, with what was spent, expected and drawn."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import Row
from sqlalchemy.orm import Session

from spend import budgets
from spend.alerts.lines import Line, lines
from spend.budgets.definition import Budget
from spend.forecast import Forecast
from spend.periods import Span, bounds, span
from spend.sql import query

# Rows come late: a spool, a lagging shard. A period is watched for so long after its end.
WATCHED = timedelta(days=7)
_INSTANT = timedelta(microseconds=1)


@dataclass(frozen=True)
class Period:
    """A period of a budget as it is judged. at: the moment whose limits count."""

    budget: Budget
    span: Span
    at: datetime
    current: bool
    spend: Decimal
    unpriced: int
    lines: tuple[Line, ...]
    forecast: Forecast | None

    def reaches(self, line: Line) -> bool:
        if line.basis == "actual":
            return self.spend >= line.dollars
        return self.forecast is not None and self.forecast.expected >= line.dollars

    @property
    def reached(self) -> list[Line]:
        return [line for line in self.lines if self.reaches(line)]


def periods(session: Session, found: Mapping[int, Budget], now: datetime) -> list[Period]:
    """What there is to judge of active budgets."""
    wanted: dict[tuple[int, date], Span] = {}
    for budget in found.values():
        if budget.state == "active":
            wanted |= {(budget.id, period.first): period for period in _telling(budget, now)}
    binds = {"ids": [key[0] for key in wanted], "starts": [key[1] for key in wanted]}
    sums = {(row[0], row[1]): row for row in session.execute(query("alerts", "sums"), binds)}
    expected = _forecasts(session, found, wanted, now)
    return [
        _period(found[key[0]], wanted[key], now, sums[key], expected.get(key[0]))
        for key in sorted(wanted)
    ]


def _telling(budget: Budget, now: datetime) -> Iterator[Span]:
    """Periods that are watched, the newest first: those too at which nobody looked in their time,
    because all was down or the budget was paused.
    """
    calendar = budget.definition.calendar
    if calendar.starts_on is not None:
        period: Span | None = span(calendar, calendar.starts_on)
    else:
        period = bounds(calendar, now)
    while period is not None and _watched(budget, period, now):
        yield period
        before = period.starts if calendar.starts_on is None else None
        period = None if before is None else bounds(calendar, before - _INSTANT)


def _watched(budget: Budget, period: Span, now: datetime) -> bool:
    """Whether a period has begun and may still tell something."""
    if period.starts is not None and now < period.starts:
        return False
    return period.ends is None or budget.armed_at < period.ends > now - WATCHED


def _within(period: Span, now: datetime) -> datetime:
    return now if period.ends is None else period.ends - _INSTANT


def _period(
    budget: Budget, period: Span, now: datetime, sums: Row[Any], expected: Forecast | None
) -> Period:
    current = period.ends is None or now < period.ends
    at = now if current else _within(period, now)
    drawn = [line for line in lines(budget.definition, at) if current or line.basis == "actual"]
    forecast = expected if current else None
    return Period(
        budget, period, at, current, sums.spend, int(sums.unpriced), tuple(drawn), forecast
    )


def _forecasts(
    session: Session,
    found: Mapping[int, Budget],
    wanted: Iterable[tuple[int, date]],
    now: datetime,
) -> dict[int, Forecast]:
    """Where the current periods of budgets end that have thresholds of that."""
    ids = sorted(
        {
            id_
            for id_, _ in wanted
            if any(threshold.basis == "forecast" for threshold in found[id_].definition.thresholds)
        }
    )
    if not ids:
        return {}
    return {
        status.budget.id: status.forecast
        for status in budgets.status(session, now, ids)
        if status.forecast is not None and status.phase == "current"
    }
