"""What share of a week each of its days usually has."""

from statistics import fmean, variance

from spend.forecasting.past import Past

DAYS = 7
_HALF_LIFE = 42  # days; habits change slower than levels
_DOUBT = 0.5  # weeks: for how much each weekday is first taken for a day like all others


def weights(known: Past) -> list[float]:
    """Of seven days from today on; 1 is the mean day.

    Weekdays count as far as they differ by more than chance would make them: where days of the
    same name differ as much among themselves, all are taken for alike.
    """
    days = known.clean
    spent, usual, squares = [0.0] * DAYS, [0.0] * DAYS, [0.0] * DAYS
    sums = [sum(days[first : first + DAYS]) for first in range(len(days) - DAYS + 1)]
    for n, amount in enumerate(days):
        ago = len(days) - n
        recent = 0.5 ** (ago / _HALF_LIFE)
        around = sums[min(max(0, n - DAYS // 2), len(sums) - 1)] / DAYS
        spent[-ago % DAYS] += recent * amount
        usual[-ago % DAYS] += recent * around
        if around:
            squares[-ago % DAYS] += recent * amount * amount / around
    found = [(one + _DOUBT) / (other + _DOUBT) for one, other in zip(spent, usual, strict=True)]
    mean = fmean(found)
    found = [one / mean for one in found]
    chance = fmean(
        square / (other + _DOUBT) - one * one
        for square, other, one in zip(squares, usual, found, strict=True)
    ) / (len(days) / DAYS)
    seen = variance(found)
    clear = max(0.0, 1 - max(0.0, chance) / seen) if seen else 0.0
    return [1 + clear * (one - 1) for one in found]
