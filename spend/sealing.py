"""Sealing: dropping the ledger rows of an old month while every total stays as it is."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import Result, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from spend.audit import LOCK
from spend.errors import BadInputError, SpendbeatError
from spend.sql import queries, query

_UTC = ZoneInfo("UTC")


class NotSealableError(SpendbeatError):
    """The month cannot be sealed now; nothing was dropped."""


@dataclass(frozen=True)
class SealResult:
    """rows: ledger rows that were dropped after their sums were kept."""

    month: date
    rows: int


def bounds(month: date) -> tuple[datetime, datetime]:
    """A month's first moment and that of the next one, in UTC."""
    start = datetime(month.year, month.month, 1, tzinfo=_UTC)
    year, number = divmod(month.year * 12 + month.month, 12)
    return start, datetime(year, number + 1, 1, tzinfo=_UTC)


def seal(session: Session, month: date, now: datetime) -> SealResult:
    """Keep a past month's sums and drop its rows, in this transaction; needs the owner role.

    Late rows are held off meanwhile and counted afterwards. Raises NotSealableError where a row
    is not counted yet or a bucket disagrees, BadInputError for a month that is not over or holds
    nothing.
    """
    start, stop = bounds(month)
    if stop > now:
        raise BadInputError(f"{month:%Y-%m} is not over; only past months can be sealed.")
    part = f"cost_logs_y{month.year}m{month.month:02}"
    if session.scalar(text("SELECT to_regclass(:part)"), {"part": part}) is None:
        raise BadInputError(f"The ledger has no partition for {month:%Y-%m}.")
    session.execute(query("sealing", "lock"), {"lock": LOCK})
    _hold(session, part, month)
    binds = {"month": start.date(), "start": start, "stop": stop}
    if uncounted := _run(session, "uncounted", part).scalar_one():
        raise NotSealableError(
            f"{uncounted} rows of {month:%Y-%m} are not counted yet. Try again when the rollups"
            " have caught up."
        )
    if differing := _run(session, "differing", part, binds).scalar_one():
        raise NotSealableError(
            f"{differing} buckets of {month:%Y-%m} differ from the ledger. Run 'spendbeat verify',"
            " then 'spendbeat rollups rebuild', then seal again."
        )
    rows = int(_run(session, "count", part).scalar_one())
    for name in ("seal_sums", "seal_buckets", "open_guard", "drop_rows", "close_guard"):
        _run(session, name, part, binds)
    return SealResult(start.date(), rows)


def _hold(session: Session, part: str, month: date) -> None:
    session.execute(query("sealing", "be_impatient"))
    try:
        _run(session, "hold_month", part)
    except OperationalError as error:
        raise NotSealableError(
            f"{month:%Y-%m} is still being written or read; nothing was dropped. Try again."
        ) from error


def _run(
    session: Session, name: str, part: str, binds: Mapping[str, object] | None = None
) -> Result[Any]:
    # A table's name cannot be a bind; `part` is made of two numbers.
    return session.execute(text(queries("sealing")[name].replace("{part}", part)), binds or {})
