"""What a call asks for in its query and headers."""

import base64
import binascii
from collections.abc import Sequence

import orjson

from spend.errors import BadInputError
from web.calls import Call
from web.refusals import invalid

MOST = 500
USUAL = 50
_YES = frozenset({"", "1", "true", "yes"})
_NO = frozenset({"0", "false", "no"})


def only(call: Call, *names: str) -> None:
    """Raises Refusal where the query asks for anything else: a misspelt filter would be none."""
    if unknown := sorted(call.query.keys() - set(names)):
        known = f"it can be {', '.join(names)}" if names else "there are none"
        raise invalid(f"There is no parameter {unknown[0]!r:.60}; {known}.")


def flag(call: Call, name: str) -> bool:
    """?name, ?name=true or ?name=false. Raises Refusal."""
    said = call.query.get(name, "false").lower()
    if said not in _YES | _NO:
        raise invalid(f"{name} is true or false, not {said!r:.60}.")
    return said in _YES


def count(call: Call, name: str = "limit", usual: int = USUAL, most: int = MOST) -> int:
    """A number from 1 to `most`. Raises Refusal."""
    said = call.query.get(name, str(usual))
    if not (said.isascii() and said.isdigit() and len(said) < 10 and 1 <= int(said) <= most):  # noqa: PLR2004 - digits of an integer
        raise invalid(f"{name} is a number from 1 to {most}, not {said!r:.60}.")
    return int(said)


def choices(call: Call, name: str, known: Sequence[str]) -> list[str]:
    """Some of several words, as ?name=a&name=b; empty where nothing is said. Raises Refusal."""
    said = call.query.getlist(name)
    for word in said:
        if word not in known:
            raise invalid(f"{name} is one of {', '.join(known)}, not {word!r:.60}.")
    return said


def one_of(call: Call, name: str, known: Sequence[str]) -> str | None:
    """One of several words; None where nothing is said. Raises Refusal."""
    return next(iter(choices(call, name, known)), None)


def fields(call: Call, *names: str, needed: Sequence[str] = ()) -> dict[str, str]:
    """The texts in a body that may have these fields and no others; null is left out.

    Raises BadInputError.
    """
    if unknown := sorted(call.said.keys() - set(names)):
        known = f"it can have {', '.join(names)}" if names else "it has no fields"
        raise BadInputError(f"The body has {unknown[0]!r:.60}; {known}.")
    said = {name: value for name, value in call.said.items() if value is not None}
    for name, value in said.items():
        if not isinstance(value, str):
            raise BadInputError(f"{name} is a text, not {value!r:.60}.")
    for name in needed:
        if name not in said:
            raise BadInputError(f"{name} is missing.")
    return said


def place(call: Call, name: str = "after") -> tuple[str, int] | None:
    """Where the page before this one ended, from its `next`. Raises Refusal."""
    said = call.query.get(name)
    if said is None:
        return None
    try:
        found = orjson.loads(base64.b64decode(said.encode(), b"-_", validate=True))
    except (binascii.Error, ValueError):
        found = None
    match found:
        # To Python, true and false are numbers; to Postgres they are not.
        case [str(), bool()]:
            pass
        case [str(text), int(number)] if "\0" not in text and 0 <= number < 1 << 31:
            return text, number
    raise invalid(f"{name} is what the page before this one gave as next.")


def next_place(text: str, number: int) -> str:
    """What place() reads."""
    return base64.urlsafe_b64encode(orjson.dumps([text, number])).decode()
