"""How the command line prints: tables for people, JSON for programs, money as text."""

import json
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import click
from rich.console import Console
from rich.table import Table

from spend.amounts import dollars
from spend.errors import BadInputError


def total(amount: Decimal, unpriced: int) -> str:
    """A total that says what is not in it."""
    if not unpriced:
        return f"${dollars(amount)}"
    return f"at least ${dollars(amount)}, {unpriced:,} unpriced"


def print_json(value: object) -> None:
    click.echo(json.dumps(value, indent=2, default=str))


def print_table(
    columns: Sequence[str], rows: Iterable[Sequence[object]], *, numbers: Sequence[str] = ()
) -> None:
    """A plain table; the columns named in `numbers` are set to the right."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        right = column in numbers
        table.add_column(column, justify="right" if right else "left", no_wrap=right)
    for row in rows:
        table.add_row(*(str(cell) for cell in row))
    # A pipe has no width; the default of 80 would fold figures. Nobody's name is markup.
    width = None if sys.stdout.isatty() else 160
    Console(width=width, markup=False, emoji=False).print(table)


def moment(value: str, zone: str) -> datetime:
    """A date or time given by the user, in `zone` unless it names an offset."""
    try:
        parsed = datetime.fromisoformat(value)
    except ValueError:
        raise BadInputError(
            f"{value!r} is not a date or time such as 2026-11-21 or 2026-11-21T09:15."
        ) from None
    if parsed.tzinfo:
        return parsed
    try:
        return parsed.replace(tzinfo=zone_named(zone)).astimezone(UTC)
    except OverflowError:
        raise BadInputError(f"{value!r} is not a time that a calendar in UTC has.") from None


def zone_named(name: str) -> ZoneInfo:
    """The time zone of an IANA name; BadInputError otherwise."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise BadInputError(
            f"{name!r} is not a time zone; use an IANA name such as 'Europe/Berlin'."
        ) from None
