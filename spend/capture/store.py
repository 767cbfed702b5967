"""From a batch to the ledger: one transaction, which books each request once or not at all."""

from dataclasses import dataclass
from io import BytesIO

import psycopg2
from psycopg2 import errors
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from spend.capture.staging import COPY, OTHER_CONTENT, OTHER_TIME, Batch, Conflict
from spend.errors import UnavailableError
from spend.sql import query

_CHUNK = 1 << 18


@dataclass(frozen=True, slots=True)
class StoreResult:
    """What became of a batch's rows; imported + known + conflicts is all of them."""

    imported: int
    known: int
    conflicts: tuple[Conflict, ...]
    unpriced: int


def store(connection: Connection, batch: Batch) -> StoreResult:
    """Book a batch in one transaction of its own. Raises UnavailableError; then nothing is in."""
    try:
        return _store(connection, batch)
    except (psycopg2.Error, DBAPIError) as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        raise _explained(cause) from error


def _store(connection: Connection, batch: Batch) -> StoreResult:
    if not batch.rows:
        return StoreResult(0, batch.known, batch.conflicts, 0)
    with connection.begin():
        # A batch is sorted and joined with itself; it shall not need the disk for that.
        connection.execute(text("SET LOCAL work_mem = '64MB'"))
        connection.execute(query("capture", "create_staging"))
        driver = connection.connection.driver_connection
        assert driver is not None  # noqa: S101 - a connection that is open has one
        with driver.cursor() as cursor:
            cursor.copy_expert(COPY, BytesIO(batch.data), size=_CHUNK)
        imported, unpriced = connection.execute(query("capture", "book")).one()
        conflicts = list(batch.conflicts)
        if imported < batch.rows:
            conflicts += (
                Conflict(line, OTHER_CONTENT if content else OTHER_TIME)
                for line, content in connection.execute(query("capture", "conflicts"))
            )
    new = len(conflicts) - len(batch.conflicts)
    known = batch.known + batch.rows - imported - new
    return StoreResult(imported, known, tuple(conflicts), unpriced)


def _explained(cause: BaseException | None) -> UnavailableError:
    reason = str(cause).strip().splitlines()[0] if str(cause).strip() else "no answer"
    if isinstance(cause, errors.DiskFull):
        return UnavailableError(f"The database server's disk is full: {reason}")
    if isinstance(cause, errors.CheckViolation) and "no partition" in reason:
        return UnavailableError(
            f"The ledger lost a month's partition while rows were on their way to it: {reason}"
        )
    if isinstance(cause, psycopg2.OperationalError | psycopg2.InterfaceError):
        return UnavailableError(f"The connection to Postgres was lost: {reason}")
    return UnavailableError(f"Postgres refused the batch: {reason}")
