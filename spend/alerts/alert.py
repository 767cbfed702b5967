"""An alert, as values without a database."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Literal

from spend.periods import Span

State = Literal["open", "acknowledged", "snoozed", "escalated", "resolved"]
# What ended an alert: its period, an edit of its budget, the budget's removal, spend or forecast
# that fell below the line, a person.
Resolution = Literal["period_over", "edited", "removed", "below", "by_hand"]

# The most of spend in a period, per dimension: value (None: requests without one) and dollars.
Contributors = Mapping[str, Sequence[tuple[str | None, Decimal]]]
DIMENSIONS = ("project", "agent", "model")
_LONGEST = 80


@dataclass(frozen=True)
class Alert:
    """A crossing, and what became of it.

    budget: its name now. threshold: 80%, 500, or soft for the soft limit. line: dollars that were
    reached. spend, unpriced, limit, forecast (expected, low, high), contributors: when it was
    raised. together: all thresholds crossed at once. state_by: empty is Spendbeat itself.
    escalate_after: minutes. due_at: when it escalates, or when its snooze ends.
    """

    id: int
    budget_id: int
    budget: str
    zone: str
    period: Span
    basis: str
    threshold: str
    line: Decimal
    severity: str
    spend: Decimal
    unpriced: int
    limit: Decimal | None
    forecast: tuple[Decimal, Decimal, Decimal] | None
    contributors: Contributors = field(repr=False)
    together: tuple[str, ...]
    raised_at: datetime
    state: State
    state_at: datetime
    state_by: str
    state_note: str
    resolution: Resolution | None
    arming: int
    escalate_after: int | None
    escalate_to: tuple[str, ...]
    due_at: datetime | None

    @property
    def snoozed_until(self) -> datetime | None:
        return self.due_at if self.state == "snoozed" else None

    @property
    def percent(self) -> Decimal | None:
        """Of the limit: what was spent, or for a forecast what is expected; to a tenth."""
        if self.limit is None:
            return None
        value = self.forecast[0] if self.forecast else self.spend
        return (value * 100 / self.limit).quantize(Decimal("0.1"))


@dataclass(frozen=True)
class Change:
    """One row of an alert's history. by: empty is Spendbeat itself. until: of a snooze."""

    at: datetime
    change: str
    by: str
    note: str
    until: datetime | None


def shown(value: str | None) -> str:
    """A contributor in one line of a message: whoever sends requests chooses what is in it."""
    if value is None:
        return "(none)"
    line = " ".join("".join(c if c.isprintable() else " " for c in value).split())
    return line if len(line) <= _LONGEST else line[: _LONGEST - 3] + "..."
