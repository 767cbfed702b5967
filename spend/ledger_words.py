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


def next_place(at: Place) -> str:
    """A place as one word, which place_of() reads."""
    said = json.dumps([at.started_at.astimezone(UTC).isoformat(), at.id])
    return base64.urlsafe_b64encode(said.encode()).decode()


def place_of(said: str) -> Place:
    """What next_place() wrote. Raises BadInputError."""
    try:
        match json.loads(base64.b64decode(said.encode(), b"-_", validate=True)):
            case [str(at), int(number)] if 0 <= number <= _MOST_ID:
                found = datetime.fromisoformat(at)
                if found.tzinfo is not None:
                    return Place(found.astimezone(UTC), number)
    except (binascii.Error, ValueError, OverflowError, RecursionError):
        pass
    raise BadInputError("after is what the page before this one gave as next.")


def _said(value: object) -> object:
    match value:
        case Decimal():
            return plain(value)
        case datetime():
            return value.astimezone(UTC).isoformat()
        case tuple() | list():
            return [_said(each) for each in value]
        case dict():
            return {name: _said(each) for name, each in value.items()}
        case _:
            return value
