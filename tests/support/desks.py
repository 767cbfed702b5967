"""Events booked the way that all live routes book them."""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from spend.capture.desk import Booked, Desk
from spend.pricing import Rates, overrides
from spend.pricing.rates import Tier
from worker.database import engine, transaction

EVENT = {
    "id": "call-1",
    "started_at": "2026-11-20T10:00:00Z",
    "provider": "openai",
    "model": "gpt-4o",
    "input_tokens": 1000,
    "output_tokens": 100,
}


def event(**fields: Any) -> dict[str, Any]:
    """A request of 1,000 and 100 tokens of gpt-4o ($0.0035), with some fields changed."""
    return {**EVENT, **fields}


def book(*events: Mapping[str, Any], strict: bool = True, route: str = "test") -> Booked:
    return Desk(engine()).book(events, route=route, strict=strict)


def price(model: str, dollars: int, provider: str = "openai") -> None:
    """A price of one's own from 2026 on: so many dollars per million tokens of either kind."""
    rates = Rates(input=Decimal(dollars), output=Decimal(dollars))
    with transaction() as session:
        overrides.add(
            session,
            provider=provider,
            model=model,
            tiers=[Tier(0, rates)],
            valid_from=datetime(2026, 1, 1, tzinfo=UTC),
        )
