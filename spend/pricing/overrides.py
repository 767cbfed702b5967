"""Prices of one's own and of imported lists: tables `price_overrides` and `price_ends`."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from models import PriceEnd, PriceOverride
from spend.errors import BadInputError
from spend.pricing import tiers
from spend.pricing.rates import Price, Tier

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class End(NamedTuple):
    """What was learned at `known_at`: the price ends at `ends_at`, or has no end."""

    known_at: datetime
    ends_at: datetime | None


@dataclass(frozen=True, slots=True)
class Override:
    """One price between two moments: of one's own, or of an imported list where `list` names one.

    known_at: when it was recorded, None for always. ends: what was learned later, oldest first.
    """

    id: int
    provider: str
    model: str
    valid_from: datetime
    valid_to: datetime | None
    tiers: tuple[Tier, ...]
    note: str = ""
    list: str = ""
    known_at: datetime | None = None
    ends: tuple[End, ...] = ()

    @property
    def until(self) -> datetime | None:
        """When it ends as far as is known; None for no end."""
        return self.ends[-1].ends_at if self.ends else self.valid_to

    @property
    def start(self) -> int:
        """Microseconds since 1970."""
        return (self.valid_from - _EPOCH) // _MICROSECOND

    @property
    def end(self) -> int | None:
        """Microseconds since 1970, None for no end."""
        return None if self.until is None else (self.until - _EPOCH) // _MICROSECOND

    @property
    def withdrawn(self) -> bool:
        """True where it ends before it begins."""
        return self.until is not None and self.until <= self.valid_from

    def names(self, provider: str, model: str) -> bool:
        """True for the model that it prices; letters' case does not matter."""
        return (self.provider.lower(), self.model.lower()) == (provider.lower(), model.lower())

    def as_known(self, moment: datetime) -> "Override | None":
        """What was known of it at a moment."""
        if self.known_at is not None and self.known_at > moment:
            return None
        return replace(self, ends=tuple(end for end in self.ends if end.known_at <= moment))

    def price(self) -> Price:
        """The price for any usage."""
        return Price(self.tiers)


class Wanted(NamedTuple):
    """A price to be recorded."""

    provider: str
    model: str
    valid_from: datetime
    valid_to: datetime | None
    tiers: tuple[Tier, ...]


def load(session: Session, *, known_at: datetime | None = None) -> list[Override]:
    """Every price, oldest first; with known_at as it was known then."""
    ends = defaultdict(list)
    columns = (PriceEnd.price_id, PriceEnd.known_at, PriceEnd.ends_at)
    for price_id, known, ends_at in session.execute(select(*columns).order_by(PriceEnd.id)):
        ends[price_id].append(End(known, ends_at))
    # Columns, not objects: an imported list has thousands of rows.
    rows = session.execute(
        select(
            PriceOverride.id,
            PriceOverride.provider,
            PriceOverride.model,
            PriceOverride.valid_from,
            PriceOverride.valid_to,
            PriceOverride.tiers,
            PriceOverride.note,
            PriceOverride.list,
            PriceOverride.known_at,
        ).order_by(PriceOverride.id)
    )
    found = [
        Override(*row[:5], tiers.from_json(row.tiers), *row[6:], tuple(ends.get(row.id, ())))
        for row in rows
    ]
    return found if known_at is None else as_known(found, known_at)


def as_known(prices: Iterable[Override], moment: datetime) -> list[Override]:
    """The prices that were known at a moment."""
    return [known for price in prices if (known := price.as_known(moment)) is not None]


def revision(session: Session) -> tuple[int, int]:
    """Changes whenever a price or the end of one is recorded; costs two index look-ups."""
    newest = select(
        select(func.coalesce(func.max(PriceOverride.id), 0)).scalar_subquery(),
        select(func.coalesce(func.max(PriceEnd.id), 0)).scalar_subquery(),
    )
    price, end = session.execute(newest).one()
    return price, end


def add(
    session: Session,
    *,
    provider: str,
    model: str,
    tiers: Sequence[Tier],
    valid_from: datetime,
    valid_to: datetime | None = None,
    note: str = "",
) -> Override:
    """Record a price of one's own; it holds for what is booked from now on."""
    wanted = Wanted(provider, model, valid_from, valid_to, tuple(tiers))
    standard = next((tier for tier in tiers if not tier.above and not tier.service), None)
    if standard is None or standard.rates.input is None or standard.rates.output is None:
        raise BadInputError("A price needs a rate for input and one for output tokens.")
    (made,) = add_all(session, [wanted], note=note)
    return made


def add_all(
    session: Session, wanted: Sequence[Wanted], *, list_: str = "", note: str = ""
) -> list[Override]:
    """Record many prices, of one list."""
    rows = [_row(one, list_, note) for one in wanted]
    session.add_all(rows)
    session.flush()
    return [
        Override(row.id, *one, note, list_, row.known_at)
        for row, one in zip(rows, wanted, strict=True)
    ]


def _row(wanted: Wanted, list_: str, note: str) -> PriceOverride:
    if not wanted.provider or not wanted.model:
        raise BadInputError("A price needs a provider and a model.")
    if wanted.valid_to is not None and wanted.valid_to <= wanted.valid_from:
        raise BadInputError("The price must end after it begins.")
    return PriceOverride(
        provider=wanted.provider,
        model=wanted.model,
        valid_from=wanted.valid_from,
        valid_to=wanted.valid_to,
        tiers=tiers.to_json(tiers.checked(wanted.tiers)),
        note=note,
        list=list_,
    )


def find(session: Session, price_id: int) -> Override:
    """One price. Raises BadInputError where there is none of that number."""
    found = next((price for price in load(session) if price.id == price_id), None)
    if found is None:
        raise BadInputError(f"There is no price {price_id}; 'spendbeat prices list' shows them.")
    return found


def end(session: Session, price_id: int, ends_at: datetime | None, note: str = "") -> Override:
    """Record that a price ends at a moment (None: that it has no end), and return it so.

    An end at or before its beginning withdraws it. Nothing is changed: the newest word holds.
    """
    found = find(session, price_id)
    row = PriceEnd(price_id=price_id, ends_at=ends_at, note=note)
    session.add(row)
    session.flush()
    return replace(found, ends=(*found.ends, End(row.known_at, ends_at)))
