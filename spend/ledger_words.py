"""Requests and places among them as programs read them: amounts and times as texts."""

import base64
import binascii
import json
from dataclasses import asdict
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from spend.amounts import plain
from spend.errors import BadInputError
from spend.ledger_rows import Place, Request
from spend.requests import Detail

_MOST_ID = 2**63 - 1


def as_json(request: Request) -> dict[str, Any]:
    """A request; a cost that is not known is None."""
    return {name: _said(value) for name, value in asdict(request).items()}


def detail_as_json(found: Detail) -> dict[str, Any]:
    """A request and all that is known of its cost, in one object."""
    more = {name: _said(value) for name, value in asdict(found).items() if name != "request"}
    return {**as_json(found.request), **more}


def next_place(at: Place, since: datetime | None = None) -> str:
    """A place as one word, which place_of() and begun_of() read.

    since: from when on the first page looked; where nobody said that, it would move with the clock.
    """
    times = [_utc(at.started_at), at.id, *([_utc(since)] if since else [])]
    return base64.urlsafe_b64encode(json.dumps(times).encode()).decode()


def place_of(said: str) -> Place:
    """The place in what next_place() wrote. Raises BadInputError."""
    return _read(said)[0]


def begun_of(said: str) -> datetime | None:
    """From when on the first page looked, where next_place() was told. Raises BadInputError."""
    return _read(said)[1]


def _read(said: str) -> tuple[Place, datetime | None]:
    try:
        match json.loads(base64.b64decode(said.encode(), b"-_", validate=True)):
            # To Python, true and false are numbers; to Postgres they are not.
            case [str(), bool(), *_]:
                pass
            case [str(at), int(number), *rest] if 0 <= number <= _MOST_ID and len(rest) <= 1:
                times = [datetime.fromisoformat(time) for time in (at, *rest)]
                if all(time.tzinfo is not None for time in times):
                    began, *since = (time.astimezone(UTC) for time in times)
                    return Place(began, number), next(iter(since), None)
    except (binascii.Error, ValueError, TypeError, OverflowError, RecursionError):
        pass
    raise BadInputError("after is what the page before this one gave as next.")


def _utc(time: datetime) -> str:
    return time.astimezone(UTC).isoformat()


def _said(value: object) -> object:
    match value:
        case Decimal():
            return plain(value)
        case datetime():
            return _utc(value)
        case tuple() | list():
            return [_said(each) for each in value]
        case dict():
            return {name: _said(each) for name, each in value.items()}
        case _:
            return value
