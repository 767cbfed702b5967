"""Where the money goes: buckets, grouped as somebody asks."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import ColumnElement, Date, cast, func, select
from sqlalchemy.orm import Session

from models import ATTRIBUTION_FIELDS, Attribution, Series, SpendBucket
from spend.errors import BadInputError

DIMENSIONS = ("provider", "model", *ATTRIBUTION_FIELDS, "day")


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

    Children add up to their parent, because what is unattributed is a group of its own. Raises
    BadInputError for a dimension that does not exist or a time that cuts through a bucket.
    """
    keys = [_dimension(name, zone).label(name) for name in by]
    for moment in (since, until):
        if moment is not None and (moment.minute % 15 or moment.second or moment.microsecond):
            raise BadInputError(f"{moment.isoformat()} is not on a quarter of an hour.")
    bucket = SpendBucket
    cost = func.sum(bucket.total_cost)
    sums = [bucket.requests, bucket.input_tokens, bucket.output_tokens, bucket.unpriced]
    statement = (
        select(*keys, *(func.sum(column) for column in sums), cost)
        .join(Series, Series.id == bucket.series_id)
        .outerjoin(Attribution, Attribution.id == Series.attribution_id)
        .group_by(*keys)
        .order_by(cost.desc(), *keys)
    )
    if since is not None:
        statement = statement.where(bucket.bucket >= since)
    if until is not None:
        statement = statement.where(bucket.bucket < until)
    return [_line(row, len(keys)) for row in session.execute(statement)]


def _dimension(name: str, zone: str) -> ColumnElement[Any]:
    if name not in DIMENSIONS:
        raise BadInputError(f"Cannot group by {name!r}; choose from {', '.join(DIMENSIONS)}.")
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
