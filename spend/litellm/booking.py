"""Requests that are new are booked; those that the ledger has are brought to what they say now."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy.orm import Session

from spend.capture import identity
from spend.capture.desk import Desk
from spend.capture.normalise import Normaliser
from spend.capture.request import Request
from spend.litellm.keys import key_of
from spend.litellm.settle import Known, refused, settle
from spend.pricing import PriceBook, overrides
from spend.sql import query

ROUTE = "litellm-sync"
_CLOSE_SECONDS = 2


class Asked(NamedTuple):
    """A request in both forms: as fields for the desk, and checked."""

    fields: Mapping[str, object]
    request: Request

    @classmethod
    def of(cls, fields: Mapping[str, object], normaliser: Normaliser) -> "Asked":
        """Raises Rejected where the fields make no request."""
        return cls(fields, normaliser.mapping(fields))

    @property
    def keys(self) -> list[UUID]:
        ids = (self.request.id, *self.request.other_ids)
        return [key_of(id_) for id_ in ids if id_]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of requests; delta is what corrections add up to, in dollars."""

    imported: int = 0
    known: int = 0
    settled: int = 0
    conflicts: int = 0
    rejected: int = 0
    unpriced: int = 0
    delta: Decimal = Decimal(0)


class _Found(NamedTuple):
    row_id: int
    digest: int
    started_at: datetime


class Booker:
    """Books and settles; one for a run, since it holds the prices of its beginning.

    exact: figures may also fall, to nothing at last, as the sums of a day do.
    """

    def __init__(self, desk: Desk, *, dry_run: bool, exact: bool = False) -> None:
        self._desk = desk
        self._dry = dry_run
        self._exact = exact
        self._book: PriceBook | None = None

    def book(self, session: Session, asked: Sequence[Asked]) -> Outcome:
        """Book what is new in transactions of the desk, and settle the rest in this one."""
        if not asked:
            return Outcome()
        found = look_up(session, asked)
        hits = [[found[key] for key in row.keys if key in found] for row in asked]
        known = [(row, hit[0]) for row, hit in zip(asked, hits, strict=True) if hit]
        # Ids that the ledger does not have yet are added to a request that it has.
        partly = [
            row
            for row, hit in zip(asked, hits, strict=True)
            if hit and len(hit) < len(row.keys) and _says_the_same(row, hit[0])
        ]
        fresh = [row for row, hit in zip(asked, hits, strict=True) if not hit]
        if self._dry:
            return Outcome(imported=len(fresh), known=len(known))
        # Told to the desk only so that it notes how they differ from what it has.
        differing = self._refused(session, known)
        send = [row.fields for row in (*fresh, *partly, *differing)]
        booked = self._desk.book(send, route=ROUTE, strict=False) if send else None
        imported = booked.imported if booked else 0
        if imported < len(fresh):
            # Another route was quicker with some of them, just now.
            late = look_up(session, fresh)
            known += [(row, late[key]) for row in fresh for key in row.keys if key in late]
        book = self._prices(session)
        settled, delta = settle(session, _distinct(known), book, exact=self._exact)
        return Outcome(
            imported=imported,
            known=len(asked) - imported,
            settled=settled,
            conflicts=len(booked.conflicts) if booked else 0,
            rejected=len(booked.rejected) if booked else 0,
            unpriced=booked.unpriced if booked else 0,
            delta=delta,
        )

    def _refused(self, session: Session, known: Sequence[tuple[Asked, _Found]]) -> list[Asked]:
        """Those whose content is another than the ledger's, which stays."""
        others = [(row, hit) for row, hit in known if identity.digest(row.request) != hit.digest]
        if not others:
            return []
        stay = refused(session, _distinct(others), self._prices(session), exact=self._exact)
        return [row for row, hit in others if hit.row_id in stay]

    def _prices(self, session: Session) -> PriceBook:
        if self._book is None:
            self._book = PriceBook(overrides.load(session))
        return self._book


def look_up(session: Session, asked: Iterable[Asked]) -> dict[UUID, Any]:
    """The ledger rows that the ids of these requests lead to, by key."""
    keys = [key.hex for row in asked for key in row.keys]
    rows = session.execute(query("litellm", "booked"), {"keys": keys})
    return {UUID(str(key)): _Found(*said) for key, *said in rows}


def _says_the_same(row: Asked, found: _Found) -> bool:
    """Whether the desk would take it for the request that it has, and not for a conflict."""
    apart = abs((row.request.started_at - found.started_at).total_seconds())
    return identity.digest(row.request) == found.digest and apart <= _CLOSE_SECONDS


def _distinct(known: Iterable[tuple[Asked, _Found]]) -> list[Known]:
    rows = {
        found.row_id: Known(row.request, found.row_id, found.started_at) for row, found in known
    }
    return [rows[row_id] for row_id in sorted(rows)]
