"""The ledger's monthly partitions."""

from collections.abc import Iterable
from datetime import UTC, datetime

from sqlalchemy import text
from sqlalchemy.orm import Session


def ensure(session: Session, times: Iterable[datetime]) -> int:
    """Make the partition of each time's month (UTC) unless it is there; returns how many.

    Takes locks that end with the transaction: give it a short one of its own.
    """
    days = {moment.astimezone(UTC).date() for moment in times}
    months = sorted({datetime(day.year, day.month, 1, tzinfo=UTC) for day in days})
    statement = text("SELECT spendbeat_ensure_month(CAST(:at AS timestamptz))")
    return sum(bool(session.scalar(statement, {"at": month})) for month in months)


def ensure_ahead(session: Session, months: int = 24) -> int:
    """Make this month's partition and those of the coming ones; returns how many were missing."""
    statement = text(
        "SELECT count(*) FILTER (WHERE spendbeat_ensure_month(now() + make_interval(months => n)))"
        " FROM generate_series(0, :months) AS n"
    )
    return int(session.scalars(statement, {"months": months}).one())
