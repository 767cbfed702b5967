"""Which requests a repricing is about, cut into portions of bounded size."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any, NamedTuple

from sqlalchemy.orm import Session

from spend.adjustments import Entry, entry_of
from spend.sql import query

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
    """Stretches that end where a bucket begins; rows that are not counted yet lie in one, too."""
    found: list[Portion] = []
    start, requests = scope.since, 0
    for bucket, more in weights:
        if requests and requests + more > most and bucket > start:
            found.append(Portion(start, bucket, requests))
            start, requests = bucket, 0
        requests += more
    return [*found, Portion(start, scope.until, requests)]


def entries(session: Session, scope: Scope, portion: Portion) -> list[Entry]:
    """The requests of a portion as they stand now."""
    binds = scope.binds() | {"since": portion.since, "until": portion.until}
    return [entry_of(tuple(row)) for row in session.execute(query("repricing", "entries"), binds)]


def sealed(session: Session, scope: Scope) -> tuple[Sealed, ...]:
    """What of the scope is in the ledger's sealed months, and so out of reach."""
    rows = session.execute(query("repricing", "sealed"), scope.binds())
    return tuple(Sealed(*row) for row in rows)
