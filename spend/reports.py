"""Where the money goes: what was counted, grouped as somebody asks."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

from sqlalchemy import (
    Boolean,
    ColumnElement,
    Date,
    FromClause,
    Select,
    Subquery,
    Text,
    and_,
    func,
    literal,
    or_,
    select,
    true,
    tuple_,
)
from sqlalchemy.orm import Session

from models import ATTRIBUTION_FIELDS, Attribution, SpendSummary
from spend import filters
from spend.errors import BadInputError
from spend.facts import FIGURES, Span, facts, may_read
from spend.filters import ALL, BY_KEY, TAG, Only

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
    only: Only = ALL,
) -> list[SpendLine]:
    """Totals per group, dearest first, of requests from `since` up to, not including, `until`.

    by: of DIMENSIONS, tag, or tag:KEY for the values of one key. Children add up to their parent,
    because what is unattributed is a group of its own; but for tags: a request is in a group for
    each of those it has, so only total() counts it once. only: see spend.filters; it chooses
    requests, so by tag it does not hide their other tags. Raises BadInputError for a dimension
    that does not exist or a time that cuts through a bucket.
    """
    statement, keys, sums = _grouped(session, by, (Span(since, until), zone, only))
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
    only: Only = ALL,
) -> list[SpendLine]:
    """At most `most` lines of spend(), those after a place; equal costs in order of their group.

    Lines that do not change meanwhile come exactly once. Raises BadInputError as spend().
    """
    statement, keys, _ = _grouped(session, by, (Span(since, until), zone, only))
    return _page(session, statement, len(keys), most, after)


def sums(
    session: Session,
    by: Sequence[str],
    figures: Sequence[str],
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    zone: str = "UTC",
    only: Only = ALL,
) -> list[tuple[tuple[str | None, ...], Sequence[Any]]]:
    """Groups as spend() has them, in no order, each with the figures asked for, in their order.

    figures: of models.MEASURES.
    """
    statement, keys, _ = _grouped(session, by, (Span(since, until), zone, only), figures)
    return [(_group(row[: len(keys)]), row[len(keys) :]) for row in session.execute(statement)]


def summary(
    session: Session, most: int, after: Place | None = None, *, only: Only = ALL
) -> list[SpendLine]:
    """A page of spend of all time by provider and model, from its own table where that can say it:
    tenants do not see it, and it knows nothing of attributions. Raises BadInputError as spend().
    """
    table = SpendSummary
    if not only.keys() <= {"provider", "model"} or not may_read(session, table.__tablename__):
        return page(session, ("provider", "model"), most, after, only=only)
    keys: list[ColumnElement[Any]] = [table.provider.label("by_0"), table.model.label("by_1")]
    statement = select(*keys, *(getattr(table, name) for name in FIGURES)).where(
        *filters.conditions(only, table.provider.expression, table.model.expression)
    )
    return _page(session, statement, 2, most, after)


def total(
    session: Session,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    only: Only = ALL,
) -> SpendLine:
    """All spend of a time in one line, each request once. Raises BadInputError as spend()."""
    source = facts(session, Span(since, until), only)
    statement = _joined(select(*_sums(source)), source, only, attributed=bool(only))
    return _line(session.execute(statement).one(), 0)


def added(lines: Sequence[SpendLine]) -> SpendLine:
    """The total of all lines of groups in which each request is once."""
    return SpendLine(
        (),
        sum(line.requests for line in lines),
        sum(line.input_tokens for line in lines),
        sum(line.output_tokens for line in lines),
        sum(line.unpriced for line in lines),
        sum((line.total_cost for line in lines), Decimal(0)),
    )


def overlaps(by: Sequence[str]) -> bool:
    """Whether a request can be in several of these groups."""
    return any(name == TAG or name.startswith(BY_KEY) for name in by)


def _grouped(
    session: Session,
    by: Sequence[str],
    asked: tuple[Span, str, Only],
    figures: Sequence[str] = FIGURES,
) -> tuple[Select[Any], list[ColumnElement[Any]], list[ColumnElement[Any]]]:
    """The groups without an order, their keys and their sums."""
    for name in by:
        if name not in DIMENSIONS and not overlaps([name]):
            raise BadInputError(
                f"Cannot group by {name!r:.60}; choose from {', '.join(DIMENSIONS)}, tag, tag:KEY."
            )
    span, zone, only = asked
    days_of = zone if "day" in by else None
    source = facts(session, span, only, days_of=days_of, figures=figures)
    tags = {name: _tags(name, place) for place, name in enumerate(by) if overlaps([name])}
    keys: list[ColumnElement[Any]] = [
        (tags[name][1] if name in tags else _dimension(name, source)).label(f"by_{place}")
        for place, name in enumerate(by)
    ]
    sums = _sums(source, figures)
    attributed = bool(only) or any(name not in ("provider", "model", "day") for name in by)
    statement = _joined(select(*keys, *sums), source, only, attributed=attributed)
    for unnested, _, condition in tags.values():
        statement = statement.outerjoin(unnested, condition)
    return statement.group_by(*keys), keys, sums


def _joined(
    statement: Select[Any], source: Subquery, only: Only, *, attributed: bool
) -> Select[Any]:
    statement = statement.select_from(source)
    if attributed:
        statement = statement.outerjoin(Attribution, Attribution.id == source.c.attribution_id)
    return statement.where(*filters.conditions(only, source.c.provider, source.c.model))


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


def _sums(source: Subquery, figures: Sequence[str] = FIGURES) -> list[ColumnElement[Any]]:
    return [func.coalesce(func.sum(source.c[name]), 0).label(name) for name in figures]


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


def _dimension(name: str, source: Subquery) -> ColumnElement[Any]:
    if name in ("provider", "model", "day"):
        return source.c[name]
    column: ColumnElement[Any] = getattr(Attribution, name)
    return column


def _line(row: Sequence[Any], keys: int) -> SpendLine:
    group = _group(row[:keys])
    requests, tokens_in, tokens_out, unpriced, cost = row[keys:]
    return SpendLine(
        group, int(requests), int(tokens_in), int(tokens_out), int(unpriced), Decimal(cost)
    )


def _group(values: Sequence[Any]) -> tuple[str | None, ...]:
    return tuple(None if value is None else str(value) for value in values)
