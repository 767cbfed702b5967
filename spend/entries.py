"""Requests in the ledger as they stand: a row and its adjustments, found by id and time."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from sqlalchemy.orm import Session

from spend.pricing.usage import Usage
from spend.sql import query

# Ids further apart than this are looked up apart: a block range holds some 1,500 rows.
_GAP = 2_000


class Wanted(NamedTuple):
    """What a booked request should come to, all its adjustments included.

    cost_usd: None is unpriced. usage: None leaves the tokens. price_version_id: where it is from.
    """

    row_id: int
    started_at: datetime
    cost_usd: Decimal | None
    usage: Usage | None
    price_version_id: int


class Change(NamedTuple):
    """One adjustment of a request: its price version, pico-dollars and what it does to unpriced."""

    version: int
    pico: int
    unpriced: int


class Entry(NamedTuple):
    """A request in the ledger as it stands: its row, its adjustments in their order, its tokens.

    booked: the row's own cost in pico-dollars, None where it came unpriced. usage: with what
    adjustments changed. gateway, provider_said: costs beside the booked one.
    """

    id: int
    started_at: datetime
    provider: str
    model: str
    attribution_id: int
    status: str
    version: int
    booked: int | None
    tier: str | None
    gateway: int | None
    provider_said: int | None
    usage: Usage
    changes: tuple[Change, ...] = ()

    @property
    def pico(self) -> int:
        """What all its rows add up to, also where it counts as unpriced."""
        return (self.booked or 0) + sum(change.pico for change in self.changes)

    @property
    def is_unpriced(self) -> bool:
        return (self.booked is None) + sum(change.unpriced for change in self.changes) > 0

    @property
    def net(self) -> int | None:
        """Its cost in pico-dollars; None where it is not known."""
        return None if self.is_unpriced else self.pico


class Span(NamedTuple):
    """Ledger rows that lie close together, by id and by time, both ends included."""

    low: int
    high: int
    first: datetime
    last: datetime


def spans(wanted: Iterable[Wanted]) -> list[Span]:
    """Few stretches of the ledger that hold all wanted rows, which come in the order of ids."""
    found: list[Span] = []
    for want in wanted:
        at = want.started_at
        if found and want.row_id - found[-1].high <= _GAP:
            last = found[-1]
            found[-1] = Span(last.low, want.row_id, min(last.first, at), max(last.last, at))
        else:
            found.append(Span(want.row_id, want.row_id, at, at))
    return found


def find(session: Session, wanted: Sequence[Wanted]) -> list[Entry]:
    """The requests that are wanted, as they stand; sorted by row_id, please."""
    near = spans(wanted)
    binds: dict[str, Sequence[object]] = {
        "ids": [want.row_id for want in wanted],
        "times": [want.started_at.isoformat() for want in wanted],
        "lows": [span.low for span in near],
        "highs": [span.high for span in near],
        "firsts": [span.first.isoformat() for span in near],
        "lasts": [span.last.isoformat() for span in near],
    }
    found = session.execute(query("adjustments", "find"), {n: _array(v) for n, v in binds.items()})
    return [entry_of(row) for row in found.all()]


def _array(values: Sequence[object]) -> str:
    """An array as Postgres reads it, which takes it a tenth of the time of a list of literals."""
    return "{" + ",".join(map(str, values)) + "}"


def entry_of(row: Sequence[Any]) -> Entry:
    """An entry from a row of the queries that return one: 11 columns, tokens, adjustments."""
    id_, at, provider, model, attribution, status, version, cost, tier, gateway, said = row[:11]
    versions, costs, unpriced = row[19:22]
    return Entry(
        *(id_, at, provider, model, attribution, status, version),
        *(_pico(cost), tier, _pico(gateway), _pico(said)),
        Usage(*row[11:19]),
        tuple(map(Change, versions, map(_whole, costs), unpriced)) if versions else (),
    )


def _pico(cost: Decimal | None) -> int | None:
    return None if cost is None else _whole(cost)


def _whole(cost: Decimal) -> int:
    # The column has twelve places, so nothing is rounded here, which would take as long again.
    return int(cost.scaleb(12))
