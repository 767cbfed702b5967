"""Table `budget_checks`, and the verdict on a budget: which of its lines are reached.

A judge holds the budget's row before it sums, so that judges of one budget, its edits too, come one
after the other, and the last of them sees every commit that a check was rung for.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import Row, insert
from sqlalchemy.orm import Session

from models import BudgetCheck
from spend import budgets
from spend.alerts import contributors, listing, messages, states
from spend.alerts.alert import Alert, Resolution
from spend.alerts.lines import Line, lines
from spend.alerts.states import Crossing
from spend.budgets.definition import Budget
from spend.forecast import Forecast
from spend.periods import Span, bounds, span
from spend.sql import query

# Rows come late: a spool, a lagging shard. A period is watched for so long after its end, and what
# is then raised stays open for a while, since its period is no reason to close it at once.
WATCHED = timedelta(days=7)
LATE_OPEN = timedelta(days=1)
# A forecast changes with time alone, and costs more than a sum.
FORECAST_AGAIN = timedelta(hours=1)
_INSTANT = timedelta(microseconds=1)


@dataclass(frozen=True)
class Judged:
    """budgets: looked at. raised, resolved, reopened: alerts. messages: put into the outbox."""

    budgets: int = 0
    raised: int = 0
    resolved: int = 0
    reopened: int = 0
    messages: int = 0


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


def judge(
    session: Session,
    ids: Collection[int],
    now: datetime,
    moved: Iterable[tuple[int, date]] = (),
) -> Judged:
    """Look at budgets in their current periods, and at periods of theirs that moved.

    Raises and resolves alerts, tells channels, and keeps how far the verdict holds.
    """
    moved = set(moved)
    wanted = sorted({*ids, *(id_ for id_, _ in moved)})
    if not wanted:
        return Judged()
    session.execute(query("alerts", "hold"), {"ids": wanted})
    # Statements of their own after the lock: they see what the last judge, an edit and every
    # batch before them have committed.
    found = {budget.id: budget for budget in budgets.load(session, wanted, removed=True)}
    watched = session.execute(query("alerts", "verdicts"), {"ids": wanted})
    periods = _periods(session, found, {*moved, *((row[0], row[1]) for row in watched)}, now)
    starts = sorted({period.span.first for period in periods})
    known = list(session.scalars(query("alerts", "known"), {"ids": wanted, "starts": starts}))
    alerts = listing.alerts(session, ids=known, most=len(known))
    raised, told = _raise(session, periods, alerts, now)
    resolved, reopened = _turn(session, found, periods, alerts, now)
    _keep(session, found, periods, [*raised, *alerts], now)
    return Judged(len(found), len(raised), resolved, reopened, told)


def _periods(
    session: Session, found: Mapping[int, Budget], moved: Iterable[tuple[int, date]], now: datetime
) -> list[Period]:
    """What there is to judge of active budgets."""
    wanted: dict[tuple[int, date], Span] = {}
    for budget in found.values():
        if budget.state != "active":
            continue
        calendar = budget.definition.calendar
        # The period in which it was armed, too: it may have ended just before the first look.
        for at in (budget.armed_at, now):
            if (period := bounds(calendar, at)) is not None and _watched(budget, period, now):
                wanted[budget.id, period.first] = period
    for id_, first in moved:
        if id_ in found and found[id_].state == "active" and (id_, first) not in wanted:
            period = span(found[id_].definition.calendar, first)
            if period.first == first and _watched(found[id_], period, now):
                wanted[id_, first] = period
    binds = {"ids": [key[0] for key in wanted], "starts": [key[1] for key in wanted]}
    sums = {(row[0], row[1]): row for row in session.execute(query("alerts", "sums"), binds)}
    expected = _forecasts(session, found, wanted, now)
    return [
        _period(found[key[0]], wanted[key], now, sums[key], expected.get(key[0]))
        for key in sorted(wanted)
    ]


def _watched(budget: Budget, period: Span, now: datetime) -> bool:
    """Whether a period has begun and may still tell something."""
    if bounds(budget.definition.calendar, _within(period, now)) != period:
        return False  # of a calendar that it has no more
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


def _raise(
    session: Session, periods: Sequence[Period], alerts: Iterable[Alert], now: datetime
) -> tuple[list[Alert], int]:
    """New alerts, and how many messages tell of them."""
    told = {_key(alert) for alert in alerts}
    crossings = []
    for period in periods:
        fresh = [line for line in period.reached if (*_place(period), *_name(line)) not in told]
        together = tuple(_said(line) for line in fresh)
        crossings += [
            Crossing(
                period.budget,
                period.span,
                line,
                period.spend,
                period.unpriced,
                period.budget.definition.limit(period.at),
                period.forecast if line.basis == "forecast" else None,
                together,
            )
            for line in fresh
        ]
    most = contributors.most(session, [crossing.key for crossing in crossings])
    raised = states.begin(session, crossings, most, now)
    return raised, messages.put(session, [(alert, messages.CROSSED) for alert in raised], now)


def _turn(
    session: Session,
    found: Mapping[int, Budget],
    periods: Sequence[Period],
    alerts: Iterable[Alert],
    now: datetime,
) -> tuple[int, int]:
    """Resolve what holds no more, open again what does; how many of each."""
    by_place = {_place(period): period for period in periods}
    resolved = reopened = 0
    for alert in alerts:
        budget = found[alert.budget_id]
        period = by_place.get((alert.budget_id, alert.period.first, alert.arming))
        why = _ended(budget, alert, now) or _fallen(alert, period)
        if budget.state == "paused":
            continue
        if alert.state != "resolved" and why is not None:
            states.end(session, alert, why, now)
            resolved += 1
        elif alert.resolution == "below" and why is None and _holds(alert, period):
            states.reopen(session, alert, now)
            reopened += 1
    return resolved, reopened


def _ended(budget: Budget, alert: Alert, now: datetime) -> Resolution | None:
    """Why an alert is over whatever was spent; None while it is not."""
    if budget.state == "removed":
        return "removed"
    if alert.arming != budget.arming:
        return "edited"
    over = _over(alert)
    return "period_over" if over is not None and now >= over else None


def _fallen(alert: Alert, period: Period | None) -> Resolution | None:
    """Whether an alert's line is not reached any more, or not there."""
    if period is None or (alert.basis == "forecast" and period.forecast is None):
        return None  # nobody looked
    line = {_name(line): line for line in period.lines}.get((alert.basis, alert.threshold))
    if line is None:
        return "edited"
    return None if period.reaches(line) else "below"


