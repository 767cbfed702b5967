"""Corrections of booked requests: signed rows that bring their net figures to what is wanted.

Nothing in the ledger changes. An adjustment keeps the time, provider, model, attribution and
status of the row that it names, counts no request, and holds the difference; what a request costs
is its row and its adjustments together. Everything that corrects goes through here.
"""

import io
from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

import psycopg2
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from models import TOKEN_CLASSES, PriceVersion
from spend.entries import Change, Entry, Wanted, find
from spend.pricing.money import dollars, to_pico
from spend.pricing.origin import Origin
from spend.pricing.usage import Usage
from spend.pricing.versions import resolve
from spend.sql import query

__all__ = [
    "Adjusted",
    "Change",
    "Correction",
    "Entry",
    "Wanted",
    "adjust",
    "correct",
    "find",
    "lock",
    "write",
]

_LOCK = 0x5BEA70005
# How many rows are looked up and corrected at a time; the transaction may hold more.
_TOGETHER = 20_000
_COLUMNS = (
    *("adjusts_id", "started_at", "provider", "model", "attribution_id", "status"),
    *("price_version_id", "unpriced", "cost_usd"),
    *TOKEN_CLASSES,
)
_COPY = f"COPY cost_logs ({', '.join(_COLUMNS)}) FROM STDIN"
_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


class Adjusted(NamedTuple):
    """rows: how many adjustments were written, delta: what they add up to, in dollars.

    gone: requests that are not in the ledger, since their month is sealed; nothing corrects them.
    """

    rows: int
    delta: Decimal
    gone: int = 0


class Correction(NamedTuple):
    """The adjustment that an entry needs: differences in pico-dollars, unpriced and tokens."""

    entry: Entry
    version: int
    pico: int
    unpriced: int
    usage: Usage = Usage()


def correct(
    entry: Entry, pico: int | None, version: int, usage: Usage | None = None
) -> Correction | None:
    """What brings an entry to a cost (None: unpriced) and a usage; None if it is there already."""
    difference = (pico or 0) - entry.pico
    unpriced = (pico is None) - entry.is_unpriced
    tokens = Usage() if usage is None else _minus(usage, entry.usage)
    if not difference and not unpriced and not any(tokens):
        return None
    return Correction(entry, version, difference, unpriced, tokens)


def _minus(one: Usage, other: Usage) -> Usage:
    return Usage(*(a - b for a, b in zip(one, other, strict=True)))


def adjust(session: Session, wanted: Sequence[Wanted]) -> Adjusted:
    """Bring the net figures of requests to what is wanted, in this transaction.

    Those that are there already get no row, so the same wants again write nothing. Of two wants
    for one request the last one counts. Keeps other corrections waiting until the transaction
    ends, so keep it short.
    """
    lock(session)
    rows, pico, gone = 0, 0, 0
    latest = {(want.row_id, want.started_at): want for want in wanted}
    ordered = sorted(latest.values(), key=lambda want: want.row_id)
    for start in range(0, len(ordered), _TOGETHER):
        part = ordered[start : start + _TOGETHER]
        found = find(session, part)
        made = [_correction(entry, latest[entry.id, entry.started_at]) for entry in found]
        needed = [correction for correction in made if correction is not None]
        write(session, needed)
        rows += len(needed)
        pico += sum(correction.pico for correction in needed)
        gone += len(part) - len(found)
    return Adjusted(rows, dollars(pico), gone)


def _correction(entry: Entry, want: Wanted) -> Correction | None:
    pico = None if want.cost_usd is None else to_pico(want.cost_usd)
    return correct(entry, pico, want.price_version_id, want.usage)


def lock(session: Session) -> None:
    """Keep other corrections waiting until this transaction ends; what is read then, holds."""
    session.execute(query("adjustments", "lock"), {"lock": _LOCK})


def write(session: Session, corrections: Sequence[Correction]) -> tuple[int, int] | None:
    """Add adjustments to the ledger; their entries must have been read since lock().

    Returns two ledger ids between which theirs lie; None where there was nothing to write.
    """
    if not corrections:
        return None
    session.execute(query("capture", "lock_ledger"))
    first = session.scalars(query("adjustments", "next_id")).one()
    lines = "".join(_line(correction) for correction in _distinct(session, corrections))
    driver = session.connection().connection.driver_connection
    assert driver is not None  # noqa: S101 - a connection that is open has one
    try:
        with driver.cursor() as cursor:
            cursor.copy_expert(_COPY, io.StringIO(lines))
    except psycopg2.Error as error:
        # As SQLAlchemy would say it, so that whoever retries knows it.
        raise DBAPIError.instance(_COPY, None, error, psycopg2.Error) from error
    return first, session.scalars(query("adjustments", "last_id")).one()


def _line(correction: Correction) -> str:
    entry, version, pico, unpriced, usage = correction
    texts = (entry.provider, entry.model, entry.status)
    provider, model, status = (text.translate(_ESCAPES) for text in texts)
    head = f"{entry.id}\t{entry.started_at.isoformat()}\t{provider}\t{model}"
    figures = f"{entry.attribution_id}\t{status}\t{version}\t{unpriced}\t{pico}e-12"
    return f"{head}\t{figures}\t" + "\t".join(map(str, usage)) + "\n"


def _distinct(session: Session, corrections: Sequence[Correction]) -> list[Correction]:
    """With a price version that the request has no adjustment of yet: there can be one each.

    A gateway may change its mind twice; the second time is noted as 'again 2' of the same source.
    """
    again = {
        c: len(c.entry.changes) + 1
        for c in corrections
        if any(change.version == c.version for change in c.entry.changes)
    }
    if not again:
        return list(corrections)
    ids = {correction.version for correction in again}
    columns = (PriceVersion.source, PriceVersion.version, PriceVersion.assumption)
    known = session.execute(select(PriceVersion.id, *columns).where(PriceVersion.id.in_(ids)))
    origins = {id_: Origin(*origin) for id_, *origin in known}
    named = {c: _again(origins[c.version], times) for c, times in again.items()}
    versions = resolve(session, named.values())
    return [c._replace(version=versions[named[c]]) if c in named else c for c in corrections]


def _again(origin: Origin, times: int) -> Origin:
    return origin.assuming(f"again {times}")
