"""What reports are asked for in common: which requests, of which time, and how fresh that is."""

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy.orm import Session

from spend import filters, zones
from spend.errors import BadInputError
from spend.ticks import Counted
from web import asking
from web.calls import Call
from web.refusals import invalid


def only(call: Call, *names: str) -> dict[str, list[str | None]]:
    """Which requests are asked for, by spend.filters; an empty value is what has none.

    names: the other parameters that there are, once each. Raises Refusal for any beside them, and
    for the one character that Postgres has not.
    """
    found = {name: call.query.getlist(name) for name in call.query if filters.is_filter(name)}
    asking.only(call, *names, *filters.FIELDS, filters.TAG, *found)
    unbroken(call, *found)
    chosen = {name: [value or None for value in values] for name, values in found.items()}
    try:
        filters.check(chosen)
    except BadInputError as error:
        raise invalid(str(error)) from None
    return chosen


def unbroken(call: Call, *several: str) -> None:
    """Raises Refusal for the one character that Postgres has not, and for what is said twice but
    in `several`.
    """
    for name, said in call.query.multi_items():
        if "\0" in said or "\0" in name:
            raise invalid(f"{name!r:.60} has a character that is in no text (U+0000).")
        if name not in several and len(call.query.getlist(name)) > 1:
            raise invalid(f"{name} is there more than once.")


def span(session: Session, call: Call, zone: str) -> tuple[datetime | None, datetime | None]:
    """From and to in UTC. Raises BadInputError."""
    known = zones.known(session, zone)
    since, until = (_moment(call, name, known) for name in ("from", "to"))
    if since and until and since >= until:
        raise BadInputError("from has to be before to, which is the first moment left out.")
    return since, until


def freshness(counted: Counted | None) -> dict[str, Any]:
    """Up to when everything is counted, and how long ago that was."""
    return {
        "counted_to": counted and counted.at.astimezone(UTC).isoformat(),
        "counted_seconds_ago": counted and round(counted.age, 3),
    }


def _moment(call: Call, name: str, zone: ZoneInfo) -> datetime | None:
    """A date or time, in the zone unless it names an offset. Raises BadInputError."""
    said = call.query.get(name)
    if said is None:
        return None
    try:
        found = datetime.fromisoformat(said)
        return (found if found.tzinfo else found.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise BadInputError(
            f"{name} is a date or time such as 2026-11-21 or 2026-11-21T09:15, not"
            f" {said!r:.60}. In an address the + of an offset is written %2B."
        ) from None
