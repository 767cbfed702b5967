from spend.capture.otlp.names import Names
from spend.capture.otlp.span import Attributes, Value
from spend.capture.values import MAX_TEXT


def first(attributes: Attributes, wanted: Names) -> Value | None:
    """The value of the first of these attributes that is there and not empty."""
    for name in wanted:
        value = attributes.get(name)
        if value is not None and value != "":
            return value
    return None


def text(value: Value | None) -> str:
    """A value as a text of a length that capture takes; "" for none and for lists.

    A name that is too long is cut: it is no reason to lose what was spent under it.
    """
    if value is None or isinstance(value, tuple):
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value).replace("\0", "").strip()[:MAX_TEXT].rstrip()
