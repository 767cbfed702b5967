"""Where several costs of one request are known and disagree: table `price_disagreements`.

The booked cost stays what it is. What differs from it by more than rounding and small change is
added up per batch, in the transaction that books the batch, and later folded to one row a day.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from sqlalchemy import Connection, insert
from sqlalchemy.orm import Session

from models import PriceDisagreement
from spend.pricing.booking import Booked
from spend.pricing.money import dollars
from spend.sql import query

# Both must be exceeded. A hundredth of the larger cost: rates that are rounded, and counts that
# are taken a little differently, stay below. A millionth of a dollar: so do costs of nothing much.
RELATIVE = 100
ABSOLUTE = 10**6  # pico-dollars

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Seen(NamedTuple):
    """A request that was booked although more than one cost of it is known.

    row_id: in the ledger. started_us: microseconds since 1970.
    """

    row_id: int
    provider: str
    model: str
    started_us: int
    booked: Booked


@dataclass(slots=True)
class _Sum:
    requests: int = 0
    booked: int = 0
    other: int = 0
    difference: int = 0
    example: int = 0


@dataclass(frozen=True)
class Disagreement:
    """Requests of one day and model whose booked cost and another differ, and by how much."""

    day: date
    provider: str
    model: str
    booked_source: str
    other_source: str
    requests: int
    booked_usd: Decimal
    other_usd: Decimal
    difference_usd: Decimal
    example_row_id: int
    found_at: datetime


def differ(one: int, other: int) -> bool:
    """Whether two costs of one request, pico-dollars, are further apart than the tolerance."""
    apart = abs(one - other)
    return apart >= ABSOLUTE and apart * RELATIVE > max(abs(one), abs(other))


def others(booked: Booked) -> list[tuple[str, int]]:
    """The known costs that disagree with the booked one, by whose they are."""
    if booked.pico is None:
        return []
    said = {
        "computed": booked.computed,
        "gateway": booked.gateway,
        "provider": booked.provider,
    }
    return [
        (source, pico)
        for source, pico in said.items()
        if pico is not None and differ(booked.pico, pico)
    ]


def record(connection: Connection, seen: Iterable[Seen | tuple[int, str, str, int, Booked]]) -> int:
    """Add up what disagrees among requests that this transaction books; returns how many rows.

    seen: only rows that are new in the ledger, in the order of Seen.
    """
    sums: dict[tuple[date, str, str, str, str], _Sum] = {}
    for row_id, provider, model, started_us, booked in seen:
        for source, pico in others(booked):
            day = (_EPOCH + timedelta(microseconds=started_us)).date()
            key = day, provider, model, booked.origin.source, source
            found = sums.setdefault(key, _Sum(example=row_id))
            found.requests += 1
            found.booked += booked.pico or 0
            found.other += pico
            found.difference += abs((booked.pico or 0) - pico)
    if sums:
        connection.execute(insert(PriceDisagreement), [_row(k, v) for k, v in sums.items()])
    return len(sums)


def _row(key: tuple[date, str, str, str, str], total: _Sum) -> dict[str, Any]:
    day, provider, model, booked_source, other_source = key
    return {
        "day": day,
        "provider": provider,
        "model": model,
        "booked_source": booked_source,
        "other_source": other_source,
        "requests": total.requests,
        "booked_usd": dollars(total.booked),
        "other_usd": dollars(total.other),
        "difference_usd": dollars(total.difference),
        "example_row_id": total.example,
    }


def fold(session: Session) -> int:
    """Make one row of all that say the same of a day; returns how many rows went."""
    return int(session.scalars(query("disagreements", "fold")).one())


def found(
    session: Session, *, model: str | None = None, since: date | None = None
) -> list[Disagreement]:
    """What disagrees, largest differences first; since: a day of the requests."""
    binds = {"model": model, "since": since}
    rows = session.execute(query("disagreements", "found"), binds).mappings()
    return [Disagreement(**row) for row in rows]
