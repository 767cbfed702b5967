"""How much of a day's spend has usually come by some time of it."""

from collections.abc import Sequence
from decimal import Decimal

_DOUBT = 0.1  # of the mean part: no part of the day is taken for one in which nothing is spent


def usual_share(parts: Sequence[Decimal], fraction: float) -> float:
    """What to say to `forecast` instead of the clock's fraction where days are uneven.

    parts: spend by the hour of the day (or other equal parts of it) over some weeks, first to last.
    fraction: 0 to 1, how much of the day is over by the clock; the answer where nothing was spent.
    """
    known = [max(0.0, float(part)) for part in parts]
    if not any(known):
        return fraction
    doubt = _DOUBT * sum(known) / len(known)
    known = [part + doubt for part in known]
    at = min(1.0, max(0.0, fraction)) * len(known)
    whole = min(int(at), len(known) - 1)
    return min(1.0, (sum(known[:whole]) + (at - whole) * known[whole]) / sum(known))
