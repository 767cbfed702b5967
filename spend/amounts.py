"""Amounts of dollars as text: exact, and never with an exponent."""

from decimal import Decimal


def plain(amount: Decimal) -> str:
    """The shortest text, for programs: 0.1, 12.345678, -3."""
    whole = f"{amount:f}"
    return whole.rstrip("0").rstrip(".") if "." in whole else whole


def dollars(amount: Decimal) -> str:
    """All the places that count, at least two, for people: 0.10, 1,234.50, -0.25."""
    whole, _, places = f"{amount:,f}".partition(".")
    return f"{whole}.{places.rstrip('0').ljust(2, '0')}"
