"""From a batch to the ledger: one transaction, which books each request once or not at all."""

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import psycopg2
from psycopg2 import errors
from sqlalchemy import Connection, Row, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from spend.capture.staging import KEYS, LEDGER, OTHER_CONTENT, OTHER_TIME, Batch, Conflict
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


class Store:
    """Books batches over one connection.

    Keys of a new file are claimed with a plain INSERT, which is a quarter faster than one with ON
    CONFLICT. The first key that is known already ends that: its batch and those after it are
    claimed with ON CONFLICT, until one has no known key again.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._expect_known = False

    def __call__(self, batch: Batch) -> StoreResult:
        """Book a batch in one transaction. Raises UnavailableError; then nothing of it is in."""
        if not batch.rows:
            return StoreResult(0, batch.known, batch.conflicts, 0)
        try:
            with self._connection.begin():
                result = self._book(batch)
        except (psycopg2.Error, DBAPIError) as error:
            cause = error.orig if isinstance(error, DBAPIError) else error
            raise _explained(cause) from error
        self._expect_known = result.imported < len(batch.rows)
        return result

    def _book(self, batch: Batch) -> StoreResult:
        connection = self._connection
        # A batch is sorted and joined with itself; it shall not need the disk for that.
        connection.execute(text("SET LOCAL work_mem = '64MB'"))
        connection.execute(query("capture", "lock_ledger"))
        connection.execute(query("capture", "create_staging"))
        self._copy(KEYS, batch.keys)
        claim = self._claim()
        claimed, lines, ids = claim.claimed, claim.lines, claim.ids
        if claimed == len(batch.rows) and lines is None:
            self._copy(
                LEDGER, [f"{id_}\t{row}" for id_, row in enumerate(batch.rows, claim.first_id)]
            )
            return StoreResult(claimed, batch.known, batch.conflicts, len(batch.unpriced))
        booked = list(zip(lines or (), ids or (), strict=True))
        self._copy(LEDGER, [f"{id_}\t{batch.rows[line]}" for line, id_ in booked])
        conflicts = list(batch.conflicts)
        if claimed < len(batch.rows):
            conflicts += (
                Conflict(batch.indexes[line], OTHER_CONTENT if content else OTHER_TIME)
                for line, content in connection.execute(query("capture", "conflicts"))
            )
        passed = len(batch.rows) - claimed - (len(conflicts) - len(batch.conflicts))
        unpriced = len(set(batch.unpriced).intersection(lines or ()))
        return StoreResult(claimed, batch.known + passed, tuple(conflicts), unpriced)

    def _claim(self) -> Row[Any]:
        if not self._expect_known:
            try:
                with self._connection.begin_nested():
                    return self._connection.execute(query("capture", "claim")).one()
            except IntegrityError as error:
                if not isinstance(error.orig, errors.UniqueViolation):
                    raise
        return self._connection.execute(query("capture", "claim_unknown")).one()

    def _copy(self, statement: str, lines: Sequence[str]) -> None:
        driver = self._connection.connection.driver_connection
        assert driver is not None  # noqa: S101 - a connection that is open has one
        with driver.cursor() as cursor:
            cursor.copy_expert(statement, BytesIO("\n".join(lines).encode()), size=_CHUNK)


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
