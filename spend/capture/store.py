"""From a batch to the ledger: one transaction, which books each request once or not at all."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg2
import pyarrow as pa
import pyarrow.compute as pc
from psycopg2 import errors
from sqlalchemy import Connection, Row, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from models import TOKEN_CLASSES
from spend.capture.batch import OTHER_CONTENT, OTHER_REQUEST, OTHER_TIME, Batch, Conflict
from spend.capture.block import Column
from spend.errors import UnavailableError
from spend.pricing import disagreements
from spend.sql import query

_CHUNK = 1 << 18
_ATTEMPTS = 20
_REASONS = {"content": OTHER_CONTENT, "time": OTHER_TIME, "request": OTHER_REQUEST}

_COLUMNS = (
    "id",
    "started_at",
    "attribution_id",
    "price_version_id",
    "cost_usd",
    "computed_cost_usd",
    "gateway_cost_usd",
    "provider_cost_usd",
    "service_tier",
    *TOKEN_CLASSES,
    "provider",
    "model",
    "status",
    "request_id",
    "trace_id",
    "session_id",
    "end_user",
)
# NULL is nothing at all between two tabs, since no text of a request is empty.
LEDGER = f"COPY cost_logs ({', '.join(_COLUMNS)}) FROM STDIN WITH (NULL '')"
KEYS = "COPY staged_keys (line, digest, started_at, key) FROM STDIN"


@dataclass(frozen=True, slots=True)
class StoreResult:
    """What became of a batch's rows; imported + known + conflicts is all of them."""

    imported: int
    known: int
    conflicts: list[Conflict]
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
        if not len(batch):
            return StoreResult(0, batch.known, batch.conflicts, 0)
        try:
            with self._connection.begin():
                result = self._book(batch)
        except (psycopg2.Error, DBAPIError) as error:
            cause = error.orig if isinstance(error, DBAPIError) else error
            raise _explained(cause) from error
        self._expect_known = result.imported < len(batch)
        return result

    def _book(self, batch: Batch) -> StoreResult:
        connection = self._connection
        rows = len(batch)
        # A batch is sorted and joined with itself; it shall not need the disk for that.
        connection.execute(text("SET LOCAL work_mem = '64MB'"))
        connection.execute(query("capture", "lock_ledger"))
        connection.execute(query("capture", "create_staging"))
        self._copy(KEYS, _numbered(range(rows), batch.keys))
        if batch.others:
            self._copy(KEYS, pa.py_buffer(("\n".join(batch.others) + "\n").encode()))
        claim = self._claim_all() if batch.others else self._claim()
        if claim.claimed == rows and claim.lines is None:
            first = claim.first_id
            self._copy(LEDGER, _numbered(range(first, first + rows), batch.rows))
            self._compare(batch, range(first, first + rows))
            return StoreResult(rows, batch.known, batch.conflicts, len(batch.unpriced))
        places = claim.lines or []
        rows_in = pa.concat_arrays(batch.rows).take(pa.array(places, pa.int32()))
        self._copy(LEDGER, _numbered(claim.ids or [], [rows_in]))
        self._compare(batch, dict(zip(places, claim.ids or [], strict=True)))
        conflicts = self._conflicts(batch) if claim.claimed < rows else []
        return StoreResult(
            claim.claimed,
            batch.known + rows - claim.claimed - len(conflicts),
            batch.conflicts + conflicts,
            len(set(batch.unpriced).intersection(places)),
        )

    def _compare(self, batch: Batch, ids: Mapping[int, int] | range) -> None:
        """Note costs that disagree, of rows that are new; ids: the ledger's, by place."""
        places = range(len(ids)) if isinstance(ids, range) else ids
        new = [
            (ids[c.place], c.provider, c.model, c.started_us, c.booked)
            for c in batch.compared
            if c.place in places
        ]
        if new:
            disagreements.record(self._connection, new)

    def _conflicts(self, batch: Batch) -> list[Conflict]:
        found = self._connection.execute(query("capture", "conflicts")).all()
        places = pa.array([line for line, _ in found], pa.int32())
        said = pa.concat_arrays(batch.rows).take(places).to_pylist()
        return [
            Conflict(batch.lines[line], _REASONS[reason], _described(row))
            for (line, reason), row in zip(found, said, strict=True)
        ]

    def _claim(self) -> Row[Any]:
        if not self._expect_known:
            try:
                with self._connection.begin_nested():
                    return self._connection.execute(query("capture", "claim")).one()
            except IntegrityError as error:
                if not isinstance(error.orig, errors.UniqueViolation):
                    raise
        return self._connection.execute(query("capture", "claim_unknown")).one()

    def _claim_all(self) -> Row[Any]:
        """Claim rows that have several keys each: all of a row's, or none."""
        for _ in range(_ATTEMPTS):
            attempt = self._connection.begin_nested()
            claim = self._connection.execute(query("capture", "claim_all")).one()
            if not claim.torn:
                attempt.commit()
                return claim
            # Somebody booked one of them between our look and our insert; now we see it.
            attempt.rollback()
        raise UnavailableError("Other sessions kept booking the same requests. Try again.")

    def _copy(self, statement: str, lines: Column) -> None:
        driver = self._connection.connection.driver_connection
        assert driver is not None  # noqa: S101 - a connection that is open has one
        with driver.cursor() as cursor:
            cursor.copy_expert(statement, pa.BufferReader(lines), size=_CHUNK)


def _numbered(numbers: Sequence[int], lines: list[Column]) -> Column:
    """Lines of COPY, each with its number before it, as one buffer."""
    texts = pc.cast(pa.array(numbers, pa.int64()), pa.string())
    joined = pc.binary_join_element_wise(texts, pa.concat_arrays(lines), "\t")
    ended = pc.binary_join_element_wise(joined, "", "\n")
    if not len(ended):
        return pa.py_buffer(b"")
    offsets = pa.Array.from_buffers(pa.int32(), len(ended) + 1, [None, ended.buffers()[1]])
    return ended.buffers()[2].slice(0, offsets[-1].as_py())


def _described(row: str) -> str:
    """A line of COPY for people: its columns with their names, without those that say nothing."""
    said = zip(_COLUMNS[1:], row.split("\t"), strict=False)
    return json.dumps({name: value for name, value in said if value not in {"", "0"}})


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
