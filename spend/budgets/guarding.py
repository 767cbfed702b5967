"""What a budget says to guards: how people write it, and what makes no sense in it."""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from spend.amounts import plain
from spend.budgets.definition import ENFORCE, UNPRICED, UNREACHABLE, Definition
from spend.errors import BadInputError

COLUMNS = (
    "enforce",
    "throttle_per_minute",
    "unreachable",
    "allowance",
    "unpriced",
    "ceiling",
)  # fmt: skip
MOST_PER_MINUTE = 1_000_000_000
_DEFAULTS = Definition("")
_CHOICES: Mapping[str, tuple[str, ...]] = {
    "enforce": ENFORCE,
    "unreachable": UNREACHABLE,
    "unpriced": UNPRICED,
}


def readers(
    dollars: Callable[[object, str], Decimal | None],
) -> dict[str, tuple[str, Callable[[object, str], Any]]]:
    """What reads each field; dollars: what reads an amount that may be none."""
    return {
        "enforce": ("enforce", _choice),
        "throttle_per_minute": ("throttle_per_minute", _per_minute),
        "unreachable": ("unreachable", _choice),
        "allowance": ("allowance", dollars),
        "unpriced": ("unpriced", _choice),
        "ceiling": ("ceiling", dollars),
    }


def written(definition: Definition) -> dict[str, Any]:
    """The fields as files have them: enforce, and of the others what is not the default."""
    found: dict[str, Any] = {"enforce": definition.enforce}
    for name in COLUMNS[1:]:
        value = getattr(definition, name)
        if value != getattr(_DEFAULTS, name):
            found[name] = plain(value) if isinstance(value, Decimal) else value
    return found


def check(definition: Definition) -> None:
    """Raises BadInputError; amounts themselves are checked with the others."""
    hard, soft = definition.hard_limit, definition.soft_limit
    if definition.enforce == "block" and hard is None:
        raise BadInputError("enforce block needs a hard limit, at which calls are refused.")
    if definition.enforce == "throttle" and (
        soft is None or definition.throttle_per_minute is None
    ):
        raise BadInputError(
            "enforce throttle needs a soft limit, and throttle_per_minute: the requests that may"
            " pass above it."
        )
    if definition.unpriced == "ceiling" and definition.ceiling is None:
        raise BadInputError("unpriced ceiling needs a ceiling, in dollars per million tokens.")


def per_minute(said: object, name: str) -> int:
    """Requests a minute. Raises BadInputError."""
    text = str(said).strip()
    if not (text.isascii() and text.isdigit() and len(text) <= 10 and int(text) <= MOST_PER_MINUTE):  # noqa: PLR2004 - digits of the most
        raise BadInputError(f"{name} {text[:40]!r} is not a whole number such as 60.")
    return int(text)


def _per_minute(said: object, name: str) -> int | None:
    return None if said is None or said == "none" else per_minute(said, name)


def _choice(said: object, name: str) -> str:
    if said is None:
        return str(getattr(_DEFAULTS, name))
    if said not in _CHOICES[name]:
        raise BadInputError(f"{name} is one of {', '.join(_CHOICES[name])}, not {said!r:.40}.")
    return str(said)
