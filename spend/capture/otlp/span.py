from collections.abc import Mapping
from typing import NamedTuple

Value = str | int | float | bool | tuple[str, ...]
Attributes = Mapping[str, Value]


class Span(NamedTuple):
    """What we read of a span, whatever encoding it came in."""

    trace_id: str  # hexadecimal, lower case; as it came where it is not
    span_id: str
    parent_id: str  # "" for a root
    name: str
    start_ns: int  # nanoseconds since 1970 UTC
    failed: bool  # its status is ERROR
    scope: str  # the library that made it
    attributes: Attributes  # only those that names.py knows
    resource: Attributes
