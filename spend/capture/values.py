"""Single values as they come in files and messages, checked and brought to one form."""

from decimal import Decimal, InvalidOperation

from spend.capture.request import Rejected
from spend.pricing import to_pico
from spend.pricing.services import service_name

MAX_TEXT = 512
MAX_TAGS = 100
MAX_IDS = 8
MAX_TOKENS = 1 << 53  # beyond it a JSON number has lost its last digit
_MAX_COST = Decimal(10) ** 15
_CACHED_COUNTS = 1 << 17


class TokenCounts(dict[object, int]):
    """Token counts by their text: parsed once, since small counts come again and again."""

    def __missing__(self, value: object) -> int:
        count = token_count(value)
        # Only texts: a cached 1 would also answer for True, which is no count.
        if type(value) is str and len(self) < _CACHED_COUNTS:
            self[value] = count
        return count


def token_count(value: object) -> int:
    """A whole number of tokens; nothing is 0. Raises Rejected."""
    if value is None or value == "":
        return 0
    if type(value) is int:
        count = value
    elif type(value) is str and value.isascii() and value.isdigit():
        count = int(value[:20])
    else:
        count = _whole(value)
    if count < 0:
        raise Rejected(f"a token count is negative: {count}")
    if count >= MAX_TOKENS:
        raise Rejected(f"a token count is too large: {value!r:.40}")
    return count


def _whole(value: object) -> int:
    # Tables with gaps often hold whole counts as 12.0.
    if not isinstance(value, str | float | Decimal):
        raise Rejected(f"a token count is not a number: {value!r:.40}")
    text = str(value).strip()
    if not text:
        return 0
    number = decimal(text)
    if number is None:
        raise Rejected(f"a token count is not a number: {text!r:.40}")
    if not number.is_finite() or number.adjusted() > 20:  # noqa: PLR2004 - no need to expand it
        raise Rejected(f"a token count is too large: {text!r:.40}")
    if number != int(number):
        raise Rejected(f"a token count is not whole: {text!r:.40}")
    return int(number)


def cost(value: object, name: str = "cost_usd") -> int | None:
    """A cost in pico-dollars; nothing is None. Raises Rejected, which names the field.

    A float is read through its shortest text: 0.1 is a tenth, not what the machine made of it.
    """
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
        raise Rejected(f"{name} is not a number: {value!r:.40}")
    number = decimal(str(value).strip())
    if number is None:
        raise Rejected(f"{name} is not a number: {value!r:.40}")
    if not number.is_finite() or number >= _MAX_COST:
        raise Rejected(f"{name} is out of range: {value!r:.40}")
    if number < 0:
        raise Rejected(f"{name} is negative: {value!r:.40}")
    return to_pico(number)


def decimal(written: str) -> Decimal | None:
    """The number that a text is; None where it is none. Python's own 1_000 is none."""
    try:
        return None if "_" in written else Decimal(written)
    except InvalidOperation:
        return None


def text(name: str, value: object) -> str | None:
    """A text of at most MAX_TEXT characters; nothing is None. Raises Rejected."""
    if value is None:
        return None
    if type(value) is int:
        value = str(value)
    if not isinstance(value, str):
        raise Rejected(f"{name} is not a text: {value!r:.40}")
    found = value.strip()
    if len(found) > MAX_TEXT:
        raise Rejected(f"{name} is longer than {MAX_TEXT} characters")
    if "\0" in found:
        raise Rejected(f"{name} contains a NUL character")
    if not found.isascii() and not _is_unicode(found):
        raise Rejected(f"{name} is not valid UTF-8")
    return found or None


def tags(value: object) -> tuple[str, ...]:
    """Tags, sorted and distinct, from a list or a comma separated text. Raises Rejected."""
    if value is None or value == "":
        return ()
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list | tuple):
        raise Rejected(f"tags are neither a list nor a text: {value!r:.40}")
    found = {tag for part in parts if (tag := text("tags", part))}
    if len(found) > MAX_TAGS:
        raise Rejected(f"more than {MAX_TAGS} tags")
    return tuple(sorted(found))


def ids(value: object, first: str | None) -> tuple[str, ...]:
    """Further ids of a request, distinct and without its `first` one. Raises Rejected."""
    if value is None or value == "":
        return ()
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list | tuple):
        raise Rejected(f"other_ids are neither a list nor a text: {value!r:.40}")
    found = {id_: None for part in parts if (id_ := text("other_ids", part)) and id_ != first}
    if len(found) > MAX_IDS:
        raise Rejected(f"more than {MAX_IDS} other_ids")
    return tuple(found)


def tier(value: object) -> str | None:
    """A service tier in lower case; None for the standard one. Raises Rejected."""
    found = text("service_tier", value)
    return found.lower() if found and service_name(found) else None


def _is_unicode(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
