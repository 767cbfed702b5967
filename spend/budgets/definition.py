"""What a budget says: values, without a database."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import Decimal
from hashlib import blake2b
from typing import Any, Literal
from uuid import UUID

from models import ATTRIBUTION_FIELDS
from spend.amounts import plain
from spend.periods import Calendar

SCOPE_FIELDS = (*ATTRIBUTION_FIELDS, "tag", "provider", "model")
BASES = ("actual", "forecast")
SEVERITIES = ("info", "warning", "critical")
# What becomes of calls that a guard asks about before they are made.
ENFORCE = ("alert", "block", "throttle")
UNREACHABLE = ("open", "closed")
UNPRICED = ("allow", "ceiling", "block")


@dataclass(frozen=True)
class Threshold:
    """When to tell: percent of the limit, or an amount of dollars; one of the two is None.

    channels: names of channels; none is every one that is active. escalate_after: minutes in which
    somebody is to acknowledge; None is without. escalate_to: names of channels that hear of it
    then, beside the first ones.
    """

    percent: Decimal | None = None
    amount: Decimal | None = None
    basis: str = "actual"
    severity: str = "warning"
    channels: tuple[str, ...] = ()
    escalate_after: int | None = None
    escalate_to: tuple[str, ...] = ()

    @property
    def size(self) -> str:
        """80% or 500: what tells it from other thresholds of the same basis."""
        if self.percent is None and self.amount is not None:
            return plain(self.amount)
        return f"{plain(self.percent or Decimal(0))}%"

    def dollars(self, limit: Decimal | None) -> Decimal | None:
        """The line it draws under a limit; None for a percentage of nothing."""
        if self.percent is None:
            return self.amount
        return None if limit is None else limit * self.percent / 100

    def stored(self) -> dict[str, Any]:
        """As JSON, numbers as texts."""
        size = (
            {"amount": plain(self.amount)}
            if self.percent is None and self.amount is not None
            else {"percent": plain(self.percent or Decimal(0))}
        )
        return {
            "basis": self.basis,
            **size,
            "severity": self.severity,
            "channels": list(self.channels),
            **({"escalate_after": self.escalate_after} if self.escalate_after else {}),
            **({"escalate_to": list(self.escalate_to)} if self.escalate_to else {}),
        }


# What a budget has when nobody says: nobody wants one that never speaks.
DEFAULT_THRESHOLDS = (
    Threshold(percent=Decimal(80)),
    Threshold(percent=Decimal(100), severity="critical"),
)


@dataclass(frozen=True)
class Definition:
    """All that an edit can change. Limits are dollars a period.

    scope: of SCOPE_FIELDS, all of which must be equal; empty is everything. raise_by: dollars on
    top of both limits until raise_until. enforce: what guards do about calls. throttle_per_minute:
    requests that may pass above the soft limit. unreachable: whether calls pass while a guard
    cannot ask, each process for `allowance` dollars (None: 1 % of the limit). unpriced: what to do
    about models without a known price; ceiling: the price assumed, dollars per million tokens.
    """

    name: str
    scope: Mapping[str, str] = field(default_factory=dict)
    period: str = "month"
    zone: str = "UTC"
    week_start: int = 1
    starts_on: date | None = None
    ends_on: date | None = None
    soft_limit: Decimal | None = None
    hard_limit: Decimal | None = None
    thresholds: tuple[Threshold, ...] = DEFAULT_THRESHOLDS
    raise_by: Decimal | None = None
    raise_until: datetime | None = None
    note: str = ""
    enforce: str = "alert"
    throttle_per_minute: int | None = None
    unreachable: str = "open"
    allowance: Decimal | None = None
    unpriced: str = "allow"
    ceiling: Decimal | None = None

    @property
    def calendar(self) -> Calendar:
        return Calendar(self.period, self.zone, self.week_start, self.starts_on, self.ends_on)

    @property
    def keys(self) -> list[str]:
        """The scope as rollups match it."""
        return sorted(f"{name}={value}" for name, value in self.scope.items())

    @property
    def digest(self) -> UUID:
        """Of all that decides what is spent in which period."""
        calendar = self.calendar
        if calendar.period != "week":
            calendar = replace(calendar, week_start=1)
        line = "\0".join((*self.keys, "", repr(calendar)))
        hashed = blake2b(line.encode(), digest_size=16, person=b"spendbeat-budget")
        return UUID(bytes=hashed.digest())

    @property
    def limits(self) -> tuple[object, ...]:
        """What arms a budget anew when it changes, beside the digest."""
        return self.soft_limit, self.hard_limit, self.raise_by, self.raise_until

    def soft(self, now: datetime) -> Decimal | None:
        """The soft limit as it is now."""
        return self._raised(self.soft_limit, now)

    def hard(self, now: datetime) -> Decimal | None:
        """The hard limit as it is now."""
        return self._raised(self.hard_limit, now)

    def limit(self, now: datetime) -> Decimal | None:
        """What percentages are of: the hard limit, or the soft one where there is no hard one."""
        hard = self.hard(now)
        return self.soft(now) if hard is None else hard

    def _raised(self, limit: Decimal | None, now: datetime) -> Decimal | None:
        if limit is None or self.raise_by is None or self.raise_until is None:
            return limit
        return limit + self.raise_by if now < self.raise_until else limit


@dataclass(frozen=True)
class Budget:
    """A budget, or with `history` one of its versions. changed_*: of this version.

    arming, armed_at: the version since which its crossings count, and when it was made.
    """

    id: int
    state: Literal["active", "paused", "removed"]
    version: int
    definition: Definition
    created_at: datetime
    created_by: str
    arming: int
    armed_at: datetime
    changed_at: datetime
    changed_by: str
    change: str

    @property
    def name(self) -> str:
        return self.definition.name
