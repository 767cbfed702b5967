"""Rows that LiteLLM rewrote: what the ledger has is brought to what they say now.

Also rows that another route booked before: whoever was first, the figures end up the same.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from models import PriceVersion
from spend import adjustments
from spend.adjustments import Entry, Wanted
from spend.capture.request import Request
from spend.pricing import PriceBook, Usage, dollars
from spend.pricing.booking import Costs, decide
from spend.pricing.origin import Origin
from spend.pricing.versions import resolve

# Which source of a cost is trusted more; the order of spend/pricing/booking.py.
_TRUST = {"given": 0, "override": 1, "provider": 2, "gateway": 3}
_LISTS, _UNPRICED = 4, 5
# Routes carry a cost as a float, so they may differ below this: a nano-dollar in pico-dollars.
_ROUNDING = 1000


class Settlement(NamedTuple):
    """What a booked request should come to; usage None leaves its tokens."""

    pico: int | None
    origin: Origin
    usage: Usage | None


def settlement(
    request: Request, entry: Entry, source: str, book: PriceBook, *, exact: bool = False
) -> Settlement | None:
    """What a row of LiteLLM's changes about the request that the ledger has; None is nothing.

    source: where the entry's present cost is from. A cost that is trusted more than LiteLLM's
    stays, and so do figures of which LiteLLM's row says nothing (unless it is exact).
    """
    trusted = _TRUST.get(source, _UNPRICED if source == "unpriced" else _LISTS)
    if source == "given":
        return None
    usage = request.usage if _other(request.usage, entry.usage, exact=exact) else None
    booked = decide(
        book,
        entry.provider,
        entry.model,
        request.started_us,
        request.usage,
        status=entry.status,
        tier=request.service_tier,
        costs=Costs(None, request.gateway_pico, request.provider_pico),
    )
    if booked.origin.source in {"gateway", "provider"}:
        if trusted < _TRUST[booked.origin.source]:
            return None
        if usage is None and _same(booked.pico, entry.net):
            return None
        return Settlement(booked.pico, booked.origin, usage)
    # Without a word of LiteLLM's about the cost, ours moves with its tokens only, and a cost that
    # LiteLLM had said before is not replaced by our guess.
    moves = source == booked.origin.source or trusted >= _LISTS
    if usage is None or not moves:
        return None
    return Settlement(booked.pico, booked.origin, usage)


def _other(said: Usage, booked: Usage, *, exact: bool) -> bool:
    """Whether tokens differ; the parts alone may be missing in rows of old versions."""
    if exact:
        return said != booked
    totals = (said.input_tokens, said.output_tokens)
    return any(totals) and totals != (booked.input_tokens, booked.output_tokens)


def _same(one: int | None, other: int | None) -> bool:
    if one is None or other is None:
        return one is other
    return abs(one - other) < _ROUNDING


class Known(NamedTuple):
    """A row of LiteLLM's and the ledger row that one of its ids leads to."""

    request: Request
    row_id: int
    started_at: datetime


def refused(
    session: Session, known: Sequence[Known], book: PriceBook, *, exact: bool = False
) -> frozenset[int]:
    """Ledger rows whose tokens differ from what LiteLLM says, and which stay as they are."""
    return frozenset(
        entry.id
        for entry, said, verdict in _verdicts(session, known, book, exact=exact)
        if verdict is None and _other(said.usage, entry.usage, exact=exact)
    )


def settle(
    session: Session, known: Sequence[Known], book: PriceBook, *, exact: bool = False
) -> tuple[int, Decimal]:
    """Bring requests to what LiteLLM's rows say; how many were corrected, and by how much.

    Everything that corrects or books unpriced requests waits until this transaction ends, so
    nothing may be booked in another one before that.
    """
    if not known:
        return 0, Decimal(0)
    adjustments.lock(session)
    found = [
        (entry, verdict)
        for entry, _, verdict in _verdicts(session, known, book, exact=exact)
        if verdict is not None
    ]
    versions = resolve(session, [verdict.origin for _, verdict in found])
    made = [
        adjustments.correct(entry, verdict.pico, versions[verdict.origin], verdict.usage)
        for entry, verdict in found
    ]
    needed = [correction for correction in made if correction is not None]
    adjustments.write(session, needed)
    return len(needed), dollars(sum(correction.pico for correction in needed))


def _verdicts(
    session: Session, known: Sequence[Known], book: PriceBook, *, exact: bool
) -> list[tuple[Entry, Request, Settlement | None]]:
    by_row = {row.row_id: row.request for row in known}
    wants = [Wanted(row.row_id, row.started_at, None, None, 0) for row in known]
    entries = adjustments.find(session, wants)
    sources = _sources(session, entries)
    return [
        (entry, said, settlement(said, entry, sources[_version(entry)], book, exact=exact))
        for entry in entries
        if (said := by_row[entry.id])
    ]


def _version(entry: Entry) -> int:
    return entry.changes[-1].version if entry.changes else entry.version


def _sources(session: Session, entries: Sequence[Entry]) -> Mapping[int, str]:
    wanted = {_version(entry) for entry in entries}
    rows = session.execute(
        select(PriceVersion.id, PriceVersion.source).where(PriceVersion.id.in_(wanted))
    )
    return {row.id: row.source for row in rows}
