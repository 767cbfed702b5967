"""The first page: what was spent lately, on what, what changed, and what needs somebody."""

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import exists, select
from sqlalchemy.orm import Session

from models import SpendBucket
from spend import movers, reports, trend
from spend.alerts import listing
from spend.alerts.alert import Alert
from spend.budgets import urgent
from spend.budgets.standing import BudgetStatus
from spend.facts import Span
from spend.movers import Mover
from spend.reports import Place, SpendLine
from spend.ticks import Counted
from web.calls import Call
from web.dashboard import forecasts
from web.dashboard import look as looks
from web.dashboard.chart import Chart, chart
from web.dashboard.look import Look
from web.dashboard.rendering import Page

BANDS = 7  # colors of the palette
LINES = 10
_MOVERS = 8
_BUDGETS = 6
_ALERTS = 4
_WAITING = ("open", "escalated")


@dataclass(frozen=True)
class Figures:
    """What a time cost: lines are a page of values, with their colors in the chart.

    before: dollars and unpriced of the equal time before. dearest: of all values, for bars.
    """

    look: Look
    total: SpendLine
    before: tuple[Decimal, int]
    lines: list[SpendLine]
    dearest: Decimal
    more: bool
    nobody: SpendLine | None
    movers: list[Mover]
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
        if call.binding is None:
            said["budgets"], said["more_budgets"] = _budgets(session, now)
            said["alerts"], said["counts"] = _alerts(session)
    return Page("overview.html", {**said, "may_change": "alerts" in call.scopes})


def figures(session: Session, look: Look, most: int, after: Place | None = None) -> Figures:
    """Totals, the dearest values, what changed, and the chart: two readings of what was counted."""
    time = Span(look.since, look.until)
    beside = movers.compare(
        session, look.by, time, Span(*look.before()), lines=most + 1, movers=_MOVERS, only=look.only
    )
    # The chart keeps its colors from page to page.
    bands = [line.group[0] for line in beside.lines[:BANDS]]
    drawn = trend.trend(
        session, look.by, bands, since=look.since, until=look.until, zone=look.zone, only=look.only
    )
    lines = beside.lines
    if after is not None:
        lines = reports.page(
            session, [look.by], most + 1, after, since=time.since, until=time.until, only=look.only
        )
    return Figures(
        look=look,
        total=beside.total,
        before=beside.before,
        lines=lines[:most],
        dearest=beside.lines[0].total_cost if beside.lines else Decimal(0),
        more=len(lines) > most,
        nobody=beside.nobody,
        movers=beside.movers,
        chart=chart(drawn, look.zone),
        overlapping=reports.overlaps([look.by]),
    )


def framed(session: Session, look: Look, *, empty: bool = False) -> dict[str, Any]:
    """What pages of figures have in common."""
    counted: Counted | None = session.info.get("counted")
    nothing = empty and not session.scalar(select(exists(select(SpendBucket.bucket))))
    return {"look": look, "counted": counted, "nothing": nothing}


def _budgets(session: Session, now: datetime) -> tuple[list[BudgetStatus], bool]:
    """The fullest ones; a forecast of all of them would take long where there are many."""
    ids = urgent.fullest(session, now, _BUDGETS + 1)
    found = {one.budget.id: one for one in forecasts.stands(session, now, ids[:_BUDGETS])}
    return [found[id_] for id_ in ids[:_BUDGETS] if id_ in found], len(ids) > _BUDGETS


def _alerts(session: Session) -> tuple[list[Alert], dict[str, int]]:
    """What waits for somebody, the worst first, and how many of each severity."""
    counts = listing.counts(session, _WAITING)
    found: list[Alert] = []
    for severity in counts:
        if left := _ALERTS - len(found):
            found += listing.alerts(session, states=_WAITING, severities=[severity], most=left)
    return found, counts