def _holds(alert: Alert, period: Period | None) -> bool:
    names = [_name(line) for line in period.reached] if period is not None else []
    return (alert.basis, alert.threshold) in names


def _over(alert: Alert) -> datetime | None:
    ends = alert.period.ends
    return ends if ends is None or alert.raised_at < ends else alert.raised_at + LATE_OPEN


def _keep(
    session: Session,
    found: Mapping[int, Budget],
    periods: Sequence[Period],
    alerts: Iterable[Alert],
    now: datetime,
) -> None:
    """How far the verdicts hold."""
    over: dict[tuple[int, date], list[datetime]] = defaultdict(list)
    for alert in alerts:
        ends = _over(alert)
        if ends is not None and ends > now:
            over[alert.budget_id, alert.period.first].append(ends)
    rows = [_verdict(period, over[period.budget.id, period.span.first], now) for period in periods]
    judged = {row["budget_id"] for row in rows}
    rows += [
        _quiet(budget, now)
        for budget in found.values()
        if budget.state != "removed" and budget.id not in judged
    ]
    session.execute(query("alerts", "forget_verdicts"), {"ids": list(found)})
    if rows:
        session.execute(insert(BudgetCheck), rows)


def _verdict(period: Period, over: Sequence[datetime], now: datetime) -> dict[str, object]:
    actual = [line for line in period.lines if line.basis == "actual"]
    times = list(over)
    if period.span.ends is not None:
        times.append(period.span.ends if period.current else period.span.ends + WATCHED)
    until = period.budget.definition.raise_until
    forecast = any(line.basis == "forecast" for line in period.lines)
    if period.current and until is not None and until > now:
        times.append(until)
    if forecast:
        times.append(now + FORECAST_AGAIN)
    return {
        "budget_id": period.budget.id,
        "period_start": period.span.first,
        "version": period.budget.version,
        "reached": max((x.dollars for x in actual if period.reaches(x)), default=None),
        "next_line": min((x.dollars for x in actual if not period.reaches(x)), default=None),
        "forecast_at": now if forecast else None,
        "due_at": min(times, default=None),
    }


def _quiet(budget: Budget, now: datetime) -> dict[str, object]:
    """Of a budget that has nothing to judge: it is paused, or its range is not now."""
    calendar = budget.definition.calendar
    first = calendar.starts_on or budget.armed_at.date()
    starts = span(calendar, first).starts if calendar.period == "range" else None
    later = budget.state == "active" and starts is not None and starts > now
    return {
        "budget_id": budget.id,
        "period_start": first,
        "version": budget.version,
        "reached": None,
        "next_line": None,
        "forecast_at": None,
        "due_at": starts if later else None,
    }


def _place(period: Period) -> tuple[int, date, int]:
    return period.budget.id, period.span.first, period.budget.arming


def _name(line: Line) -> tuple[str, str]:
    return line.basis, line.threshold


def _key(alert: Alert) -> tuple[int, date, int, str, str]:
    return alert.budget_id, alert.period.first, alert.arming, alert.basis, alert.threshold


def _said(line: Line) -> str:
    return line.threshold if line.basis == "actual" else f"{line.threshold} forecast"
