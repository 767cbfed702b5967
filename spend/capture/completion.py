"""Requests that were booked before anybody knew what they used.

A trace may tell of a call without its tokens, and the gateway of the same call with them a moment
later. The first one made an unpriced request that used nothing; the second one completes it, by an
adjustment, instead of being refused as something else under a known id.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from models import RequestKey
from spend import adjustments
from spend.adjustments import Entry, Wanted
from spend.capture import identity
from spend.capture.request import Request
from spend.pricing import Usage, dollars

_NOTHING = Usage()

# The cost in pico-dollars of a request (None: unpriced), and the id of its price version.
Decided = Callable[[Request], tuple[int | None, int]]


def complete(session: Session, requests: Mapping[int, Request], decided: Decided) -> set[int]:
    """Complete the booked requests that these, known by id with other content, say more about.

    Returns which of them need no more attention: the completed ones, and those that say what an
    earlier completion has said.
    """
    adjustments.lock(session)
    booked = _booked(session, requests)
    settled: set[int] = set()
    wanted: dict[int, Wanted] = {}
    for index, request in requests.items():
        entry = booked.get(index)
        if entry is None or not _alike(entry, request):
            continue
        if _silent(entry) and entry.id not in wanted:
            pico, version = decided(request)
            cost = None if pico is None else dollars(pico)
            wanted[entry.id] = Wanted(entry.id, entry.started_at, cost, request.usage, version)
        told = wanted[entry.id].usage if entry.id in wanted else entry.usage
        if told == request.usage:
            settled.add(index)
    adjustments.adjust(session, list(wanted.values()))
    return settled


def _booked(session: Session, requests: Mapping[int, Request]) -> dict[int, Entry]:
    """What is booked under the requests' ids, by the same indexes."""
    keys: dict[UUID, list[int]] = {}
    for index, request in requests.items():
        if request.id is not None:
            keys.setdefault(UUID(bytes=identity.key_of_id(request.id)), []).append(index)
    columns = RequestKey.key, RequestKey.row_id, RequestKey.started_at
    rows = session.execute(select(*columns).where(RequestKey.key.in_(keys))).all()
    entries = {entry.id: entry for entry in _entries(session, {(r[1], r[2]) for r in rows})}
    return {
        index: entries[row_id]
        for key, row_id, _ in rows
        if row_id in entries
        for index in keys[key]
    }


def _entries(session: Session, rows: Iterable[tuple[int, datetime]]) -> list[Entry]:
    asked = [Wanted(row_id, at, None, None, 0) for row_id, at in sorted(rows)]
    return adjustments.find(session, asked)


def _alike(entry: Entry, request: Request) -> bool:
    said = request.provider, request.model, request.status
    return (entry.provider, entry.model, entry.status) == said


def _silent(entry: Entry) -> bool:
    return entry.is_unpriced and entry.usage == _NOTHING and not entry.changes
