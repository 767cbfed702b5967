"""Where the money goes: buckets, grouped as somebody asks."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, Date, FromClause, Select, cast, func, select, true
from sqlalchemy.orm import Session

from models import ATTRIBUTION_FIELDS, Attribution, Series, SpendBucket
from spend.errors import BadInputError

DIMENSIONS = ("provider", "model", *ATTRIBUTION_FIELDS, "day")
TAG = "tag"
_BY_KEY = f"{TAG}:"


@dataclass(frozen=True)
class SpendLine:
    """One group's totals: at least total_cost dollars, with `unpriced` requests unknown.

    group: one value per dimension asked for, None where it was not attributed.
    """

    group: tuple[str | None, ...]
    requests: int
    input_tokens: int
    output_tokens: int
    unpriced: int
    total_cost: Decimal


def spend(
    session: Session,
    by: Sequence[str] = ("provider", "model"),
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    zone: str = "UTC",
) -> list[SpendLine]:
    """Totals per group, dearest first; `since` and `until` are cut to 15 minutes.

    by: of DIMENSIONS, tag, or tag:KEY for the values of one key. Children add up to their parent,
    because what is unattributed is a group of its own; but for tags: a request is in a group for
    each of those it has, so only total() counts it once. Raises BadInputError for a dimension
    that does not exist or a time that cuts through a bucket.
    """
    tags = {name: _tags(name, place) for place, name in enumerate(by) if overlaps([name])}
    keys = [
        (tags[name][1] if name in tags else _dimension(name, zone)).label(f"by_{place}")
        for place, name in enumerate(by)
    ]
    sums = _sums()
    statement = _where(select(*keys, *sums), since, until)
    for unnested, _, condition in tags.values():
        statement = statement.outerjoin(unnested, condition)
    statement = statement.group_by(*keys).order_by(sums[-1].desc(), *keys)
    return [_line(row, len(keys)) for row in session.execute(statement)]


def total(
    session: Session, *, since: datetime | None = None, until: datetime | None = None
) -> SpendLine:
    """All spend of a time in one line, each request once. Raises BadInputError as spend()."""
    return _line(session.execute(_where(select(*_sums()), since, until)).one(), 0)


def overlaps(by: Sequence[str]) -> bool:
    """Whether a request can be in several of these groups."""
    return any(name == TAG or name.startswith(_BY_KEY) for name in by)


def _sums() -> list[ColumnElement[Any]]:
    bucket = SpendBucket
    columns = (
        bucket.requests,
        bucket.input_tokens,
        bucket.output_tokens,
        bucket.unpriced,
        bucket.total_cost,
    )
    return [func.coalesce(func.sum(column), 0) for column in columns]


def _where(statement: Select[Any], since: datetime | None, until: datetime | None) -> Select[Any]:
    for moment in (since, until):
        if moment is not None and (moment.minute % 15 or moment.second or moment.microsecond):
            raise BadInputError(f"{moment.isoformat()} is not on a quarter of an hour.")
    statement = (
        statement.select_from(SpendBucket)
        .join(Series, Series.id == SpendBucket.series_id)
        .outerjoin(Attribution, Attribution.id == Series.attribution_id)
    )
    if since is not None:
        statement = statement.where(SpendBucket.bucket >= since)
    if until is not None:
        statement = statement.where(SpendBucket.bucket < until)
    return statement


def _tags(name: str, place: int) -> tuple[FromClause, ColumnElement[Any], ColumnElement[bool]]:
    """Tags as rows, what of them is shown, and which of them are asked for."""
    unnested = (
        func.unnest(Attribution.tags).table_valued("tag", name=f"tags_{place}").render_derived()
    )
    tag: ColumnElement[Any] = unnested.c.tag
    if name == TAG:
        return unnested, tag, true()
    key = name.removeprefix(TAG)[1:] + ":"
    return unnested, func.substr(tag, len(key) + 1), func.starts_with(tag, key)


def _dimension(name: str, zone: str) -> ColumnElement[Any]:
    if name not in DIMENSIONS:
        raise BadInputError(
            f"Cannot group by {name!r}; choose from {', '.join(DIMENSIONS)}, tag, tag:KEY."
        )
    if name == "day":
        return cast(func.timezone(zone, SpendBucket.bucket), Date)
    owner = Series if name in {"provider", "model"} else Attribution
    column: ColumnElement[Any] = getattr(owner, name)
    return column


def _line(row: Sequence[Any], keys: int) -> SpendLine:
    group = tuple(None if value is None else str(value) for value in row[:keys])
    requests, tokens_in, tokens_out, unpriced, cost = row[keys:]
    return SpendLine(
        group, int(requests), int(tokens_in), int(tokens_out), int(unpriced), Decimal(cost)
    )
