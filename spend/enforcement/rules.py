"""What guards are told: which budgets they enforce, rate limits, and how to fill attributions."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any

from sqlalchemy.orm import Session

from spend.attribution import rules as attribution
from spend.attribution.rules import Rule
from spend.budgets.definition import Budget
from spend.budgets.store import load
from spend.enforcement import rates
from spend.enforcement.readings import Wanted
from spend.periods import Span, bounds, span
from spend.sql import query

NANO = 10**9
# What 64 bits of nano-dollars hold with room to spare: a limit above it is as good as this.
MOST = Decimal(4 * 10**9)
# The counter of the next period is there before the period.
_AHEAD = timedelta(hours=1)


@dataclass(frozen=True)
class Counter:
    """A period of an enforced budget, as Redis counts it. limit, soft: dollars, raise included."""

    name: str
    budget: str
    wanted: Wanted
    span: Span
    limit: Decimal | None
    soft: Decimal | None


@dataclass(frozen=True)
class Rules:
    """content: what is published. counters: by name and first day, of this period and the next.

    due: those of them that should be in Redis now.
    """

    content: Mapping[str, Any]
    counters: Mapping[tuple[str, str], Counter]
    due: frozenset[tuple[str, str]]


def rules(session: Session, now: datetime) -> Rules:
    """All that guards have to know at this moment, but what is spent."""
    since = {row.id: int(row.since) for row in session.execute(query("enforcement", "enforced"))}
    budgets = load(session, list(since)) if since else []
    said = []
    counters: dict[tuple[str, str], Counter] = {}
    due = set()
    for budget in sorted(budgets, key=lambda one: one.id):
        name = f"{budget.id}.{since[budget.id]}"
        spans = _spans(budget, now)
        if not spans:
            continue
        said.append(_budget(budget, name, spans, now))
        for one in spans:
            key = (name, one.first.isoformat())
            counters[key] = _counter(budget, name, one, now)
            if one.starts is None or one.starts - _AHEAD <= now:
                due.add(key)
    content = {
        "budgets": said,
        "rates": [_rate(one) for one in rates.listed(session) if one.state == "active"],
        "attribution": [
            _rule(rule)
            for rule in attribution.listed(session)
            if rule.valid_to is None or rule.valid_to > now
        ],
    }
    return Rules(content, counters, frozenset(due))


def _spans(budget: Budget, now: datetime) -> list[Span]:
    """This period and the next; a range has one, and none when it is over."""
    calendar = budget.definition.calendar
    if calendar.period == "range":
        assert calendar.starts_on is not None  # noqa: S101 - what makes it a range
        one = span(calendar, calendar.starts_on)
        return [one] if one.ends is None or now < one.ends else []
    current = bounds(calendar, now)
    assert current is not None  # noqa: S101 - only a range has moments outside
    return [current] if current.end is None else [current, span(calendar, current.end)]


def _counter(budget: Budget, name: str, one: Span, now: datetime) -> Counter:
    definition = budget.definition
    # A raise counts for the moments before its end, so for a period to come at its start.
    moment = max(now, one.starts) if one.starts else now
    return Counter(
        name,
        budget.name,
        Wanted(budget.id, budget.version, one.first),
        one,
        _at_most(definition.hard(moment)),
        _at_most(definition.soft(moment)),
    )


def _budget(budget: Budget, counter: str, spans: list[Span], now: datetime) -> dict[str, Any]:
    definition = budget.definition
    allowance = definition.allowance
    if allowance is None:
        allowance = (definition.limit(now) or Decimal(0)) / 100
    ceiling = definition.ceiling if definition.unpriced == "ceiling" else None
    return {
        "id": budget.id,
        "name": budget.name,
        "counter": counter,
        "keys": definition.keys,
        "enforce": definition.enforce,
        "per_minute": definition.throttle_per_minute if definition.enforce == "throttle" else None,
        "unreachable": definition.unreachable,
        "allowance": str(_whole(min(allowance, MOST) * NANO, ROUND_FLOOR)),
        "unpriced": definition.unpriced,
        # Per token, so a million times less.
        "ceiling": None
        if ceiling is None
        else str(_whole(ceiling * NANO / 1_000_000, ROUND_CEILING)),
        "periods": [
            {
                "first": one.first.isoformat(),
                "starts": None if one.starts is None else one.starts.timestamp(),
                "ends": None if one.ends is None else one.ends.timestamp(),
            }
            for one in spans
        ],
    }


def _rate(limit: rates.RateLimit) -> dict[str, Any]:
    return {
        "id": limit.id,
        "name": limit.name,
        "keys": sorted(f"{field}={value}" for field, value in limit.scope.items()),
        "per_minute": limit.per_minute,
    }


def _rule(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.id,
        "match_field": rule.match_field,
        "match_value": rule.match_value,
        "set_field": rule.set_field,
        "set_value": rule.set_value,
        "priority": rule.priority,
        "from": None if rule.valid_from is None else rule.valid_from.timestamp(),
        "to": None if rule.valid_to is None else rule.valid_to.timestamp(),
    }


def _at_most(limit: Decimal | None) -> Decimal | None:
    return None if limit is None else min(limit, MOST)


def _whole(amount: Decimal, rounding: str) -> int:
    return int(amount.to_integral_value(rounding=rounding))
