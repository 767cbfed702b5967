"""What an adopted table holds beside what the ledger has of it."""

from dataclasses import dataclass
from decimal import Decimal

from sqlalchemy import Connection, Text, cast, column, select
from sqlalchemy import table as sql_table
from sqlalchemy.orm import Session

from spend.capture.adopt.rows import EXACT, Tally
from spend.capture.adopt.shape import Table
from spend.pricing import dollars
from spend.sql import query

LOCAL = "adopted:"


def prefix_of(name: str | None) -> str:
    """What stands before the ids of a table's rows; name: of one elsewhere, without a colon."""
    return LOCAL if name is None else f"adopted@{name}:"


@dataclass(frozen=True)
class Sums:
    """Rows, their dollars, and how many of them have no cost."""

    rows: int
    cost: Decimal
    unpriced: int


@dataclass(frozen=True)
class Booked(Sums):
    """What is in the ledger; priced: those of the rows that had tokens and no cost."""

    priced_rows: int
    priced_cost: Decimal


@dataclass(frozen=True)
class Balance:
    """table = booked - priced + left out - rounding + missing, in rows and in dollars.

    rounded: rows whose cost has more than twelve places, which the ledger rounds half to even.
    """

    table: Sums
    booked: Booked
    left_out: Sums
    rounded: int
    rounding: Decimal
    missing_rows: int
    missing_cost: Decimal

    @property
    def agrees(self) -> bool:
        return not self.missing_rows and not self.missing_cost


def booked(session: Session, prefix: str) -> Booked:
    """What the ledger has of a table."""
    row = session.execute(query("adopt", "booked"), {"prefix": prefix}).one()
    return Booked(row.rows, row.cost, row.unpriced, row.priced_rows, row.priced_cost)


def has_others(session: Session) -> bool:
    """Whether the ledger holds anything that was not adopted from a table set aside."""
    return bool(session.scalars(query("adopt", "others"), {"prefix": LOCAL}).one())


def balance(read: Tally, left_out: Tally, found: Booked) -> Balance:
    """Compare what was read with what is booked."""
    exact = EXACT.subtract(read.exact, left_out.exact)
    rounded = dollars(read.pico - left_out.pico)
    return Balance(
        table=Sums(read.rows, read.exact, read.unpriced),
        booked=found,
        left_out=Sums(left_out.rows, left_out.exact, left_out.unpriced),
        rounded=read.rounded - left_out.rounded,
        rounding=EXACT.subtract(rounded, exact),
        missing_rows=read.rows - left_out.rows - found.rows,
        missing_cost=rounded - (found.cost - found.priced_cost),
    )


def summary_total(connection: Connection, table: Table | None) -> Decimal | None:
    """What a plain spend_summary says is the sum of all; None where it says nothing of the kind."""
    type_ = table.columns.get("total_cost", "") if table else ""
    if table is None or not type_.startswith(("numeric", "double precision", "real")):
        return None
    texts = select(cast(column("total_cost"), Text)).select_from(
        sql_table(table.name, schema=table.schema)
    )
    found = Tally()
    for written in connection.execute(texts).scalars():
        found.add(written)
    return found.exact
