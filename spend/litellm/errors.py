"""What can be wrong with somebody else's database, in words that say what to do."""

from psycopg2 import errors
from sqlalchemy.exc import DBAPIError

from spend.errors import SpendbeatError

_WHICH = (
    "Name the database that the proxy itself uses (its DATABASE_URL; where that has ?schema=NAME,"
    " keep it) in LITELLM_DATABASE_URL or with --database."
)


class LitellmError(SpendbeatError):
    """LiteLLM's database cannot be read."""


def no_table(where: str, table: str) -> LitellmError:
    """The table is not in that database."""
    return LitellmError(f"There is no table {table} in {where}. {_WHICH}")


def no_columns(where: str, table: str, missing: list[str]) -> LitellmError:
    """The table is there without what every version of it has."""
    names = ", ".join(missing)
    return LitellmError(f"{table} in {where} has no column {names}, so it is not LiteLLM's own.")


def no_right(where: str, schema: str, tables: str, user: str) -> LitellmError:
    """The login may not read; says what its owner has to run."""
    return LitellmError(
        f"{user} may not read {tables} in {where}. Have its owner run:\n"
        f'  GRANT USAGE ON SCHEMA "{schema}" TO "{user}";\n'
        f'  GRANT SELECT ON {tables} TO "{user}";'
    )


def explained(error: DBAPIError, where: str) -> LitellmError:
    """What to tell a user about an error of their server; never the password."""
    cause = error.orig
    reason = str(cause).strip().splitlines()[0] if str(cause).strip() else "no answer"
    if isinstance(cause, errors.QueryCanceled):
        return LitellmError(
            f"LiteLLM's database at {where} took longer than the sync allows for a page. The next"
            ' run goes on from here; a smaller --batch asks for less, and an index on "startTime"'
            " (LiteLLM makes one) is needed."
        )
    if isinstance(cause, errors.LockNotAvailable):
        return LitellmError(f"A table of LiteLLM's at {where} is locked: {reason}")
    return LitellmError(f"LiteLLM's database at {where} cannot be used: {reason}")
