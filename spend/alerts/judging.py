"""Table `budget_checks`, and the verdict on a budget: which of its lines are reached.

A judge holds the budget's row before it sums, so that judges of one budget, its edits too, come one
after the other, and the last of them sees every commit that a check was rung for.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import insert, select
from sqlalchemy.exc import DataError
from sqlalchemy.orm import Session

from models import Budget as Row
from models import BudgetCheck
from spend import budgets
from spend.alerts import contributors, listing, looking, messages, states
from spend.alerts.alert import Alert, Resolution
from spend.alerts.lines import Line
from spend.alerts.looking import WATCHED, Period
from spend.alerts.states import Crossing
from spend.budgets.definition import Budget
from spend.periods import span
from spend.sql import query

# What is raised after the end of its period stays open for a while: that its period is over is no
# reason to close it at once.
LATE_OPEN = timedelta(days=1)
# A forecast changes with time alone, and costs more than a sum.
FORECAST_AGAIN = timedelta(hours=1)
# A budget that could not be judged is tried again after this.
TRY_AGAIN = timedelta(minutes=10)
# What is wrong with one budget raises these: a zone that Python knows no more, an amount that no
# column holds. A lost connection or a deadlock does not.
_ITS_OWN = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, DataError)


@dataclass(frozen=True)
class Judged:
    """budgets: looked at. raised, resolved, reopened: alerts. messages: put into the outbox.

    failed: of each budget that could not be judged, which one and why.
    """

    budgets: int = 0
    raised: int = 0
    resolved: int = 0
    reopened: int = 0
    messages: int = 0
    failed: tuple[str, ...] = ()

    def __add__(self, other: "Judged") -> "Judged":
        return Judged(
            self.budgets + other.budgets,
            self.raised + other.raised,
            self.resolved + other.resolved,
            self.reopened + other.reopened,
            self.messages + other.messages,
            self.failed + other.failed,
        )


def judge(session: Session, ids: Collection[int], now: datetime) -> Judged:
    """Look at budgets in all periods that may tell something.

    Raises and resolves alerts, tells channels, and keeps how far the verdict holds. A budget that
    cannot be judged is tried again later, and keeps no other from being judged.
    """
    wanted = sorted(set(ids))
    if not wanted:
        return Judged()
    session.execute(query("alerts", "hold"), {"ids": wanted})
    return _judge(session, wanted, now)


def _judge(session: Session, ids: Sequence[int], now: datetime) -> Judged:
    """Judge budgets that are held; where that fails, each half of them by itself."""
    try:
        with session.begin_nested():
            return _together(session, ids, now)
    except _ITS_OWN as error:
        if len(ids) == 1:
            _put_off(session, ids[0], now)
            why = " ".join(str(error).split())[:200]
            return Judged(1, failed=(f"{ids[0]}: {type(error).__name__} {why}",))
    middle = len(ids) // 2
    return _judge(session, ids[:middle], now) + _judge(session, ids[middle:], now)


def _together(session: Session, ids: Sequence[int], now: datetime) -> Judged:
    # Statements of their own after the lock: they see what the last judge, an edit and every
    # batch before them have committed.
    found = {budget.id: budget for budget in budgets.load(session, ids, removed=True)}
    periods = looking.periods(session, found, now)
    starts = sorted({period.span.first for period in periods})
    known = list(session.scalars(query("alerts", "known"), {"ids": list(ids), "starts": starts}))
    # Whoever changes alerts takes them in the order of their ids, and lanes of messages after them.
    alerts = listing.alerts(session, ids=known, most=len(known))[::-1]
    resolved, reopened = _turn(session, found, periods, alerts, now)
    raised, told = _raise(session, periods, alerts, now)
    _keep(session, found, periods, [*raised, *alerts], now)
    return Judged(len(found), len(raised), resolved, reopened, told)


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
    over: dict[int, list[datetime]] = defaultdict(list)
    for alert in alerts:
        ends = _over(alert)
        if ends is not None and ends > now:
            # Of the budget: the alert may outlive the time in which its period is watched.
            over[alert.budget_id].append(ends)
    rows = [_verdict(period, over[period.budget.id], now) for period in periods]
    judged = {row["budget_id"] for row in rows}
    rows += [
        _quiet(budget, over[budget.id], now)
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


def _quiet(budget: Budget, over: Sequence[datetime], now: datetime) -> dict[str, object]:
    """Of a budget that has nothing to judge: it is paused, or its range is not now."""
    calendar = budget.definition.calendar
    first = calendar.starts_on or budget.armed_at.date()
    starts = span(calendar, first).starts if calendar.period == "range" else None
    times = [*over, *([starts] if starts is not None and starts > now else [])]
    return {
        "budget_id": budget.id,
        "period_start": first,
        "version": budget.version,
        "reached": None,
        "next_line": None,
        "forecast_at": None,
        "due_at": min(times, default=None) if budget.state == "active" else None,
    }


def _put_off(session: Session, id_: int, now: datetime) -> None:
    session.execute(query("alerts", "forget_verdicts"), {"ids": [id_]})
    row = {
        "budget_id": id_,
        # Of no period that has begun: news of those is not a reason to try before its time.
        "period_start": now.date() + timedelta(days=2),
        "version": session.scalar(select(Row.version).where(Row.id == id_)),
        "due_at": now + TRY_AGAIN,
    }
    session.execute(insert(BudgetCheck), [row])


def _place(period: Period) -> tuple[int, date, int]:
    return period.budget.id, period.span.first, period.budget.arming


def _name(line: Line) -> tuple[str, str]:
    return line.basis, line.threshold


def _key(alert: Alert) -> tuple[int, date, int, str, str]:
    return alert.budget_id, alert.period.first, alert.arming, alert.basis, alert.threshold


def _said(line: Line) -> str:
    return line.threshold if line.basis == "actual" else f"{line.threshold} forecast"
