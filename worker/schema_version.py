"""The schema's version without Alembic, which a process that only compares does without: 7 MB."""

import re
from pathlib import Path

from sqlalchemy import Connection, text

_MIGRATIONS = Path(__file__).resolve().parent.parent / "migrations" / "versions"
_THERE = text("SELECT to_regclass('alembic_version') IS NOT NULL")
_VERSION = text("SELECT version_num FROM alembic_version")


def wanted() -> str:
    """The newest version that this checkout knows: the same as worker.schema.head()."""
    files = (re.match(r"\d{4}(?=_)", file.name) for file in _MIGRATIONS.glob("*.py"))
    return max(found[0] for found in files if found)


def current(connection: Connection) -> str | None:
    """The version that the database has; None where it was never migrated."""
    if not connection.scalar(_THERE):
        return None
    found = connection.scalar(_VERSION)
    return None if found is None else str(found)
