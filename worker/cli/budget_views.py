"""How budgets are shown to people; spend/budgets/saying.py has them as JSON."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import click

from spend.amounts import dollars
from spend.budgets import guarding, reading
from spend.budgets.definition import Budget, Definition
from spend.budgets.files import Plan, difference
from spend.budgets.standing import BudgetStatus, PeriodSpend
from spend.budgets.store import Change
from spend.periods import Span
from worker.cli.output import print_table, total

_BAR = 20
_CENT = Decimal("0.01")


def show_list(budgets: Sequence[Budget]) -> None:
    now = datetime.now(UTC)
    print_table(
        ["id", "name", "scope", "period", "soft", "hard", "thresholds", "state"],
        [
            (
                budget.id,
                budget.name,
                _scope(budget.definition),
                _period(budget.definition),
                _amount(budget.definition.soft(now)),
                _amount(budget.definition.hard(now)),
                " ".join(_short(text) for text in _thresholds(budget.definition)),
                budget.state,
            )
            for budget in budgets
        ],
        numbers=["id", "soft", "hard"],
    )


def show_one(budget: Budget, past: Sequence[PeriodSpend], now: datetime) -> None:
    definition = budget.definition
    lines = {
        "state": budget.state,
        "scope": _scope(definition),
        "period": _period(definition),
        "soft limit": _amount(definition.soft_limit) or "none",
        "hard limit": _amount(definition.hard_limit) or "none",
        "raised": _raised(definition, now),
        "thresholds": "\n            ".join(_thresholds(definition)) or "none",
        "guards": _guards(definition),
        "note": definition.note,
        "made": f"{budget.created_at:%Y-%m-%d %H:%M} UTC by {budget.created_by or 'nobody named'}",
        "changed": f"{budget.changed_at:%Y-%m-%d %H:%M} UTC by"
        f" {budget.changed_by or 'nobody named'} (version {budget.version})",
    }
    click.echo(f"Budget {budget.name} (number {budget.id})")
    for name, value in lines.items():
        if value:
            click.echo(f"{name:<11} {value}")
    if past:
        click.echo()
        print_table(
            ["period", "requests", "spent"],
            [(_days(p.span), f"{p.requests:,}", total(p.spend, p.unpriced)) for p in past],
            numbers=["requests", "spent"],
        )


def show_history(versions: Sequence[Budget]) -> None:
    """Each change with the fields that it changed."""
    before: Budget | None = None
    for version in versions:
        click.echo(
            f"{version.version:>3}  {version.changed_at:%Y-%m-%d %H:%M:%S} UTC  {version.change}"
            f" by {version.changed_by or 'nobody named'}"
        )
        change = Change("edited", before, version.definition)
        for name, (was, becomes) in _fields(change).items():
            click.echo(f"       {name}: {_said(was)} -> {_said(becomes)}")
        before = version


def show_status(found: Sequence[BudgetStatus]) -> None:
    print_table(
        ["budget", "period", "spent", "limit", "left", "", "used", "forecast", "days left"],
        [
            (
                status.budget.name + (" (paused)" if status.budget.state == "paused" else ""),
                _days(status.span),
                _spent(status),
                _cents(status.limit),
                _cents(status.left),
                bar(status.percent),
                "" if status.percent is None else f"{status.percent}%",
                _forecast(status),
                "" if status.days_left is None else status.days_left,
            )
            for status in found
        ],
        numbers=["spent", "limit", "left", "used", "days left"],
    )


def show_plan(plan: Plan, *, applied: bool) -> None:
    signs = {"added": "+", "removed": "-"}
    for change in plan.changes:
        click.echo(f"{signs.get(change.kind, '~')} {change.definition.name}: {change.kind}")
        if change.kind == "edited":
            for name, (was, becomes) in _fields(change).items():
                click.echo(f"    {name}: {_said(was)} -> {_said(becomes)}")
    said = "changed" if applied else "to change"
    click.echo(f"{len(plan.changes):,} {said}, {len(plan.same):,} as they should be.")
    if plan.left:
        click.echo(f"Not in the file, and left as they are: {', '.join(plan.left[:20])}")


def bar(percent: Decimal | None) -> str:
    """How much of a limit is used, as a picture."""
    if percent is None:
        return ""
    full = min(_BAR, max(0, int(percent * _BAR / 100)))
    return "█" * full + "░" * (_BAR - full)


def _fields(change: Change) -> dict[str, tuple[Any, Any]]:
    return difference(change) if change.kind in ("added", "edited") else {}


def _said(value: object) -> str:
    if isinstance(value, dict):
        return " ".join(f"{name}={one}" for name, one in value.items()) or "everything"
    if isinstance(value, list):
        return " ".join(value) or "none"
    return "none" if value in (None, "") else str(value)


def _days(span: Span) -> str:
    if span.end is None:
        return "all time"
    last = span.end - timedelta(days=1)
    return str(span.first) if last == span.first else f"{span.first} to {last}"


def _scope(definition: Definition) -> str:
    return _said(dict(definition.scope))


def _period(definition: Definition) -> str:
    said = reading.written(definition)
    start = f" from {said['week_start']}" if definition.period == "week" else ""
    dates = f" {said['from']} to {said['to']}" if "from" in said else ""
    return f"{definition.period}{start}{dates} ({definition.zone})"


def _thresholds(definition: Definition) -> list[str]:
    return [reading.described(threshold) for threshold in definition.thresholds]


def _short(threshold: str) -> str:
    """Without what most thresholds are."""
    return threshold.replace(",actual", "").replace(",warning", "")


def _raised(definition: Definition, now: datetime) -> str:
    if definition.raise_by is None or definition.raise_until is None:
        return ""
    over = " (over)" if now >= definition.raise_until else ""
    return f"by ${dollars(definition.raise_by)} until {definition.raise_until.isoformat()}{over}"


def _guards(definition: Definition) -> str:
    said = guarding.written(definition)
    kind = said.pop("enforce")
    if kind == "alert" and not said:
        return ""
    return " ".join((kind, *(f"{name}={value}" for name, value in said.items())))


def _amount(value: Decimal | None) -> str:
    return "" if value is None else f"${dollars(value)}"


def _cents(value: Decimal | None) -> str:
    if value is None:
        return ""
    rounded = value.quantize(_CENT)
    return f"-${-rounded:,}" if rounded < 0 else f"${rounded:,}"


def _spent(status: BudgetStatus) -> str:
    said = _cents(status.spend)
    return f"at least {said}, {status.unpriced:,} unpriced" if status.unpriced else said


def _forecast(status: BudgetStatus) -> str:
    if status.forecast is None or status.phase == "after":
        return status.silent or ""
    one = status.forecast
    return f"{_cents(one.expected)} ({_cents(one.low)} to {_cents(one.high)})"
