"""What share of a week each of its days usually has."""

from statistics import fmean

from spend.forecasting.past import Past

DAYS = 7
_HALF_LIFE = 42  # days; habits change slower than levels
_DOUBT = 0.5  # weeks: for how much each weekday is first taken for a day like all others


def weights(known: Past) -> list[float]:
    """Of seven days from today on; 1 is the mean day."""
    days = known.clean
    spent, usual = [0.0] * DAYS, [0.0] * DAYS
    sums = [sum(days[first : first + DAYS]) for first in range(len(days) - DAYS + 1)]
    for n, amount in enumerate(days):
        ago = len(days) - n
        recent = 0.5 ** (ago / _HALF_LIFE)
        spent[-ago % DAYS] += recent * amount
        usual[-ago % DAYS] += recent * sums[min(max(0, n - DAYS // 2), len(sums) - 1)] / DAYS
    found = [(one + _DOUBT) / (other + _DOUBT) for one, other in zip(spent, usual, strict=True)]
    mean = fmean(found)
    return [one / mean for one in found]
