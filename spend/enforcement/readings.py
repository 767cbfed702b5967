"""What Postgres says budgets have spent, and which settlements of guards are in that.

docs/guard.md, Reconciliation, has the argument; three things here hold it up. The number of a
reading is taken under a lock that is kept until the transaction ends, and its snapshot after that,
so of two readings the one with the higher number saw at least as much. Spend and coverage are of
one statement. What is not certainly covered is not.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import Row
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from spend.capture.identity import key_of_id
from spend.entries import Wanted as WantedEntry
from spend.entries import spans
from spend.errors import BusyError
from spend.sql import query

_LOCK = 0x5BEA7000B


class Wanted(NamedTuple):
    """A period of a budget, as a version of it says."""

    budget_id: int
    version: int
    first: date


class Booked(NamedTuple):
    """Pending settlements that are in the ledger. Rows: request, id, txid, provider, unpriced.

    ids: the settlements of each request. sealed: those whose rows are gone, since all is counted.
    """

    ids: Mapping[int, Sequence[str]]
    rows: Sequence[Row[Any]]
    sealed: frozenset[str]


@dataclass(frozen=True)
class Reading:
    """spend: dollars by budget and first day; a budget that changed meanwhile is not in it.

    covered: ids of settlements that are in this spend, or in that of other budgets.
    """

    number: int
    spend: Mapping[tuple[int, date], Decimal]
    covered: frozenset[str]


def begin(session: Session, *, wait: float) -> int | None:
    """The number of a reading, which is this transaction's alone; None if somebody is at it.

    wait: for them, so many seconds; then raises BusyError.
    """
    if wait:
        milliseconds = {"milliseconds": str(int(wait * 1000))}
        session.execute(query("enforcement", "be_quick"), milliseconds)
        try:
            session.execute(query("enforcement", "wait_lock"), {"lock": _LOCK})
        except OperationalError as error:
            if getattr(error.orig, "pgcode", None) != "55P03":  # not the lock's timeout
                raise
            raise BusyError("Another reconciliation takes long; nothing was read.") from None
    elif not session.scalar(query("enforcement", "try_lock"), {"lock": _LOCK}):
        return None
    return int(session.scalars(query("enforcement", "next_number")).one())


def last_number(session: Session) -> int:
    """The number that was given last."""
    return int(session.scalars(query("enforcement", "last_number")).one())


def booked(session: Session, ids: Collection[str]) -> Booked:
    """What the ledger has of settlements by their ids; may come before or after begin().

    Keys and rows never change, so this needs no snapshot in common with the reading.
    """
    by_key = {str(UUID(bytes=key_of_id(id_))): id_ for id_ in ids}
    if not by_key:
        return Booked({}, (), frozenset())
    found = session.execute(query("enforcement", "booked"), {"keys": _array(by_key)}).all()
    names: dict[int, list[str]] = defaultdict(list)
    times: dict[int, datetime] = {}
    for key, row_id, started_at in found:
        names[row_id].append(by_key[key])
        times[row_id] = started_at
    rows = _entries(session, times)
    gone = times.keys() - {row.request for row in rows}
    return Booked(names, rows, _sealed(session, {id_: times[id_] for id_ in gone}, names))


def read(session: Session, number: int, wanted: Iterable[Wanted], pending: Booked) -> Reading:
    """The reading; `number` is from begin() of this transaction."""
    asked = list(wanted)
    binds = {
        "budget_ids": [one.budget_id for one in asked],
        "versions": [one.version for one in asked],
        "firsts": _array(one.first for one in asked),
        "requests": _array(row.request for row in pending.rows),
        "ids": _array(row.id for row in pending.rows),
        "txids": _array(row.txid for row in pending.rows),
        "providers": [row.provider for row in pending.rows],
        "unpriced_counts": _array(row.unpriced for row in pending.rows),
    }
    spend: dict[tuple[int, date], Decimal] = {}
    covered = set(pending.sealed)
    for budget_id, first, dollars, request in session.execute(
        query("enforcement", "reading"), binds
    ):
        if request is None:
            spend[budget_id, first] = dollars
        else:
            covered.update(pending.ids[request])
    return Reading(number, spend, frozenset(covered))


def _entries(session: Session, times: Mapping[int, datetime]) -> Sequence[Row[Any]]:
    if not times:
        return ()
    near = spans(WantedEntry(id_, at, None, None, 0) for id_, at in sorted(times.items()))
    binds = {
        "ids": _array(times),
        "times": _array(at.isoformat() for at in times.values()),
        "lows": _array(span.low for span in near),
        "highs": _array(span.high for span in near),
        "firsts": _array(span.first.isoformat() for span in near),
        "lasts": _array(span.last.isoformat() for span in near),
    }
    return session.execute(query("enforcement", "entries"), binds).all()


def _sealed(
    session: Session, gone: Mapping[int, datetime], names: Mapping[int, Sequence[str]]
) -> frozenset[str]:
    """Settlements whose rows were dropped with their month, all of which was counted then."""
    if not gone:
        return frozenset()
    months = set(session.scalars(query("enforcement", "sealed")))
    return frozenset(
        name
        for id_, at in gone.items()
        if at.astimezone(UTC).date().replace(day=1) in months
        for name in names[id_]
    )


def _array(values: Iterable[object]) -> str:
    """An array as Postgres reads it, which takes it a tenth of the time of a list of literals."""
    return "{" + ",".join(map(str, values)) + "}"
