"""Prices of one's own: table `price_overrides`."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from sqlalchemy import select
from sqlalchemy.orm import Session

from models import PriceOverride
from spend.errors import BadInputError
from spend.pricing.rates import Price, Rates, Tier

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_LIMIT = Decimal(10) ** 8


@dataclass(frozen=True, slots=True)
class Override:
    """One price of one's own: dollars per million tokens between two moments."""

    id: int
    provider: str
    model: str
    valid_from: datetime
    valid_to: datetime | None
    rates: Rates
    note: str = ""

    @property
    def start(self) -> int:
        """Microseconds since 1970."""
        return (self.valid_from - _EPOCH) // _MICROSECOND

    @property
    def end(self) -> int | None:
        """Microseconds since 1970, None for no end."""
        return None if self.valid_to is None else (self.valid_to - _EPOCH) // _MICROSECOND

    def names(self, provider: str, model: str) -> bool:
        """True for the model that it prices; letters' case does not matter."""
        return (self.provider.lower(), self.model.lower()) == (provider.lower(), model.lower())

    def price(self) -> Price:
        """The price for any usage."""
        return Price([Tier(0, self.rates)])


def load(session: Session) -> list[Override]:
    """Every override, oldest first."""
    rows = session.scalars(select(PriceOverride).order_by(PriceOverride.id))
    return [_override(row) for row in rows]


def add(
    session: Session,
    *,
    provider: str,
    model: str,
    rates: Rates,
    valid_from: datetime,
    valid_to: datetime | None = None,
    note: str = "",
) -> Override:
    """Record a price; it holds for what is imported from now on, and for no row booked before."""
    if rates.input is None or rates.output is None:
        raise BadInputError("A price needs a rate for input and one for output tokens.")
    if not provider or not model:
        raise BadInputError("A price needs a provider and a model.")
    if valid_to is not None and valid_to <= valid_from:
        raise BadInputError("The price must end after it begins.")
    row = PriceOverride(
        provider=provider,
        model=model,
        valid_from=valid_from,
        valid_to=valid_to,
        note=note,
        input_per_million=_checked(rates.input),
        output_per_million=_checked(rates.output),
        cache_read_per_million=_optional(rates.cache_read),
        cache_write_per_million=_optional(rates.cache_write),
        cache_write_1h_per_million=_optional(rates.cache_write_1h),
    )
    session.add(row)
    session.flush()
    return _override(row)


def _optional(rate: Decimal | None) -> Decimal | None:
    return None if rate is None else _checked(rate)


def _checked(rate: Decimal) -> Decimal:
    if not rate.is_finite() or rate < 0 or rate >= _LIMIT:
        raise BadInputError(f"A rate of {rate} dollars per million tokens is out of range.")
    if rate != round(rate, 12):
        raise BadInputError(f"The rate {rate} has more than twelve decimal places.")
    return rate


def _override(row: PriceOverride) -> Override:
    rates = Rates(
        input=_short(row.input_per_million),
        output=_short(row.output_per_million),
        cache_read=_short(row.cache_read_per_million),
        cache_write=_short(row.cache_write_per_million),
        cache_write_1h=_short(row.cache_write_1h_per_million),
    )
    return Override(row.id, row.provider, row.model, row.valid_from, row.valid_to, rates, row.note)


def _short(rate: Decimal | None) -> Decimal | None:
    """Without the zeros that the column's twelve places add."""
    return None if rate is None else rate.normalize()
