import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

from spend.attributions import NOBODY, Mix
from spend.pricing import Usage, dollars

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Request(NamedTuple):
    """One LLM request as it will be booked, whatever way it came.

    A named tuple: as frozen as a dataclass, and made a million times a few seconds.
    """

    id: str | None
    started_us: int  # microseconds since 1970 UTC
    provider: str
    model: str
    usage: Usage
    cost_pico: int | None  # the cost that its sender says is final, in pico-dollars
    status: str
    trace_id: str | None = None
    session_id: str | None = None
    end_user: str | None = None
    mix: Mix = NOBODY
    other_ids: tuple[str, ...] = ()  # by which other routes know the same request
    service_tier: str | None = None  # None is standard
    gateway_pico: int | None = None  # what a gateway computed
    provider_pico: int | None = None  # what the provider itself reported

    @property
    def started_at(self) -> datetime:
        return EPOCH + timedelta(microseconds=self.started_us)

    @property
    def cost_usd(self) -> Decimal | None:
        return _dollars(self.cost_pico)

    def as_json(self) -> str:
        """The request in the field names that an import takes."""
        fields: dict[str, object] = {
            "id": self.id,
            "started_at": self.started_at.isoformat(),
            "provider": self.provider,
            "model": self.model,
            **self.usage._asdict(),
            "cost_usd": _text(self.cost_pico),
            "status": self.status,
            "trace_id": self.trace_id,
            "session_id": self.session_id,
            "end_user": self.end_user,
            "other_ids": self.other_ids,
            "service_tier": self.service_tier,
            "gateway_cost_usd": _text(self.gateway_pico),
            "provider_cost_usd": _text(self.provider_pico),
            **self.mix._asdict(),
        }
        return json.dumps({name: value for name, value in fields.items() if value})


def _dollars(pico: int | None) -> Decimal | None:
    return None if pico is None else dollars(pico)


def _text(pico: int | None) -> str | None:
    return None if pico is None else f"{dollars(pico):f}"


class Rejected(Exception):  # noqa: N818 - a verdict on one row, which the rest outlives
    """A row that cannot be booked; the message says why."""
