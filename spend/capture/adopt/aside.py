"""Moving an existing table out of the way of the ledger's own, and back."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from models import Base
from spend.errors import BadInputError, BusyError
from spend.sql import query

TABLES = ("cost_logs", "spend_summary")
SUFFIX = "_adopted"
_MADE = ("token_usage", "alembic_version")
_LOCK_TIMEOUT = "5s"
_NOT_AVAILABLE = "55P03"
_NOT_OWNER = "42501"
_KINDS = {"r": "table", "p": "table", "v": "view", "m": "view", "f": "table", "S": "sequence",
          "i": "index", "I": "index"}  # fmt: skip


@dataclass(frozen=True)
class InTheWay:
    """Something of somebody else that has a name of ours; belongs_to: the table of an index."""

    name: str
    kind: str
    owner: str
    belongs_to: str | None

    @property
    def table(self) -> str:
        """The table that has to be renamed for it."""
        return (self.belongs_to or self.name).removeprefix("public.")

    def __str__(self) -> str:
        of = f" of {self.belongs_to}" if self.belongs_to else ""
        return f"{self.kind} {self.name}{of}"


def in_the_way(connection: Connection) -> list[InTheWay]:
    """What migrations would stumble over: relations with our names that are not ours."""
    found = connection.execute(query("adopt", "in_the_way"), {"names": _names()})
    return [
        InTheWay(row.name, _KINDS.get(row.kind, "relation"), row.owner, row.belongs_to)
        for row in found
    ]


def check_clear(connection: Connection) -> None:
    """Raises BadInputError that says what to do where migrations would stumble."""
    found = in_the_way(connection)
    if not found:
        return
    if _adoptable(found):
        tables = " and ".join(sorted({each.table for each in found}))
        raise BadInputError(
            f"This database has {tables} of its own. 'spendbeat ledger adopt --dry-run' shows what"
            " Spendbeat would take over from it, 'spendbeat ledger adopt' renames it, makes the"
            " schema and books its rows."
        )
    raise BadInputError(_occupied(found))


def check_adoptable(connection: Connection) -> list[str]:
    """The tables to set aside. Raises BadInputError where others have names of ours, too."""
    found = in_the_way(connection)
    if not _adoptable(found):
        raise BadInputError(_occupied(found))
    tables = sorted({each.table for each in found})
    if taken := set(tables).intersection(set_aside_before(connection)):
        names = " and ".join(sorted(taken))
        raise BadInputError(
            f"There is {names}, and also what was set aside by that name before, with {SUFFIX!r}"
            " behind it: rename one of the two first."
        )
    return tables


def set_aside(connection: Connection, tables: Sequence[str]) -> None:
    """Rename tables, and those of their indexes and sequences that have names of ours.

    In one transaction of its own. Views and foreign keys follow. Raises BusyError where somebody
    uses them for longer than a few seconds, BadInputError where the login may not.
    """
    _rename(connection, {name: name + SUFFIX for name in tables})


def put_back(connection: Connection, tables: Sequence[str]) -> None:
    """The other way round; the ledger's own tables must be gone."""
    _rename(connection, {name + SUFFIX: name for name in tables})


def set_aside_before(connection: Connection) -> list[str]:
    """The tables that were set aside, by their names before."""
    names = [name + SUFFIX for name in TABLES]
    found = connection.execute(query("adopt", "set_aside"), {"names": names})
    return [name.removesuffix(SUFFIX) for name in found.scalars()]


def _rename(connection: Connection, names: dict[str, str]) -> None:
    quote = connection.dialect.identifier_preparer.quote_identifier
    try:
        with connection.begin():
            connection.execute(text(f"SET LOCAL lock_timeout = '{_LOCK_TIMEOUT}'"))
            for before, after in names.items():
                connection.exec_driver_sql(
                    f"ALTER TABLE public.{quote(before)} RENAME TO {quote(after)}"
                )
                for kind, belonging in _belongings(connection, after):
                    renamed = _renamed(belonging, undo=before.endswith(SUFFIX))
                    if renamed != belonging:
                        connection.exec_driver_sql(
                            f"ALTER {kind} public.{quote(belonging)} RENAME TO {quote(renamed)}"
                        )
    except DBAPIError as error:
        code = getattr(error.orig, "pgcode", None)
        tables = " and ".join(names)
        if code == _NOT_AVAILABLE:
            raise BusyError(
                f"Somebody uses {tables} right now; it cannot be renamed meanwhile. Try again, or"
                " stop the application that writes to it."
            ) from error
        if code == _NOT_OWNER:
            raise BadInputError(
                f"This login may not rename {tables}: run this as its owner."
            ) from error
        raise


def _belongings(connection: Connection, table: str) -> list[tuple[str, str]]:
    ours = _names()
    binds = {"table": f"public.{table}", "names": [*ours, *(name + SUFFIX for name in ours)]}
    found = connection.execute(query("adopt", "belongings"), binds)
    return [("SEQUENCE" if row.kind == "S" else "INDEX", row.name) for row in found]


def _renamed(name: str, *, undo: bool) -> str:
    plain = name.removesuffix(SUFFIX)
    return plain if undo else plain + SUFFIX


def _adoptable(found: Sequence[InTheWay]) -> bool:
    return all(each.table in TABLES for each in found)


def _occupied(found: Sequence[InTheWay]) -> str:
    named = ", ".join(str(each) for each in found)
    return (
        f"This database has things of its own with names that Spendbeat needs: {named}. Give"
        " Spendbeat a database of its own; requests that are in a table here can be read from it"
        " with 'spendbeat ledger adopt --from URL --table NAME'."
    )


def _names() -> list[str]:
    tables = Base.metadata.tables.values()
    indexes = [str(index.name) for table in tables for index in table.indexes]
    constraints = [
        str(constraint.name)
        for table in tables
        for constraint in table.constraints
        if constraint.name is not None
    ]
    sequences = [f"{name}_id_seq" for name in Base.metadata.tables]
    return sorted({*Base.metadata.tables, *indexes, *constraints, *sequences, *_MADE})
