"""Unpriced requests get their cost once a price of their model is known.

Looked for through the rollups: models with unpriced requests, of these the ones that have a price
by now, of these the quarters of an hour. So it costs as much as there is unpriced, whatever the
ledger holds. What no price can settle (tokens that contradict each other) is remembered by its
bucket, table `settlement_tries`, until the prices of its model or the bucket change. A request
that a repricing or its undo made unpriced is left to whoever wanted that.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from hashlib import blake2b
from typing import NamedTuple
from uuid import UUID

from sqlalchemy.orm import Session

from spend import adjustments
from spend.adjustments import correct
from spend.entries import Entry, Wanted
from spend.pricing import PriceBook
from spend.pricing.money import dollars
from spend.pricing.origin import UNPRICED, Origin
from spend.pricing.tariff import Tariff
from spend.pricing.versions import resolve
from spend.repricing import known
from spend.repricing.preview import origins
from spend.sql import query

PAGE = 20_000  # requests; a transaction of about a second
_QUARTER = timedelta(minutes=15)
# Buckets this close are read together. More stretches than that, and one that spans them all is
# read instead: rows that arrived out of order are found by reading their month.
_NEAR = timedelta(hours=2)
_MOST_STRETCHES = 16


class Bucket(NamedTuple):
    """A quarter of an hour of a series with unpriced requests, and its figures when seen."""

    bucket: datetime
    series_id: int
    requests: int
    unpriced: int


@dataclass(frozen=True)
class Work:
    """Buckets of one model and month whose unpriced requests may have a price by now."""

    provider: str
    model: str
    prices: UUID
    buckets: tuple[Bucket, ...]


@dataclass(frozen=True)
class SettleResult:
    """rows: requests that were settled, for `delta` dollars. after: go on behind this ledger id."""

    rows: int = 0
    delta: Decimal = Decimal(0)
    after: int | None = 0

    def then(self, later: "SettleResult") -> "SettleResult":
        """Both together."""
        return SettleResult(self.rows + later.rows, self.delta + later.delta, later.after)


def digest(tariff: Tariff) -> UUID:
    """Changes when a price of the model does; a source's version names its figures."""
    said = [(segment.start, segment.end, tuple(segment.origin)) for segment in tariff.segments]
    return UUID(bytes=blake2b(repr(said).encode(), digest_size=16).digest())


def find(session: Session, book: PriceBook) -> Work | None:
    """The next requests to settle; None where no price has come for any that is unpriced."""
    for provider, model in session.execute(query("settlement", "models")).all():
        tariff = book.tariff(provider, model)
        if all(segment.origin == UNPRICED for segment in tariff.segments):
            continue
        prices = digest(tariff)
        binds = {"provider": provider, "model": model, "prices": str(prices), "most": PAGE}
        rows = session.execute(query("settlement", "buckets"), binds).all()
        if rows:
            buckets = together([Bucket(*row) for row in rows], PAGE)
            return Work(provider, model, prices, tuple(buckets))
    return None


def together(buckets: Sequence[Bucket], most: int) -> list[Bucket]:
    """The first buckets: of one month, and of about `most` unpriced requests."""
    found: list[Bucket] = []
    unpriced = 0
    for bucket in buckets:
        other_month = found and _month(bucket.bucket) != _month(found[0].bucket)
        if other_month or (found and unpriced + bucket.unpriced > most):
            break
        found.append(bucket)
        unpriced += bucket.unpriced
    return found


def _month(moment: datetime) -> tuple[int, int]:
    return moment.year, moment.month


def stretches(buckets: Sequence[Bucket]) -> list[tuple[datetime, datetime]]:
    """Few stretches of time that hold all buckets, which come in the order of time."""
    found: list[tuple[datetime, datetime]] = []
    for bucket in buckets:
        start, end = bucket.bucket, bucket.bucket + _QUARTER
        if found and start - found[-1][1] <= _NEAR:
            found[-1] = found[-1][0], end
        else:
            found.append((start, end))
    if len(found) > _MOST_STRETCHES:
        return [(found[0][0], found[-1][1])]
    return found


def settle(
    session: Session, work: Work, book: PriceBook, *, after: int = 0, most: int = PAGE
) -> SettleResult:
    """Settle requests of some buckets in this transaction, in the order of their ledger ids."""
    adjustments.lock(session)
    times = stretches(work.buckets)
    binds = {
        "provider": work.provider,
        "model": work.model,
        "after": after,
        "most": most,
        "firsts": [start for start, _ in times],
        "lasts": [end for _, end in times],
    }
    rows = session.execute(query("settlement", "unpriced"), binds).all()
    wanted = [Wanted(id_, started_at, None, None, 0) for id_, started_at in rows]
    entries = adjustments.find(session, wanted) if wanted else []
    named = origins(session, entries)
    priced = [(entry, *_cost(book, entry, named)) for entry in entries]
    versions = resolve(session, {origin for _, pico, origin in priced if pico is not None})
    needed = [
        correction
        for entry, pico, origin in priced
        if pico is not None and (correction := correct(entry, pico, versions[origin]))
    ]
    adjustments.write(session, needed)
    delta = dollars(sum(correction.pico for correction in needed))
    return SettleResult(len(needed), delta, rows[-1].id if len(rows) == most else None)


def _cost(book: PriceBook, entry: Entry, named: dict[int, Origin]) -> tuple[int | None, Origin]:
    if known.says_nothing(entry, named):
        return None, UNPRICED
    booked = known.should_cost(book, entry, known.costs(entry, named))
    return booked.pico, booked.origin


def note(session: Session, work: Work) -> None:
    """Remember that these buckets were looked at with these prices."""
    binds = {
        "buckets": [bucket.bucket for bucket in work.buckets],
        "series": [bucket.series_id for bucket in work.buckets],
        "request_counts": [bucket.requests for bucket in work.buckets],
        "unpriced_counts": [bucket.unpriced for bucket in work.buckets],
        "prices": str(work.prices),
    }
    session.execute(query("settlement", "note"), binds)


def prune(session: Session) -> int:
    """Forget buckets in which nothing is unpriced any more; returns how many."""
    return int(session.scalars(query("settlement", "prune")).one())
