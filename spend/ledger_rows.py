"""Requests as the ledger holds them, each with all that was corrected since."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Select,
    and_,
    case,
    cast,
    func,
    null,
    or_,
    select,
    true,
    tuple_,
)
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.orm import Session, aliased

from models import ATTRIBUTION_FIELDS, TOKEN_CLASSES, Attribution, PriceVersion, VisibleCostLog
from spend import filters
from spend.facts import Span
from spend.filters import Only

IDS = ("request_id", "trace_id", "session_id", "end_user")


@dataclass(frozen=True)
class Request:
    """One request. cost_usd is net of all corrections; None is not priced yet, never 0.

    id: of its ledger row. booked_usd: what was booked first; adjustments: how many rows corrected
    it since. priced_by, priced_version, priced_assumption: where the newest cost is from, see
    `price_versions`. The token counts are net.
    """

    id: int
    started_at: datetime
    created_at: datetime
    provider: str
    model: str
    status: str
    service_tier: str | None
    cost_usd: Decimal | None
    booked_usd: Decimal | None
    adjustments: int
    priced_by: str | None
    priced_version: str | None
    priced_assumption: str | None
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    cache_write_1h_tokens: int
    reasoning_tokens: int
    audio_input_tokens: int
    audio_output_tokens: int
    request_id: str | None
    trace_id: str | None
    session_id: str | None
    end_user: str | None
    organization: str | None
    project: str | None
    sprint: str | None
    agent: str | None
    user_id: str | None
    team: str | None
    api_key: str | None
    tags: tuple[str, ...]


@dataclass(frozen=True)
class Correction:
    """One adjustment: what it added to cost and tokens, and where that is from.

    unpriced: -1 where it gave a cost to a request that had none, +1 where it took that back.
    """

    id: int
    created_at: datetime
    cost_usd: Decimal
    unpriced: int
    tokens: Mapping[str, int]
    priced_by: str | None
    priced_version: str | None
    priced_assumption: str | None


class Place(NamedTuple):
    """Where a page ended: what comes after began earlier, or then with a lower id."""

    started_at: datetime
    id: int


@dataclass(frozen=True)
class Wanted:
    """Which requests fit. row_id: the one that an id led to."""

    only: Only = field(default_factory=dict)
    status: str | None = None
    unpriced: bool | None = None
    ids: Mapping[str, str] = field(default_factory=dict)
    after: Place | None = None
    row_id: int | None = None

    def told_by_buckets(self) -> bool:
        """Whether buckets count exactly what fits."""
        return self.status is None and not self.ids


def read(session: Session, wanted: Wanted, spans: Sequence[Span], most: int) -> list[Request]:
    """At most `most` requests of some spans of time, the newest first."""
    if not spans or most <= 0:
        return []
    ledger = VisibleCostLog
    at: ColumnElement[Any] = ledger.started_at.expression
    picked = (
        select(*(getattr(ledger, name) for name in _TAKEN))
        .where(ledger.adjusts_id.is_(None), _within(at, spans), *_conditions(wanted, spans))
        .order_by(at.desc(), ledger.id.desc())
        .limit(most)
    )
    if any(name not in ("provider", "model") for name in wanted.only):
        picked = picked.outerjoin(Attribution, Attribution.id == ledger.attribution_id)
    return [_request(row._asdict()) for row in session.execute(_completed(picked))]


def corrections(session: Session, row_id: int, at: datetime) -> tuple[Correction, ...]:
    """What corrected a request that began then, the oldest first."""
    ledger, version = VisibleCostLog, PriceVersion
    tokens = [getattr(ledger, name) for name in TOKEN_CLASSES]
    rows = session.execute(
        select(
            ledger.id,
            ledger.created_at,
            func.coalesce(ledger.cost_usd, 0),
            ledger.unpriced,
            version.source,
            version.version,
            version.assumption,
            *tokens,
        )
        .outerjoin(version, version.id == ledger.price_version_id)
        .where(ledger.adjusts_id == row_id, ledger.started_at == at)
        .order_by(ledger.id)
    )
    return tuple(
        Correction(
            id_, created, cost, unpriced,
            {n: count for n, count in zip(TOKEN_CLASSES, counts, strict=True) if count},
            *origin,
        )
        for id_, created, cost, unpriced, *origin, counts in (
            (*row[:7], row[7:]) for row in rows
        )
    )  # fmt: skip


_PLAIN = (
    "id", "started_at", "created_at", "provider", "model", "status", "service_tier", *IDS
)  # fmt: skip
_TAKEN = (*_PLAIN, *TOKEN_CLASSES, "cost_usd", "attribution_id", "price_version_id")


def _within(at: ColumnElement[Any], spans: Sequence[Span]) -> ColumnElement[bool]:
    return or_(
        *(
            and_(
                true() if span.since is None else at >= span.since,
                true() if span.until is None else at < span.until,
            )
            for span in spans
        )
    )


def _conditions(wanted: Wanted, spans: Sequence[Span]) -> list[ColumnElement[bool]]:
    ledger = VisibleCostLog
    found = filters.conditions(wanted.only, ledger.provider.expression, ledger.model.expression)
    if wanted.status is not None:
        found.append(ledger.status == wanted.status)
    found += [getattr(ledger, name) == value for name, value in wanted.ids.items()]
    if wanted.row_id is not None:
        found.append(ledger.id == wanted.row_id)
    if wanted.after is not None:
        place = tuple_(ledger.started_at, ledger.id)
        # The first says the same with less, and prunes.
        found += [ledger.started_at <= wanted.after.started_at, place < tuple_(*wanted.after)]
    if wanted.unpriced is not None:
        unpriced = _unpriced(spans)
        found.append(unpriced if wanted.unpriced else ~unpriced)
    return found


def _unpriced(spans: Sequence[Span]) -> ColumnElement[bool]:
    """Whether the net cost of a row is not known: few rows have a correction to be asked for."""
    ledger, later, back = VisibleCostLog, aliased(VisibleCostLog), aliased(VisibleCostLog)
    changed = (
        select(func.coalesce(func.sum(later.unpriced), 0))
        .where(later.adjusts_id == ledger.id, later.started_at == ledger.started_at)
        .correlate(ledger)
        .scalar_subquery()
    )
    taken_back = select(back.adjusts_id).where(
        back.adjusts_id.is_not(None), back.unpriced > 0, _within(back.started_at.expression, spans)
    )
    return or_(
        and_(ledger.cost_usd.is_(None), changed >= 0),
        and_(ledger.cost_usd.is_not(None), ledger.id.in_(taken_back), changed > 0),
    )


def _completed(picked: Select[Any]) -> Select[Any]:
    """The same rows with their corrections, who and what for, and where the cost is from."""
    row = picked.cte("picked")
    later = VisibleCostLog
    newest = aggregate_order_by(later.price_version_id, later.id.desc())
    changed = (
        select(
            func.count().label("adjustments"),
            func.coalesce(func.sum(later.cost_usd), 0).label("cost_usd"),
            func.coalesce(func.sum(later.unpriced), 0).label("unpriced"),
            func.array_agg(newest).label("versions"),
            *(func.coalesce(func.sum(getattr(later, n)), 0).label(n) for n in TOKEN_CLASSES),
        )
        .where(later.adjusts_id == row.c.id, later.started_at == row.c.started_at)
        .lateral("changed")
    )
    open_still = case((row.c.cost_usd.is_(None), 1), else_=0) + changed.c.unpriced > 0
    net = case((open_still, null()), else_=func.coalesce(row.c.cost_usd, 0) + changed.c.cost_usd)
    tokens = [cast(row.c[n] + changed.c[n], BigInteger).label(n) for n in TOKEN_CLASSES]
    version = func.coalesce(changed.c.versions[1], row.c.price_version_id)
    said = [row.c[name] for name in _PLAIN]
    return (
        select(
            *said,
            *tokens,
            net.label("cost_usd"),
            row.c.cost_usd.label("booked_usd"),
            changed.c.adjustments,
            PriceVersion.source.label("priced_by"),
            PriceVersion.version.label("priced_version"),
            PriceVersion.assumption.label("priced_assumption"),
            *(getattr(Attribution, name) for name in (*ATTRIBUTION_FIELDS, "tags")),
        )
        .select_from(row)
        .join(changed, true())
        .outerjoin(PriceVersion, PriceVersion.id == version)
        .outerjoin(Attribution, Attribution.id == row.c.attribution_id)
        .order_by(row.c.started_at.desc(), row.c.id.desc())
    )


def _request(said: Mapping[str, Any]) -> Request:
    return Request(**{**said, "tags": tuple(said["tags"] or ())})
