"""What an existing table has, and whether it can be read as requests."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import tzinfo

from sqlalchemy import ColumnElement, Connection, func, select
from sqlalchemy import column as sql_column
from sqlalchemy import table as sql_table

from spend.capture.fields import FIELDS
from spend.capture.mapping import Columns, plan
from spend.errors import BadInputError
from spend.sql import query

_NAIVE = ("timestamp without time zone", "date")
_NUMBERS = ("smallint", "integer", "bigint", "real", "double precision", "numeric")
_TEXTS = ("text", "character varying", "character", "uuid")
_TIMES = ("timestamp with time zone", "timestamp without time zone", "date")
# What a column of a field may be; others may be anything.
_FIT = {
    "id": (*_TEXTS, "smallint", "integer", "bigint", "numeric"),
    "started_at": (*_TIMES, *_TEXTS, *_NUMBERS),
    "cost_usd": (*_NUMBERS, "money", *_TEXTS),
}
_SHOWN = 3


@dataclass(frozen=True)
class Table:
    """A table as its database describes it. columns: name to type, in order."""

    schema: str
    name: str
    columns: Mapping[str, str]
    owner: str
    unique: frozenset[str]  # columns of which each alone is unique and never NULL
    rows: int  # about, by the planner's last count; -1 where it never counted

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}"


def look(connection: Connection, name: str) -> Table | None:
    """The table or view of a name, which may have its schema before a dot; None: is not there."""
    found = connection.execute(query("adopt", "table"), {"name": name}).one_or_none()
    if found is None:
        return None
    columns = connection.execute(query("adopt", "columns"), {"table": found.oid})
    unique = connection.execute(query("adopt", "unique_columns"), {"table": found.oid})
    return Table(
        found.schema,
        found.name,
        {row.attname: row.type for row in columns},
        found.owner,
        frozenset(unique.scalars()),
        int(found.rows),
    )


def fit(
    table: Table, maps: Mapping[str, str], constants: Mapping[str, str], zone: tzinfo | None
) -> Columns:
    """Which column is which field. Raises BadInputError naming everything that does not fit."""
    maps = dict(maps)
    if "started_at" not in {*maps, *constants, *table.columns} and "created_at" in table.columns:
        maps["started_at"] = "created_at"
    columns = plan(list(table.columns), maps, constants)
    sources = dict(zip(FIELDS, columns.sources, strict=True))
    problems = [
        f"{field} would come from {column}, which is {_base(table.columns[column])}"
        for field, column in sources.items()
        if column is not None and field in _FIT and _base(table.columns[column]) not in _FIT[field]
    ]
    started = sources["started_at"]
    if started is not None and zone is None and _base(table.columns[started]) in _NAIVE:
        problems.append(
            f"{started} is {_base(table.columns[started])}, which does not say in which time zone;"
            " name it with --timezone, such as UTC"
        )
    if sources["id"] is None:
        problems.append("id is missing: rows are known by it when they are read again")
    if problems:
        raise BadInputError(f"{table} cannot be read: {'; '.join(problems)}.")
    return columns


def check_ids(connection: Connection, table: Table, column: str) -> None:
    """Raises BadInputError where two rows have the same id: only one of them would be booked."""
    if column in table.unique:
        return
    value: ColumnElement[object] = sql_column(column)
    found = connection.execute(
        select(value)
        .select_from(sql_table(table.name, schema=table.schema))
        .where(value.is_not(None))
        .group_by(value)
        .having(func.count() > 1)
        .limit(_SHOWN + 1)
    )
    twice = [str(id_) for id_ in found.scalars()]
    if twice:
        named = ", ".join(twice[:_SHOWN]) + (", ..." if len(twice) > _SHOWN else "")
        raise BadInputError(
            f"Several rows of {table} have the same {column}: {named}. Name a column that is"
            " unique with --map id=COLUMN, or add one:"
            f" ALTER TABLE {table} ADD COLUMN row_number bigserial"
        )


def _base(type_: str) -> str:
    """A type without its length or precision: numeric(10,2) is numeric."""
    head, _, rest = type_.partition("(")
    return (head + rest.partition(")")[2]).strip()
