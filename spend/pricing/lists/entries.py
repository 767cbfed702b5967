"""What a price list says, whatever its format."""

from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import NamedTuple

from spend.pricing.rates import Tier


class Entry(NamedTuple):
    """The price of one model. valid_from None: from the time that the import names."""

    provider: str
    model: str
    tiers: tuple[Tier, ...]
    valid_from: datetime | None = None
    valid_to: datetime | None = None


class Skipped(NamedTuple):
    """What a list has and cannot be imported: its name there, and why."""

    name: str
    reason: str


class BadRateError(ValueError):
    """A rate that is no amount of money."""


def amount(value: object) -> Decimal:
    """A rate as decimal; a float through its shortest text. Raises BadRateError."""
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        raise BadRateError(f"{value!r} is not a number")
    try:
        found = Decimal(str(value).strip())
    except InvalidOperation:
        raise BadRateError(f"{value!r} is not a number") from None
    if not found.is_finite() or found < 0:
        raise BadRateError(f"{value} is not an amount of money")
    return found
