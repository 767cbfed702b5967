"""Where a page of lines ends, as text in a URL."""

import base64
import binascii
from datetime import datetime
from decimal import Decimal, InvalidOperation

import orjson

from spend.amounts import plain
from spend.ledger_rows import Place as RequestPlace
from spend.reports import Place, SpendLine
from web.refusals import Refusal, invalid

_LONGEST = 100  # characters of a cost


def after(said: str | None) -> Place | None:
    """What following() wrote. Raises Refusal."""
    if not said:
        return None
    match _read(said):
        case [str(cost), str() | None as value] if len(cost) <= _LONGEST:
            try:
                amount = Decimal(cost)
            except InvalidOperation:
                raise _unreadable() from None
            if amount.is_finite() and "e" not in cost.lower() and "\0" not in (value or ""):
                return Place(amount, (value,))
    raise _unreadable()


def following(line: SpendLine) -> str:
    """The place of a line that is the last of its page."""
    return _written([plain(line.total_cost), line.group[0]])


def after_request(said: str | None) -> RequestPlace | None:
    """What following_request() wrote. Raises Refusal."""
    if not said:
        return None
    match _read(said):
        # To Python, true and false are numbers; to Postgres they are not.
        case [str(), bool()]:
            pass
        case [str(moment), int(number)] if 0 <= number < 1 << 63:
            try:
                at = datetime.fromisoformat(moment)
            except ValueError:
                raise _unreadable() from None
            if at.tzinfo is not None:
                return RequestPlace(at, number)
    raise _unreadable()


def following_request(place: RequestPlace) -> str:
    """A place among requests."""
    return _written([place.started_at.isoformat(), place.id])


def _written(values: list[object]) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(values)).decode()


def _read(said: str) -> object:
    try:
        return orjson.loads(base64.b64decode(said.encode(), b"-_", validate=True))
    except (binascii.Error, ValueError):
        raise _unreadable() from None


def _unreadable() -> Refusal:
    return invalid("after is where the page before this one ended.")
