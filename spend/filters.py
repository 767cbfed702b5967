"""Which requests somebody asks about: by provider, model, who and what for, and tags."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from sqlalchemy import ColumnElement, Integer, Text, and_, cast, func, or_, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session

from models import ATTRIBUTION_FIELDS, Attribution, Series
from spend.errors import BadInputError

FIELDS = ("provider", "model", *ATTRIBUTION_FIELDS)
TAG = "tag"
BY_KEY = f"{TAG}:"
MOST_VALUES = 100

# Names of FIELDS, tag or tag:KEY, each with what it may be; None is what is not attributed, or
# has no such tag. One of the values is enough, and every name has to hold.
Only = Mapping[str, Sequence[str | None]]
ALL: Only = MappingProxyType({})


def is_filter(name: str) -> bool:
    """Whether requests can be chosen by this name."""
    return name in FIELDS or name == TAG or (name.startswith(BY_KEY) and name != BY_KEY)


def check(only: Only) -> None:
    """Raises BadInputError for a name that does not exist, and for more values than make sense."""
    for name, values in only.items():
        if not is_filter(name):
            raise BadInputError(
                f"Cannot choose by {name!r:.60}; it can be {', '.join(FIELDS)}, tag, tag:KEY."
            )
        if len(values) > MOST_VALUES:
            raise BadInputError(f"{name} has {len(values)} values; it can have {MOST_VALUES}.")
        if any(value is not None and "\0" in value for value in values):
            raise BadInputError(f"{name} has a character that is in no text (U+0000).")


def conditions(
    only: Only, provider: ColumnElement[str], model: ColumnElement[str]
) -> list[ColumnElement[bool]]:
    """What has to hold where `attributions` is joined, also where it has no such row.

    Raises BadInputError as check().
    """
    check(only)
    owners = {"provider": provider, "model": model}
    return [
        _tagged(name, values)
        if name == TAG or name.startswith(BY_KEY)
        else _one_of(owners.get(name, getattr(Attribution, name, provider)), values)
        for name, values in only.items()
        if values
    ]


def series(session: Session, only: Only) -> list[int] | None:
    """The numbers of the series of these requests; None where all are.

    A list, and no subquery: how many buckets fit decides how they are read, and only then does the
    planner know. Raises BadInputError as check().
    """
    found = conditions(only, Series.provider.expression, Series.model.expression)
    if not found:
        return None
    statement = select(Series.id).where(*found)
    if only.keys() - {"provider", "model"}:
        statement = statement.outerjoin(Attribution, Attribution.id == Series.attribution_id)
    return list(session.scalars(statement))


def among(column: ColumnElement[int], numbers: Sequence[int]) -> ColumnElement[bool]:
    """Whether it is one of these numbers, as one array: the server hashes a long one."""
    return column == func.any(cast(list(numbers), ARRAY(Integer)))


def _one_of(column: ColumnElement[Any], values: Sequence[str | None]) -> ColumnElement[bool]:
    named = [value for value in values if value is not None]
    found: list[ColumnElement[bool]] = [column.in_(named)] if named else []
    if None in values:
        found.append(column.is_(None))
    return or_(*found)


def _tagged(name: str, values: Sequence[str | None]) -> ColumnElement[bool]:
    key = name.removeprefix(TAG).removeprefix(":")
    before = f"{key}:" if key else ""
    wanted = [before + value for value in values if value is not None]
    tags = Attribution.tags
    found: list[ColumnElement[bool]] = []
    if wanted:
        found.append(and_(tags.is_not(None), tags.overlap(cast(wanted, ARRAY(Text)))))
    if None in values:
        if key:
            tag = func.unnest(tags).table_valued("tag", name="unwanted").render_derived()
            having = select(tag.c.tag).where(func.starts_with(tag.c.tag, before))
            found.append(~having.correlate(Attribution).exists())
        else:
            found.append(func.coalesce(func.cardinality(tags), 0) == 0)
    return or_(*found)
