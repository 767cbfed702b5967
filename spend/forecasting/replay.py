"""The level of spend, chosen and judged by what it would have foretold in the past.

A level is an average that forgets: each day back counts less, by a half-life. Which half-life, and
how much of the growth seen is carried on, is what would have been off least on the days known;
how far that would have been off makes the range.
"""

from collections.abc import Sequence
from math import exp, log
from typing import NamedTuple

from spend.forecasting.past import PEAK, Past

HALF_LIVES = (4.0, 10.0, 28.0)  # days
GROWTHS = (0.0, 0.5, 1.0)  # how much of the growth seen is carried on
_COST = 0.2  # by how much growth has to be better than none
_FOR_GROWTH = 35  # days of past
_SLOWER = 4  # the half-life that growth is measured against
_APART = 2.0  # days that the two averages have to lie apart
_FASTEST = 0.03  # a day, in logarithms: more is a step, not growth
_DAMPING = 0.98  # a day; no growth lasts
_WARM_UP = 7, 28  # days before the first replay: a third of the past, but this at least and most
_TAILS = 0.1, 0.9
_OVERLAP = 2.0  # replays that overlap say little more than one: the range is that much wider
_LEAST = 0.02  # no range is narrower, to both sides
_NOTHING = 0.02  # mean days; replays that expected less than this tell nothing in proportion


class Track(NamedTuple):
    """The level as known at the beginning of each day, and of today last."""

    half_life: float
    spent: float
    weight: float
    levels: list[float]
    growths: list[float]  # a day, in logarithms
    ages: list[float]  # days that the level lags behind


class Best(NamedTuple):
    """low, high: what four of five replays lay between, relative to what they had said."""

    track: Track
    share: float
    low: float
    high: float

    def level_with(self, spent: float, weight: float, gone: float) -> float:
        """The level when today is counted in as well, as far as it is over."""
        keep = 0.5 ** (gone / self.track.half_life)
        most = PEAK * self.track.levels[-1] * weight
        above = self.track.spent * keep + gone * min(spent, most)
        below = self.track.weight * keep + gone * gone * weight
        return above / below if below else 0.0

    def growth(self, ahead: int) -> float:
        """By what the level is multiplied `ahead` days from today."""
        track = self.track
        return exp(self.share * track.growths[-1] * (track.ages[-1] + damped(ahead)))


def damped(ahead: int) -> float:
    """Days that growth is carried on for."""
    return (1 - _DAMPING ** (ahead + 1)) / (1 - _DAMPING)


def track(days: Sequence[float], weights: Sequence[float], half_life: float) -> Track:
    """Follow the level day by day, and the growth: how a fast and a slow average differ."""
    keep, keep_slow = 0.5 ** (1 / half_life), 0.5 ** (1 / (half_life * _SLOWER))
    spent = weight = behind = 0.0
    spent_slow = weight_slow = behind_slow = 0.0
    levels, growths, ages = [0.0], [0.0], [0.0]
    for n, amount in enumerate(days):
        of_day = weights[(n - len(days)) % 7]
        behind = keep * (behind + weight)
        behind_slow = keep_slow * (behind_slow + weight_slow)
        spent, weight = spent * keep + amount, weight * keep + of_day
        spent_slow = spent_slow * keep_slow + amount
        weight_slow = weight_slow * keep_slow + of_day
        level = age = growth = 0.0
        if weight > 0 and spent > 0:
            level, age = spent / weight, behind / weight
            apart = behind_slow / weight_slow - age
            if apart > _APART:
                growth = log(level * weight_slow / spent_slow) / apart
                growth = min(_FASTEST, max(-_FASTEST, growth))
        levels.append(level)
        growths.append(growth)
        ages.append(age)
    return Track(half_life, spent, weight, levels, growths, ages)


def best(known: Past, weights: Sequence[float], horizon: int) -> Best:
    """What would have been off least, `horizon` days ahead of each day that is far enough back."""
    count = len(known.clean)
    first = max(_WARM_UP[0], min(_WARM_UP[1], count // 3))
    origins = range(first, count - horizon + 1)
    ahead = [sum(weights[(n + k - count) % 7] for k in range(horizon)) for n in origins]
    clean = [sum(known.clean[n : n + horizon]) for n in origins]
    carried = damped((horizon - 1) // 2)
    found: list[tuple[float, Track, float, list[float]]] = []
    for half_life in HALF_LIVES:
        followed = track(known.clean, weights, half_life)
        for share in GROWTHS if count >= _FOR_GROWTH else GROWTHS[:1]:
            said = [
                weight
                * followed.levels[n]
                * (exp(share * followed.growths[n] * (followed.ages[n] + carried)) if share else 1)
                for n, weight in zip(origins, ahead, strict=True)
            ]
            off = sum(abs(one - other) for one, other in zip(said, clean, strict=True))
            found.append((off * (1 + _COST * share), followed, share, said))
    _, followed, share, said = min(found, key=lambda each: each[0])
    whole = [sum(known.whole[n : n + horizon]) for n in origins]
    return Best(followed, share, *_range(said, whole, horizon))


def _range(said: list[float], came: list[float], horizon: int) -> tuple[float, float]:
    off = sorted(
        one / other - 1 for one, other in zip(came, said, strict=True) if other > _NOTHING * horizon
    ) or [-1.0, 1.0]
    doubt = 1 + _OVERLAP * horizon / len(off)
    low, high = (_quantile(off, at) for at in _TAILS)
    return min(-_LEAST, low) * doubt, max(_LEAST, high) * doubt


def _quantile(ordered: list[float], share: float) -> float:
    at = share * (len(ordered) - 1)
    low = int(at)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (at - low)
