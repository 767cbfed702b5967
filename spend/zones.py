"""Time zones that Python and Postgres know, and whose days both cut at the same moments."""

from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from spend.errors import BadInputError
from spend.sql import query

# Postgres takes these for offsets without summer time, IANA for zones that have it.
OFFSETS = frozenset({"CET", "EET", "MET", "WET"})
# Postgres reads hundreds of files for the list of its zones, and no zone ever goes.
_found: set[str] = set()


def known(session: Session, name: str) -> ZoneInfo:
    """The zone of an IANA name. Raises BadInputError."""
    try:
        zone = ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise _refused(name) from None
    if name in OFFSETS:
        raise BadInputError(
            f"{name} is an offset to some and a zone with summer time to others; use the name of a"
            " place, such as 'Europe/Berlin'."
        )
    if name not in _found:
        if not session.scalar(query("rebuild", "zone_exists"), {"zone": name}):
            raise _refused(name)
        _found.add(name)
    return zone


def _refused(name: str) -> BadInputError:
    return BadInputError(
        f"{name!r:.80} is not a time zone that is known; use an IANA name such as 'Europe/Berlin'"
        " or 'Asia/Kolkata'."
    )
