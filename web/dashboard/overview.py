"""The first page: what was spent lately, on what, what changed, and what needs somebody."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from models import SpendBucket
from spend import movers, reports, trend
from spend.alerts import listing
from spend.alerts.alert import Alert
from spend.budgets import standing, urgent
from spend.budgets.standing import BudgetStatus
from spend.facts import Span
from spend.filters import Only
from spend.reports import SpendLine
from spend.ticks import Counted
from web.calls import Call
from web.dashboard import look as looks
from web.dashboard.chart import Chart, chart
from web.dashboard.look import Look
from web.dashboard.rendering import Page

BANDS = 7  # colors of the palette
LINES = 10
_MOVERS = 8
_BUDGETS = 6
_ALERTS = 6
_MOST_ALERTS = 200
_SEVERITIES = ("critical", "warning", "info")


@dataclass(frozen=True)
class Figures:
    """What a time cost: lines are the dearest values, with their colors in the chart."""

    look: Look
    total: SpendLine
    before: SpendLine
    lines: list[SpendLine]
    more: bool
    nobody: SpendLine | None
    chart: Chart
    overlapping: bool

    @property
    def empty(self) -> bool:
        return not self.total.requests and not self.total.total_cost

    @property
    def colors(self) -> dict[str | None, str]:
        """Of the values that have a band of their own."""
        pairs = zip(self.chart.bands, self.chart.colors, strict=True)
        return {band.value: color for band, color in pairs if not band.rest}


def make(call: Call) -> Page:
    """The page."""
    now = datetime.now(UTC)
    with call.looking() as session:
        look = looks.read(session, call.query, now)
        found = figures(session, look, LINES)
        said: dict[str, Any] = {**framed(session, look, empty=found.empty), "figures": found}
        span, before = Span(look.since, look.counted_until), Span(*look.before())
        said["movers"] = movers.movers(session, look.by, span, before, most=_MOVERS, only=look.only)
        if call.binding is None:
            said["budgets"], said["more_budgets"] = _budgets(session, now)
            said["alerts"], said["counts"] = _alerts(session)
    return Page("overview.html", {**said, "may_change": "alerts" in call.scopes})


def figures(session: Session, look: Look, most: int, after: reports.Place | None = None) -> Figures:
    """Totals, the dearest values, and the chart."""
    lines = _lines(session, look, most + 1, after)
    # The chart keeps its colors from page to page.
    first = lines if after is None else _lines(session, look, BANDS, None)
    bands = [line.group[0] for line in first[:BANDS]]
    overlapping = reports.overlaps([look.by])
    nobody = None
    if not overlapping and look.by not in ("provider", "model") and None not in bands:
        alone = {**look.only, look.by: (None,)}
        nobody = _total(session, look, alone)
    elif None in bands:
        nobody = first[bands.index(None)]
    earlier = look.before()
    drawn = trend.trend(
        session, look.by, bands, since=look.since, until=look.until, zone=look.zone, only=look.only
    )
    return Figures(
        look=look,
        total=_total(session, look, look.only),
        before=reports.total(session, since=earlier[0], until=earlier[1], only=look.only),
        lines=lines[:most],
        more=len(lines) > most,
        nobody=nobody,
        chart=chart(drawn, look.zone),
        overlapping=overlapping,
    )


def _lines(session: Session, look: Look, most: int, after: reports.Place | None) -> list[SpendLine]:
    return reports.page(
        session, [look.by], most, after, since=look.since, until=look.until, only=look.only
    )


def _total(session: Session, look: Look, only: Only) -> SpendLine:
    return reports.total(session, since=look.since, until=look.until, only=only)


def framed(session: Session, look: Look, *, empty: bool = False) -> dict[str, Any]:
    """What pages of figures have in common."""
    counted: Counted | None = session.info.get("counted")
    nothing = empty and not session.scalar(select(exists(select(SpendBucket.bucket))))
    return {"look": look, "counted": counted, "nothing": nothing}


def _budgets(session: Session, now: datetime) -> tuple[list[BudgetStatus], bool]:
    """The fullest ones; a forecast of all of them would take long where there are many."""
    ids = urgent.fullest(session, now, _BUDGETS + 1)
    found = {one.budget.id: one for one in standing.status(session, now, ids[:_BUDGETS])}
    return [found[id_] for id_ in ids[:_BUDGETS] if id_ in found], len(ids) > _BUDGETS


def _alerts(session: Session) -> tuple[list[Alert], dict[str, int]]:
    """What waits for somebody, the worst first, and how many of each severity."""
    found = listing.alerts(session, states=("open", "escalated"), most=_MOST_ALERTS)
    found.sort(key=lambda alert: _SEVERITIES.index(alert.severity))
    counts = {s: sum(alert.severity == s for alert in found) for s in _SEVERITIES}
    return found[:_ALERTS], {name: count for name, count in counts.items() if count}
