"""What a budget's period will have spent when it ends: its usual week, carried on from now.

Pure; docs/forecast.md explains the method and shows how far off it is.
"""

from datetime import date, timedelta
from decimal import Decimal
from math import hypot, sqrt
from typing import NamedTuple

from spend.forecasting import past, replay, week
from spend.forecasting.hours import usual_share
from spend.forecasting.past import HISTORY_DAYS, Days

__all__ = ["HISTORY_DAYS", "Days", "Forecast", "forecast", "missing", "usual_share"]

MIN_DAYS = 14  # two of each weekday
MIN_ACTIVE_DAYS = 3
LONGEST_REPLAY = 28  # days; what lies further ahead is as uncertain as a random walk makes it
_UNEVEN = 0.8  # of a day: at noon a fifth of it may have come sooner or later than by the clock
_MOMENT = 0.1  # days
_PLACES = 6  # of what is guessed; what was spent keeps all of its digits


class Forecast(NamedTuple):
    """Spend of the whole period at its end. spent <= low <= expected <= high.

    low, high: about four of five periods end between them.
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
    of today is over, by the clock or better by `usual_share`. ends: the first day after the period.
    spent: what the period has spent so far, where the days do not reach back to its start.
    """
    if spent is None:
        spent = sum((amount for day, amount in days if starts <= day < ends), Decimal(0))
    if today >= ends:
        return Forecast(spent, spent, spent)
    if missing(days, today):
        return None
    expected, low, high = _rest(days, min(1.0, max(0.0, today_fraction)), starts, ends, today)
    return Forecast(spent + _money(expected), spent + _money(low), spent + _money(high))


def missing(days: Days, today: date) -> str | None:
    """What has to be there before a forecast is made, as a sentence; None where it is there."""
    ages = [ago for ago, amount in past.by_age(days, today).items() if ago and amount > 0]
    if not ages:
        return f"Nothing was spent in the {HISTORY_DAYS} days before today."
    if max(ages) < MIN_DAYS:
        return f"The first spend was {max(ages)} days ago; a forecast needs {MIN_DAYS}."
    if len(ages) < MIN_ACTIVE_DAYS:
        return f"There are {len(ages)} days with spend; a forecast needs {MIN_ACTIVE_DAYS}."
    return None


def _rest(
    days: Days, gone: float, starts: date, ends: date, today: date
) -> tuple[float, float, float]:
    """What is still to be spent: expected, low and high, in dollars."""
    known = past.read(days, today)
    weights = week.weights(known)
    away, until = max(0, (starts - today).days), (ends - today).days
    horizon = max(1, min(LONGEST_REPLAY, until - away, len(known.clean) // 3))
    best = replay.best(known, weights, horizon)
    level = best.level_with(known.today, weights[0], gone)
    rest = shape = 0.0
    for ahead in range(away, until):
        usual = weights[ahead % week.DAYS] * level * best.growth(ahead)
        again = known.monthly.get(past.of_month(today + timedelta(ahead)), 0.0)
        if ahead:
            rest += usual + again
        else:
            rest += _rest_of_today(known.today, gone, usual, again)
            shape = _UNEVEN * usual * gone * (1 - gone)
    left = until - (away or gone)
    # Less time than was replayed is less sure in proportion, more time is a random walk.
    stretch = sqrt((until - gone) / horizon if left > horizon else horizon / max(left, _MOMENT))
    below = hypot(rest * best.low * stretch, shape)
    above = hypot(rest * best.high * stretch, shape)
    return rest * known.unit, max(0.0, rest - below) * known.unit, (rest + above) * known.unit


def _rest_of_today(spent: float, gone: float, usual: float, again: float) -> float:
    """Today's own pace counts more the later it is. A batch may already be in what is spent."""
    pace = min(spent / gone, past.PEAK * usual) if gone else usual
    return (1 - gone) * (usual + gone**2 * (pace - usual) + max(0.0, again - spent))


def _money(amount: float) -> Decimal:
    return round(Decimal(amount), _PLACES)
