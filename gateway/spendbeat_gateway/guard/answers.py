"""What a guard answers: a hold, or a refusal that says why."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal

# budget: a limit would be exceeded. throttle: above the soft limit, and this minute's requests are
# used up. rate: a rate limit. unpriced: the model's price is not known and a budget wants it to be.
# unreachable: Redis is away. cold: a budget's counter did not come in time.
Reason = Literal["budget", "throttle", "rate", "unpriced", "unreachable", "cold"]


# Holds come back from outside: "{counter}:{first day of the period}".
_COUNTER = re.compile(r"[0-9]{1,20}(\.[0-9]{1,20})*:[0-9]{4}-[0-9]{2}-[0-9]{2}")
_MOST_COUNTERS = 5_000


class AmountError(ValueError):
    """An amount that does not fit into 64 bits of nano-dollars, or is negative or no number."""


@dataclass(frozen=True)
class Hold:
    """Room that is kept for one call until it is settled, released or expires.

    nano: nano-dollars held. counters: of "{counter}:{first day of the period}", where it is held.
    expires_at: seconds since 1970. enforced: whether any budget or rate limit asked for it.
    local: given by this process alone, since Redis is away.
    """

    id: str
    nano: int
    counters: tuple[str, ...] = ()
    expires_at: float = 0.0
    enforced: bool = False
    local: bool = False

    @property
    def allowed(self) -> Literal[True]:
        return True

    def as_dict(self) -> dict[str, object]:
        """For JSON; from_dict() gives it back."""
        return {**asdict(self), "nano": str(self.nano), "counters": list(self.counters)}

    @staticmethod
    def from_dict(said: Mapping[str, object]) -> "Hold":
        """Raises ValueError for what is no hold."""
        name, counters = said.get("id"), said.get("counters", ())
        if not isinstance(name, str) or not name or not isinstance(counters, list | tuple):
            raise ValueError("this is no hold: it has no id, or its counters are no list")
        if len(counters) > _MOST_COUNTERS or not all(map(_COUNTER.fullmatch, map(str, counters))):
            raise ValueError("this is no hold: no guard has such counters")
        try:
            nano, expires_at = int(str(said["nano"])), float(str(said["expires_at"]))
        except (KeyError, ValueError):
            raise ValueError("this is no hold: nano or expires_at is no number") from None
        if not 0 <= nano < 1 << 63:
            raise ValueError("this is no hold: its amount does not fit into 64 bits")
        return Hold(
            id=name,
            nano=nano,
            counters=tuple(dict.fromkeys(map(str, counters))),
            expires_at=expires_at,
            enforced=said.get("enforced") is True,
            local=said.get("local") is True,
        )


@dataclass(frozen=True)
class Refusal:
    """Why a call may not be made now.

    budget: its name (or the rate limit's). left, limit: dollars, of the binding budget. ends: when
    its period does. retry_after: seconds after which it may pass; None where only a person helps.
    """

    reason: Reason
    message: str
    budget: str | None = None
    left: Decimal | None = None
    limit: Decimal | None = None
    ends: datetime | None = None
    retry_after: float | None = None

    @property
    def allowed(self) -> Literal[False]:
        return False


class RefusedError(Exception):
    """What Recorder.call() and track() raise instead of making a call. refusal: why."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal
