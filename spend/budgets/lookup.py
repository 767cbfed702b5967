"""One budget or a page of them, without reading the others."""

from typing import NamedTuple

from sqlalchemy.orm import Session

from spend.budgets import store
from spend.budgets.definition import Budget
from spend.errors import UnknownError
from spend.sql import query

_MOST_DIGITS = 9  # of an integer of Postgres, all of which fit


class Place(NamedTuple):
    """Where a page ends, and the next one goes on."""

    name: str
    id: int


def find(session: Session, which: str, *, removed: bool = False) -> Budget:
    """A budget by its name or number. Raises UnknownError."""
    number = which.isascii() and which.isdigit() and len(which) <= _MOST_DIGITS
    binds = {"which": which, "id": int(which) if number else None, "removed": removed}
    # Postgres takes no NUL, so no budget has one.
    found = None if "\0" in which else session.scalar(query("budget_pages", "called"), binds)
    if found is None:
        raise UnknownError(f"There is no budget {which!r:.120}.")
    return store.load(session, [found], removed=removed)[0]


def page(
    session: Session, most: int, after: Place | None = None, *, removed: bool = False
) -> list[Budget]:
    """Budgets by name, at most so many; also removed ones where asked for."""
    name, id_ = after or (None, None)
    binds = {"name": name, "id": id_, "most": most, "removed": removed}
    ids = list(session.scalars(query("budget_pages", "page"), binds))
    return store.load(session, ids, removed=removed)
