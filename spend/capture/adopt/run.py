"""Booking a table's rows through the capture path, and proving that they are booked."""

from dataclasses import dataclass
from datetime import tzinfo
from decimal import Decimal
from functools import partial

from sqlalchemy import Connection, Engine
from sqlalchemy.orm import Session

from spend.capture.adopt import books, shape
from spend.capture.adopt.books import Balance
from spend.capture.adopt.rows import LeftOut, Rows, Tally
from spend.capture.building import RejectsSink
from spend.capture.pipeline import BATCH_ROWS, OnProgress, import_source
from spend.capture.summary import ImportSummary
from spend.capture.trial import try_source


@dataclass(frozen=True)
class Adopted:
    """What became of a table. balance: None for a dry run.

    read: what its rows say. reasons: why how many rows were left out. said: what an old
    spend_summary beside it adds up to, None where there is none.
    """

    summary: ImportSummary
    read: Tally
    reasons: dict[str, int]
    balance: Balance | None
    said: Decimal | None


def run(
    connection: Connection,
    engine: Engine | None,
    rows: Rows,
    *,
    zone: tzinfo | None = None,
    batch_rows: int = BATCH_ROWS,
    rejects: RejectsSink | None = None,
    summary_table: str | None = None,
    on_progress: OnProgress | None = None,
) -> Adopted:
    """Book rows of a table, read over `connection` in one snapshot that it only reads.

    Rows that are booked already are known by their ids. engine: of the ledger, as the writer; None
    books nothing and only looks. Raises UnavailableError when Postgres does not take a batch; the
    same again books the rest.
    """
    left_out = LeftOut(rejects)
    connection.rollback()
    connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    with connection.begin():
        book = partial(try_source, None) if engine is None else partial(import_source, engine)
        summary = book(
            rows,
            zone=zone,
            batch_rows=batch_rows,
            rejects=left_out,
            on_progress=on_progress,
        )
        old = shape.look(connection, summary_table) if summary_table else None
        said = books.summary_total(connection, old)
    balance = None
    if engine is not None:
        with Session(engine) as session:
            found = books.booked(session, rows.prefix)
        balance = books.balance(rows.tally, left_out.tally, found)
    return Adopted(summary, rows.tally, left_out.reasons, balance, said)
