"""Budgets as JSON has them: on the command line and over HTTP; amounts are texts."""

from datetime import timedelta
from typing import Any

from spend.amounts import plain
from spend.budgets import reading
from spend.budgets.definition import Budget
from spend.budgets.files import Plan, difference
from spend.budgets.standing import BudgetStatus, PeriodSpend
from spend.periods import Span


def budget(one: Budget) -> dict[str, Any]:
    """A budget, or a version of it."""
    return {
        "id": one.id,
        "state": one.state,
        "version": one.version,
        **reading.written(one.definition),
        "created_at": one.created_at.isoformat(),
        "created_by": one.created_by,
        "changed_at": one.changed_at.isoformat(),
        "changed_by": one.changed_by,
        "change": one.change,
    }


def period(one: PeriodSpend) -> dict[str, Any]:
    """What was spent in one period."""
    return {
        **span(one.span),
        "requests": one.requests,
        "unpriced": one.unpriced,
        "spend": plain(one.spend),
    }


def status(one: BudgetStatus) -> dict[str, Any]:
    """How a budget stands."""
    expected = one.forecast
    return {
        "id": one.budget.id,
        "name": one.budget.name,
        "state": one.budget.state,
        **span(one.span),
        "phase": one.phase,
        "requests": one.requests,
        "unpriced": one.unpriced,
        "spend": plain(one.spend),
        **{
            name: None if value is None else plain(value)
            for name in ("soft", "hard", "limit", "left", "percent")
            for value in [getattr(one, name)]
        },
        "days_left": one.days_left,
        "forecast": None
        if expected is None
        else {name: plain(getattr(expected, name)) for name in ("expected", "low", "high")},
        "no_forecast_because": one.silent,
    }


def plan(one: Plan, *, applied: bool) -> dict[str, Any]:
    """What a file changes, or changed."""
    return {
        "applied": applied,
        "changes": [
            {
                "change": change.kind,
                "name": change.definition.name,
                "fields": {
                    name: {"before": before, "after": after}
                    for name, (before, after) in difference(change).items()
                }
                if change.kind in ("added", "edited")
                else {},
            }
            for change in one.changes
        ],
        "same": list(one.same),
        "left": list(one.left),
    }


def span(one: Span) -> dict[str, Any]:
    """The days of a period, and the instants at which it begins and ends."""
    return {
        "first_day": None if one.end is None else one.first.isoformat(),
        "last_day": None if one.end is None else (one.end - timedelta(days=1)).isoformat(),
        "starts": None if one.starts is None else one.starts.isoformat(),
        "ends": None if one.ends is None else one.ends.isoformat(),
    }
