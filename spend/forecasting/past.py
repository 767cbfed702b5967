"""The days before today, and which of their peaks come back every month."""

from calendar import monthrange
from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from statistics import fmean, median
from typing import NamedTuple

HISTORY_DAYS = 112  # sixteen weeks, three month ends; what is older says little about tomorrow
PEAK = 4.0  # usual days; what a day has above that is no sign of what the next ones will spend
_NEAR = 7  # days to both sides that say what was usual then
_HALF = 15  # of a month: from this day on days are counted from the month's end
_AGAIN = 2  # months that a peak has to come in, and in two of three
_WEEK = 7


Days = Sequence[tuple[date, Decimal]]


class Past(NamedTuple):
    """Spend before today and of today so far, where the mean day is 1.

    clean: one per day since the first spend, oldest first, yesterday last; peaks are cut.
    whole: the same with its peaks, except those that come back. monthly: what comes back, by
    `of_month`. unit: what 1 is, in dollars.
    """

    clean: list[float]
    whole: list[float]
    today: float
    monthly: dict[int, float]
    unit: float


def by_age(days: Days, today: date) -> dict[int, Decimal]:
    """Spend of today and the days that are looked at, by how many days ago they were."""
    found: defaultdict[int, Decimal] = defaultdict(Decimal)
    for day, amount in days:
        ago = (today - day).days
        if 0 <= ago <= HISTORY_DAYS:
            found[ago] += amount
    return found


def read(days: Days, today: date) -> Past:
    """Needs spend before today. Corrections may bring a day below zero: it counts as nothing."""
    amounts = {ago: max(0.0, float(amount)) for ago, amount in by_age(days, today).items()}
    oldest = max(ago for ago, amount in amounts.items() if amount)
    whole = [amounts.get(ago, 0.0) for ago in range(oldest, 0, -1)]
    unit = fmean(whole)
    whole = [amount / unit for amount in whole]
    weekdays = [_usual(whole[first::_WEEK]) for first in range(_WEEK)]
    clean = _without_peaks(whole, weekdays)
    keys = [of_month(today - timedelta(ago)) for ago in range(oldest, 0, -1)]
    again = _again(keys, [one > other for one, other in zip(whole, clean, strict=True)])
    batches: defaultdict[int, list[float]] = defaultdict(list)
    for n, key in enumerate(keys):
        if key in again and whole[n] > clean[n]:
            clean[n] = min(clean[n], weekdays[n % _WEEK])
            batches[key].append(whole[n] - clean[n])
    monthly = {key: median(amounts) for key, amounts in batches.items()}
    rest = [max(0.0, one - monthly.get(key, 0.0)) for key, one in zip(keys, whole, strict=True)]
    return Past(clean, rest, amounts.get(0, 0.0) / unit, monthly, unit)


def of_month(day: date) -> int:
    """1 for the first of a month, -1 for the last."""
    return day.day if day.day < _HALF else day.day - monthrange(day.year, day.month)[1] - 1


def _without_peaks(whole: list[float], weekdays: list[float]) -> list[float]:
    """Each day at most PEAK times what was usual around it, or on its weekday if that is more."""
    return [
        min(one, PEAK * max(_usual(whole[max(0, n - _NEAR) : n + _NEAR + 1]), weekdays[n % _WEEK]))
        for n, one in enumerate(whole)
    ]


def _usual(days: list[float]) -> float:
    """Of days with spend: where they are few, each is usual."""
    return median([one for one in days if one] or [0.0])


def _again(keys: list[int], peaks: list[bool]) -> set[int]:
    """Days of a month that have a peak in most months, such as those of a batch at its end."""
    times, all_times = Counter[int](), Counter(keys)
    times.update(key for key, peak in zip(keys, peaks, strict=True) if peak)
    return {key for key, n in times.items() if n >= _AGAIN and 3 * n >= 2 * all_times[key]}
