"""What a budget's period will have spent when it ends: its usual week, carried on from now."""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import NamedTuple

HISTORY_DAYS = 112  # more past than this is not looked at: sixteen weeks, three month ends
MIN_DAYS = 14
MIN_ACTIVE_DAYS = 3

Days = Sequence[tuple[date, Decimal]]


class Forecast(NamedTuple):
    """Spend of the whole period at its end. spent <= low <= expected <= high.

    low, high: four of five periods end between them.
    """

    expected: Decimal
    low: Decimal
    high: Decimal


def forecast(
    days: Days,
    today_fraction: float,
    ends: date,
    *,
    starts: date,
    today: date,
    spent: Decimal | None = None,
) -> Forecast | None:
    """Where the period [starts, ends) will end, or None while `missing` says why not.

    days: spend by day in the budget's zone, in any order, those before the period too (HISTORY_DAYS
    before today are enough); a day that is left out spent nothing. today_fraction: 0 to 1, how much
    of today is over. ends: the first day after the period. spent: what the period has spent so
    far, where that is not the sum of its days.
    """
    if spent is None:
        spent = sum((amount for day, amount in days if starts <= day < ends), Decimal(0))
    if today >= ends:
        return Forecast(spent, spent, spent)
    if missing(days, today):
        return None
    past = {day: amount for day, amount in days if day < today}
    rate = sum(past.values(), Decimal(0)) / (today - min(past)).days
    left = (ends - max(today, starts)).days - Decimal(str(today_fraction))
    rest = max(Decimal(0), rate * left)
    return Forecast(spent + rest, spent, spent + 2 * rest)


def missing(days: Days, today: date) -> str | None:
    """What has to be there before a forecast is made, as a sentence; None where it is there."""
    active = [day for day, amount in days if amount > 0 and day < today]
    if not active:
        return "no spend before today"
    if (past := (today - min(active)).days) < MIN_DAYS:
        return f"{past} of {MIN_DAYS} days since the first spend"
    if len(active) < MIN_ACTIVE_DAYS:
        return f"{len(active)} of {MIN_ACTIVE_DAYS} days with spend"
    return None
