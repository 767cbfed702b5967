"""Reading values of a payload that somebody else made: an odd one is nothing, never an error."""

import hashlib
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from spend.capture.values import MAX_TEXT, MAX_TOKENS

# What looks like a secret key. Short forms that are shown to people (sk-...1a2b) do not.
_KEY = re.compile(r"\bsk-[\w-]{6,}")
_LONGEST_COST = 40


def mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def text(value: object) -> str | None:
    """A short text that can be stored; keys in it are replaced by their SHA-256.

    LiteLLM names a key by the same hash, so a key stays one key.
    """
    found = whole_text(value)
    return (found and found[:MAX_TEXT].strip()) or None


def whole_text(value: object) -> str | None:
    """text() of any length."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        return None
    found = value.replace("\0", "").encode(errors="replace").decode()
    if "sk-" in found:
        found = _KEY.sub(lambda key: hashlib.sha256(key[0].encode()).hexdigest(), found)
    return found.strip() or None


def first(source: Mapping[str, Any], *names: str) -> str | None:
    """The first of these values that is a text."""
    return next((found for name in names if (found := text(source.get(name)))), None)


def count(value: object) -> int:
    """Tokens; what is no count is none."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        return 0
    return min(max(value, 0), MAX_TOKENS - 1)


def money(value: object) -> Decimal | None:
    """Dollars, through the shortest text of a float; None for what is no amount."""
    if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
        return None
    try:
        found = Decimal(str(value)[:_LONGEST_COST])
    except InvalidOperation:
        return None
    return found if found.is_finite() and 0 <= found < Decimal(10) ** 15 else None


def seconds(value: object) -> float | None:
    """Seconds since 1970 of an epoch number, a datetime or an ISO text; without zone it is UTC."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    if isinstance(value, datetime):
        aware = value if value.tzinfo else value.replace(tzinfo=UTC)
        return aware.timestamp()
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) and value > 0 else None
