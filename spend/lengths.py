"""Lengths of time as people write them: 30m, 24h, 7d."""

import re
from datetime import timedelta

from spend.errors import BadInputError

_LENGTH = re.compile(r"([0-9]{1,6})([smhd]?)", re.ASCII)
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def length(said: str, most: timedelta) -> timedelta:
    """30s, 30m, 24h, 7d; a number alone is hours. Raises BadInputError."""
    found = _LENGTH.fullmatch(said.strip())
    if not found:
        raise BadInputError(f"{said!r:.50} is not a length of time such as 30m, 24h or 7d.")
    span = timedelta(seconds=int(found[1]) * _UNITS[found[2] or "h"])
    if span > most:
        raise BadInputError(f"{said:.50} is too long: at most {most.days} days.")
    return span
