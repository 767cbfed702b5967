"""When a message is tried again: a function of values, without a clock or a database.

    attempt    2     3     4      5       6       7    8    9    10   11    12 to 15
    pause      5 s   30 s  2 min  10 min  30 min  1 h  2 h  4 h  8 h  12 h  12 h each

Fifteen attempts in 75 hours and 43 minutes, each pause up to a tenth shorter or longer by chance.
"""

PAUSES = (
    *(5.0, 30.0, 120.0, 600.0, 1800.0),
    *(hours * 3600.0 for hours in (1, 2, 4, 8, 12, 12, 12, 12, 12)),
)
JITTER = 0.1
# A receiver may ask for more patience than we would have, but not for ever.
LONGEST = 24 * 3600.0


def pause(attempts: int, retry_after: float | None, chance: float) -> float | None:
    """Seconds until the next attempt after so many that failed; None is to give up.

    attempts: at least 1. retry_after: what the receiver asked for, in seconds; never shortens the
    pause. chance: from 0 to 1.
    """
    if attempts > len(PAUSES):
        return None
    own = PAUSES[attempts - 1] * (1 + JITTER * (2 * chance - 1))
    if retry_after is None:
        return own
    return max(own, min(retry_after, LONGEST))
