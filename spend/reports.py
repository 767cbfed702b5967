"""Where the money goes: buckets, grouped as somebody asks."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from sqlalchemy import (
    Boolean,
    ColumnElement,
    Date,
    FromClause,
    Select,
    Text,
    and_,
    cast,
    func,
    literal,
    or_,
    select,
    true,
    tuple_,
)
from sqlalchemy.orm import Session

from models import ATTRIBUTION_FIELDS, Attribution, Series, SpendBucket, SpendSummary
from spend.errors import BadInputError
from spend.sql import query

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


class Place(NamedTuple):
    """A line among others, the dearest first: what comes after it is a page's."""

    cost: Decimal
    group: tuple[str | None, ...]


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
    statement, keys, sums = _grouped(by, since, until, zone)
    statement = statement.order_by(sums[-1].desc(), *keys)
    return [_line(row, len(keys)) for row in session.execute(statement)]


def page(
    session: Session,
    by: Sequence[str],
    most: int,
    after: Place | None = None,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    zone: str = "UTC",
) -> list[SpendLine]:
    """At most `most` lines of spend(), those after a place; equal costs in order of their group.

    Lines that do not change meanwhile come exactly once. Raises BadInputError as spend().
    """
    statement, keys, _ = _grouped(by, since, until, zone)
    return _page(session, statement, len(keys), most, after)


def summary(
    session: Session,
    most: int,
    after: Place | None = None,
    *,
    providers: Sequence[str] = (),
    models: Sequence[str] = (),
) -> list[SpendLine]:
    """Spend of all time by provider and model, a page of it; of these only, where any is named."""
    table = SpendSummary
    keys: list[ColumnElement[Any]] = [table.provider.label("by_0"), table.model.label("by_1")]
    measures = (
        table.requests, table.input_tokens, table.output_tokens, table.unpriced, table.total_cost
    )  # fmt: skip
    statement = select(*keys, *measures)
    if providers:
        statement = statement.where(table.provider.in_(providers))
    if models:
        statement = statement.where(table.model.in_(models))
    return _page(session, statement, 2, most, after)


def zone_known(session: Session, name: str) -> ZoneInfo:
    """A time zone that Postgres knows and Python too. Raises BadInputError."""
    try:
        found = ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        found = None
    if found is None or not session.scalar(query("rebuild", "zone_exists"), {"zone": name}):
        raise BadInputError(
            f"{name!r:.80} is not a time zone; use an IANA name such as 'Europe/Berlin'."
        )
    return found


def _grouped(
    by: Sequence[str], since: datetime | None, until: datetime | None, zone: str
) -> tuple[Select[Any], list[ColumnElement[Any]], list[ColumnElement[Any]]]:
    """The groups without an order, their keys and their sums."""
    tags = {name: _tags(name, place) for place, name in enumerate(by) if overlaps([name])}
    keys: list[ColumnElement[Any]] = [
        (tags[name][1] if name in tags else _dimension(name, zone)).label(f"by_{place}")
        for place, name in enumerate(by)
    ]
    sums = _sums()
    statement = _where(select(*keys, *sums), since, until)
    for unnested, _, condition in tags.values():
        statement = statement.outerjoin(unnested, condition)
    return statement.group_by(*keys), keys, sums


def _page(
    session: Session, statement: Select[Any], keys: int, most: int, after: Place | None
) -> list[SpendLine]:
    groups = statement.subquery()
    order: list[ColumnElement[Any]] = []
    for place in range(keys):
        key = groups.c[f"by_{place}"]
        shown = func.to_char(key, "YYYY-MM-DD") if isinstance(key.type, Date) else key
        # What is not attributed comes last, and not beside an empty text.
        order += [key.is_(None), func.coalesce(shown, "")]
    found = select(groups).order_by(groups.c.total_cost.desc(), *order).limit(most)
    if after is not None:
        there: list[ColumnElement[Any]] = []
        for value in after.group:
            there += [literal(value is None, Boolean), literal(value or "", Text)]
        equal = and_(groups.c.total_cost == after.cost, tuple_(*order) > tuple_(*there))
        found = found.where(or_(groups.c.total_cost < after.cost, equal))
    return [_line(row, keys) for row in session.execute(found)]


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
    return [func.coalesce(func.sum(column), 0).label(column.key) for column in columns]


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
