"""How budgets stand: what is spent and left of the current period, and where it will end."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal
from zoneinfo import ZoneInfo

from sqlalchemy import Row
from sqlalchemy.orm import Session

from spend import forecast as forecasts
from spend.budgets.definition import Budget
from spend.budgets.store import load
from spend.forecast import Forecast
from spend.forecasting.past import HISTORY_DAYS
from spend.periods import Span, midnight, span
from spend.sql import query


@dataclass(frozen=True)
class BudgetStatus:
    """A budget in one period: at least `spend` dollars, with `unpriced` requests unknown.

    phase: before and after are a range's. soft, hard: as they are now, raise included. limit:
    the hard one, or else the soft one. left may be negative. percent: of the limit, exact to a
    tenth. days_left: today included; None without an end. forecast: None without an end, without
    a past, or where `silent` says why.
    """

    budget: Budget
    span: Span
    phase: Literal["before", "current", "after"]
    requests: int
    unpriced: int
    spend: Decimal
    soft: Decimal | None
    hard: Decimal | None
    limit: Decimal | None
    left: Decimal | None
    percent: Decimal | None
    days_left: int | None
    forecast: Forecast | None
    silent: str | None


@dataclass(frozen=True)
class PeriodSpend:
    """What a budget's scope spent in one period."""

    span: Span
    requests: int
    unpriced: int
    spend: Decimal


def status(
    session: Session,
    now: datetime,
    ids: Collection[int] | None = None,
    *,
    with_forecast: bool = True,
) -> list[BudgetStatus]:
    """Every budget (or some) in its current period, by name; with_forecast reads buckets."""
    budgets = load(session, ids)
    binds = {"ids": [budget.id for budget in budgets], "now": now}
    spent = {row.id: row for row in session.execute(query("budgets", "spent"), binds)}
    sums = {b.id: _period(b, spent[b.id]) for b in budgets}
    days: dict[int, list[tuple[date, Decimal]]] | None = None
    if with_forecast:
        ending = [id_ for id_, period in sums.items() if period.span.end is not None]
        days = _days(session, ending, now)
    return [
        _status(budget, sums[budget.id], None if days is None else days[budget.id], now)
        for budget in budgets
    ]


def past(session: Session, budget: Budget, most: int) -> list[PeriodSpend]:
    """The newest periods in which a budget's scope spent something, newest first."""
    rows = session.execute(query("budgets", "past"), {"budget": budget.id, "most": most})
    return [_period(budget, row) for row in rows]


def _period(budget: Budget, row: Row[Any]) -> PeriodSpend:
    return PeriodSpend(
        span(budget.definition.calendar, row.period_start),
        int(row.requests),
        int(row.unpriced),
        Decimal(row.spend),
    )


def _status(
    budget: Budget, sums: PeriodSpend, days: Sequence[tuple[date, Decimal]] | None, now: datetime
) -> BudgetStatus:
    definition = budget.definition
    period = sums.span
    today = now.astimezone(ZoneInfo(definition.zone)).date()
    limit = definition.limit(now)
    expected, silent = (None, None) if days is None else _forecast(budget, sums, days, now, today)
    return BudgetStatus(
        budget=budget,
        span=period,
        phase=_phase(period, now),
        requests=sums.requests,
        unpriced=sums.unpriced,
        spend=sums.spend,
        soft=definition.soft(now),
        hard=definition.hard(now),
        limit=limit,
        left=None if limit is None else limit - sums.spend,
        percent=None if limit is None else (sums.spend * 100 / limit).quantize(Decimal("0.1")),
        days_left=None
        if period.end is None
        else max(0, (period.end - max(today, period.first)).days),
        forecast=expected,
        silent=silent,
    )


def _phase(period: Span, now: datetime) -> Literal["before", "current", "after"]:
    if period.starts is not None and now < period.starts:
        return "before"
    return "after" if period.ends is not None and now >= period.ends else "current"


def _forecast(
    budget: Budget,
    sums: PeriodSpend,
    days: Sequence[tuple[date, Decimal]],
    now: datetime,
    today: date,
) -> tuple[Forecast | None, str | None]:
    """Where the period will end, or why that is not said."""
    period = sums.span
    if period.end is None:
        return None, None
    zone = ZoneInfo(budget.definition.zone)
    start, stop = midnight(today, zone), midnight(today + timedelta(days=1), zone)
    expected = forecasts.forecast(
        days, (now - start) / (stop - start), period.end,
        starts=period.first, today=today, spent=sums.spend,
    )  # fmt: skip
    return expected, None if expected else forecasts.missing(days, today)


def _days(
    session: Session, ids: Sequence[int], now: datetime
) -> dict[int, list[tuple[date, Decimal]]]:
    """What budgets' scopes spent per day, as far back as a forecast looks."""
    found: dict[int, list[tuple[date, Decimal]]] = defaultdict(list)
    if ids:
        # Two more: a zone may be ahead of UTC, and the first day has to be whole.
        since = now - timedelta(days=HISTORY_DAYS + 2)
        rows = session.execute(query("budgets", "days"), {"ids": list(ids), "since": since})
        for id_, day, spend in rows:
            found[id_].append((day, Decimal(spend)))
    return found
