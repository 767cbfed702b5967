"""Which requests a repricing is about, cut into portions of bounded size."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, NamedTuple

from sqlalchemy.orm import Session

from spend.entries import Entry, entry_of
from spend.sql import query

_DAY = timedelta(days=1)
PORTION = 20_000  # requests; a transaction of about a second


@dataclass(frozen=True)
class Scope:
    """A model's requests that began from `since` until just before `until`.

    Letters' case of the names does not matter. provider None is every provider.
    """

    model: str
    provider: str | None
    since: datetime
    until: datetime

    def binds(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "provider": self.provider,
            "since": self.since,
            "until": self.until,
        }


class Portion(NamedTuple):
    """A stretch of time, and how many requests of the scope rollups have counted in it."""

    since: datetime
    until: datetime
    requests: int


@dataclass(frozen=True)
class Sealed:
    """Requests of the scope whose rows are gone: their month is sealed, nothing can change them.

    Counted in whole quarters of an hour.
    """

    month: date
    provider: str
    requests: int
    cost: Decimal


def portions(session: Session, scope: Scope, most: int = PORTION) -> list[Portion]:
    """The scope's time without a gap, in stretches of about `most` requests."""
    rows = session.execute(query("repricing", "weights"), scope.binds())
    return cut([(bucket, int(requests)) for bucket, requests in rows], scope, most)


def cut(weights: Sequence[tuple[datetime, int]], scope: Scope, most: int) -> list[Portion]:
    """Stretches of a day (UTC) or less that end where a bucket begins.

    Rows that are not counted yet lie in one of them, too; it is larger than it was meant to be.
    """
    found: list[Portion] = []
    start, requests = scope.since, 0
    for moment, more in sorted([*weights, *((day, 0) for day in _midnights(scope))]):
        full = requests and requests + more > most
        if moment > start and (full or moment.time() == time()):
            found.append(Portion(start, moment, requests))
            start, requests = moment, 0
        requests += more
    return [*found, Portion(start, scope.until, requests)]


def _midnights(scope: Scope) -> Iterator[datetime]:
    first = scope.since.astimezone(UTC)
    day = datetime(first.year, first.month, first.day, tzinfo=UTC) + _DAY
    while day < scope.until:
        yield day
        day += _DAY


def entries(session: Session, scope: Scope, portion: Portion) -> list[Entry]:
    """The requests of a portion as they stand now."""
    binds = scope.binds() | {"since": portion.since, "until": portion.until}
    rows = session.execute(query("repricing", "entries"), binds).all()
    return [entry_of(row) for row in rows]


def sealed(session: Session, scope: Scope) -> tuple[Sealed, ...]:
    """What of the scope is in the ledger's sealed months, and so out of reach."""
    rows = session.execute(query("repricing", "sealed"), scope.binds())
    return tuple(Sealed(*row) for row in rows)
