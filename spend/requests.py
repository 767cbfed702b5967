"""Requests one by one, the newest first: what a figure of a report is made of.

The ledger has no index by who or what for. The buckets say in which quarters of an hour there are
requests that fit, so only those are read, from the newest on, until a page is full. A request is
found once its quarter of an hour is counted.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from types import MappingProxyType
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from models import STATUSES, RequestKey, SpendBucket, VisibleCostLog
from spend import filters
from spend.capture.identity import key_of_id
from spend.errors import BadInputError, UnknownError
from spend.facts import Span, may_read
from spend.filters import Only
from spend.ledger_rows import IDS, Correction, Place, Request, Wanted, corrections, read

QUARTER = timedelta(minutes=15)
# Seconds after which a page is handed out as it is: where nearly nothing fits, much is read.
PATIENCE = 2.0
_FIRST, _LONGEST = 4, 96  # quarters of an hour in a look; each is four times the one before
# The rest of the quarter where a page ended may have nothing; twice in a row it is no accident.
_IN_VAIN = 2
_NO_IDS: Mapping[str, str] = MappingProxyType({})
_TICK = timedelta(microseconds=1)


class Page(NamedTuple):
    """Some requests, and where to go on; nowhere at the end. It can be short, and even empty."""

    requests: tuple[Request, ...]
    following: Place | None


@dataclass(frozen=True)
class Detail:
    """A request, the costs that were said but not booked, and what corrected it, oldest first."""

    request: Request
    computed_cost_usd: Decimal | None
    gateway_cost_usd: Decimal | None
    provider_cost_usd: Decimal | None
    corrections: tuple[Correction, ...]


class _Quarter(NamedTuple):
    """A bucket with requests that fit, as far as buckets know."""

    begins: datetime
    requests: int


def page(
    session: Session,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    only: Only = filters.ALL,
    status: str | None = None,
    unpriced: bool | None = None,
    ids: Mapping[str, str] = _NO_IDS,
    most: int = 100,
    after: Place | None = None,
    patience: float = PATIENCE,
) -> Page:
    """At most `most` requests that began from `since` up to, not including, `until`.

    only: see spend.filters. unpriced: whether their cost is not known, by all that was learned
    since. ids: of IDS, each with what it has to be. Whoever goes on with `following` until there
    is none gets each request that was counted before exactly once. Raises BadInputError.
    """
    filters.check(only)
    _check(status, ids)
    wanted = Wanted(only, status, unpriced, ids, after)
    span = Span(since, until)
    if "request_id" in ids and may_read(session, RequestKey.__tablename__):
        known = _by_key(session, wanted, ids["request_id"])
        if known is not None:
            at, wanted = known
            return _page(read(session, wanted, [Span(at, at + _TICK).within(span)], most + 1), most)
    return _walked(session, wanted, span, most, time.monotonic() + patience)


def one(session: Session, row_id: int) -> Detail:
    """One request by the id of its ledger row, with all that is known of its cost.

    Raises UnknownError, also for the row of a correction, which is no request.
    """
    ledger = VisibleCostLog
    said = (ledger.computed_cost_usd, ledger.gateway_cost_usd, ledger.provider_cost_usd)
    row = session.execute(
        select(ledger.started_at, *said).where(ledger.id == row_id, ledger.adjusts_id.is_(None))
    ).first()
    if row is None:
        raise UnknownError(f"There is no request {row_id}.")
    at, computed, gateway, provider = row
    found = read(session, Wanted(row_id=row_id), [Span(at, at + _TICK)], 1)
    return Detail(found[0], computed, gateway, provider, corrections(session, row_id, at))


def _walked(session: Session, wanted: Wanted, span: Span, most: int, end: float) -> Page:
    found: list[Request] = []
    numbers = filters.series(session, wanted.only)
    if numbers == []:
        return Page((), None)
    below = wanted.after and wanted.after.started_at + _TICK
    quarters, in_vain = _FIRST, 0
    while True:
        ahead = _ahead(session, wanted.unpriced, numbers, span.within(Span(None, below)), quarters)
        # Once what buckets count is not there, it is a month whose rows were dropped, and long.
        trusted = wanted.told_by_buckets() and in_vain < _IN_VAIN
        look = _enough(ahead, most + 1 - len(found)) if trusted else ahead
        there = read(session, wanted, _spans(look, span), most + 1 - len(found))
        found += there
        in_vain = 0 if there else in_vain + 1
        if len(found) > most or (len(look) == len(ahead) < quarters):
            return _page(found, most)
        below = look[-1].begins
        if time.monotonic() > end:
            # All that began then or later has been looked at.
            return Page(tuple(found), Place(below, 0))
        quarters = min(quarters * 4, _LONGEST)


def _page(found: Sequence[Request], most: int) -> Page:
    if len(found) <= most:
        return Page(tuple(found), None)
    last = found[most - 1]
    return Page(tuple(found[:most]), Place(last.started_at, last.id))


def _ahead(
    session: Session, unpriced: bool | None, numbers: Sequence[int] | None, span: Span, most: int
) -> list[_Quarter]:
    """The newest quarters of an hour of a span with requests that may fit, of some series."""
    table = SpendBucket
    fitting = func.sum(_COUNTED[unpriced])
    statement = select(table.bucket, fitting).group_by(table.bucket).having(fitting > 0)
    if unpriced:
        statement = statement.where(table.unpriced > 0)
    if span.since is not None:
        statement = statement.where(table.bucket > span.since - QUARTER)
    if span.until is not None:
        statement = statement.where(table.bucket < span.until)
    if numbers is not None:
        statement = statement.where(filters.among(table.series_id.expression, numbers))
    rows = session.execute(statement.order_by(table.bucket.desc()).limit(most))
    return [_Quarter(begins, int(requests)) for begins, requests in rows]


_COUNTED: Mapping[bool | None, Any] = {
    None: SpendBucket.requests,
    True: SpendBucket.unpriced,
    False: SpendBucket.requests - SpendBucket.unpriced,
}


def _enough(ahead: Sequence[_Quarter], needed: int) -> Sequence[_Quarter]:
    """As many of them as hold what is needed."""
    held = 0
    for number, quarter in enumerate(ahead, 1):
        held += quarter.requests
        if held >= needed:
            return ahead[:number]
    return ahead


def _spans(quarters: Sequence[_Quarter], span: Span) -> list[Span]:
    """Neighbours as one."""
    found: list[Span] = []
    for begins, _ in quarters:
        if found and found[-1].since == begins + QUARTER:
            found[-1] = found[-1]._replace(since=begins)
        else:
            found.append(Span(begins, begins + QUARTER))
    return [each.within(span) for each in found]


def _by_key(session: Session, wanted: Wanted, id_: str) -> tuple[datetime, Wanted] | None:
    """When a request began that is known by an id, its own or another one it came with."""
    key = UUID(bytes=key_of_id(id_))
    table = RequestKey
    row = session.execute(
        select(table.started_at, table.row_id).where(table.key == key)
    ).one_or_none()
    if row is None:
        return None
    others = {name: value for name, value in wanted.ids.items() if name != "request_id"}
    return row[0], replace(wanted, ids=others, row_id=row[1])


def _check(status: str | None, ids: Mapping[str, str]) -> None:
    if status is not None and status not in STATUSES:
        raise BadInputError(f"status is one of {', '.join(STATUSES)}, not {status!r:.60}.")
    for name, value in ids.items():
        if name not in IDS:
            raise BadInputError(f"A request has no {name!r:.60}; it has {', '.join(IDS)}.")
        if "\0" in value:
            raise BadInputError(f"{name} has a character that is in no text (U+0000).")
