"""What a repricing would change, by day; reading only."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, tzinfo
from decimal import Decimal
from typing import NamedTuple

from sqlalchemy.orm import Session

from spend.adjustments import Correction, correct
from spend.entries import Entry
from spend.pricing import PriceBook
from spend.pricing.booking import Booked
from spend.pricing.money import dollars
from spend.pricing.origin import Origin
from spend.repricing import known
from spend.repricing.scope import Portion, Scope, entries
from spend.sql import query


@dataclass(frozen=True)
class Day:
    """One day's requests: how many, how many get another cost, and their dollars before and after.

    unpriced_before, unpriced_after: how many of them are in no cost.
    """

    day: date
    requests: int = 0
    changed: int = 0
    before: Decimal = Decimal(0)
    after: Decimal = Decimal(0)
    unpriced_before: int = 0
    unpriced_after: int = 0

    @property
    def delta(self) -> Decimal:
        return self.after - self.before


class Change(NamedTuple):
    """An entry, what it should cost, and the correction that takes (None: it is right already).

    The correction has no price version yet. given: somebody said the cost, so it stays.
    """

    entry: Entry
    booked: Booked
    correction: Correction | None
    given: bool


def changes(session: Session, scope: Scope, portion: Portion, book: PriceBook) -> list[Change]:
    """What a portion's requests should cost; hold adjustments.lock() to act on it."""
    found = entries(session, scope, portion)
    named = origins(session, found)
    return [_change(entry, named, book) for entry in found]


def _change(entry: Entry, named: Mapping[int, Origin], book: PriceBook) -> Change:
    said = known.costs(entry, named)
    booked = known.should_cost(book, entry, said)
    nothing = known.says_nothing(entry, named) and said.gateway is None and said.provider is None
    if said.given is not None or nothing:
        return Change(entry, booked, None, given=True)
    return Change(entry, booked, correct(entry, booked.pico, 0), given=False)


def origins(session: Session, found: Iterable[Entry]) -> dict[int, Origin]:
    """Where the costs of these entries and of their adjustments are from, by price version."""
    ids = {entry.version for entry in found} | {
        change.version for entry in found for change in entry.changes
    }
    rows = session.execute(query("repricing", "versions"), {"versions": sorted(ids)})
    return {id_: Origin(*origin) for id_, *origin in rows}


def by_day(found: Iterable[Change], zone: tzinfo, days: dict[date, Day]) -> None:
    """Add changes to the days of a zone."""
    sums: dict[date, list[int]] = {}
    for entry, _, correction, _ in found:
        day = entry.started_at.astimezone(zone).date()
        total = sums.setdefault(day, [0, 0, 0, 0, 0, 0])
        before, unpriced = entry.pico, int(entry.is_unpriced)
        total[0] += 1
        total[2] += before
        total[4] += unpriced
        if correction is not None:
            total[1] += 1
            before += correction.pico
            unpriced += correction.unpriced
        total[3] += before
        total[5] += unpriced
    for day, (requests, changed, before, after, unpriced, still) in sums.items():
        last = days.get(day, Day(day))
        days[day] = Day(
            day,
            last.requests + requests,
            last.changed + changed,
            last.before + dollars(before),
            last.after + dollars(after),
            last.unpriced_before + unpriced,
            last.unpriced_after + still,
        )
