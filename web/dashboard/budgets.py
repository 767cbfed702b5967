"""Budgets: how they stand, and one with its past."""

from datetime import UTC, datetime

from spend.alerts import listing
from spend.budgets import lookup, standing, store
from spend.budgets.lookup import Place
from web import asking
from web.calls import Call
from web.dashboard import forecasts
from web.dashboard.rendering import Page

_MOST = 25  # a forecast of each reads what it spent day by day
_PERIODS = 13
_VERSIONS = 20
_ALERTS = 20


def listed(call: Call) -> Page:
    """A page of budgets by name, each with where its period will end."""
    after = asking.place(call)
    now = datetime.now(UTC)
    with call.looking() as session:
        found = lookup.page(session, _MOST + 1, after and Place(*after))
        shown = found[:_MOST]
        stands = forecasts.stands(session, now, [one.id for one in shown])
        counted = session.info.get("counted")
    more = len(found) > _MOST
    following = asking.next_place(shown[-1].name, shown[-1].id) if more else None
    said = {"budgets": stands, "following": following, "counted": counted}
    return Page("budgets.html", {**said, "paged": after is not None})


def one(call: Call) -> Page:
    """One budget: how it stands, what earlier periods spent, its alerts, who changed what."""
    now = datetime.now(UTC)
    with call.looking() as session:
        budget = lookup.find(session, call.path["id"], removed=True)
        said = {
            "budget": budget,
            "stands": next(iter(forecasts.stands(session, now, [budget.id])), None),
            "periods": standing.past(session, budget, _PERIODS),
            "alerts": listing.alerts(session, budget_id=budget.id, most=_ALERTS),
            "versions": store.history(session, budget)[: -_VERSIONS - 1 : -1],
            "counted": session.info.get("counted"),
        }
    return Page("budget.html", {**said, "may_change": "alerts" in call.scopes})
