"""Calendar periods of a time zone: which one a moment is in, and when it begins and ends.

A period is named by its first day in its zone, which is one whatever clocks do at midnight; the
instants are derived from it. `spendbeat_period_start` in the database says the same.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

KINDS = ("day", "week", "month", "quarter", "year", "total", "range")
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
# The first day of a period that has none.
EVER = date(1970, 1, 1)


@dataclass(frozen=True)
class Calendar:
    """Periods of one kind in one zone.

    week_start: 1 for Monday to 7 for Sunday. starts_on, ends_on: of a range, the second is the
    first day that is no longer in it; None for every other kind.
    """

    period: str
    zone: str = "UTC"
    week_start: int = 1
    starts_on: date | None = None
    ends_on: date | None = None


@dataclass(frozen=True)
class Span:
    """One period: days [first, end) of a zone, which are the instants [starts, ends) in UTC.

    None is without a beginning or an end: all of time.
    """

    first: date
    end: date | None
    starts: datetime | None
    ends: datetime | None


def bounds(calendar: Calendar, moment: datetime) -> Span | None:
    """The period a moment is in; None outside of a range."""
    day = moment.astimezone(ZoneInfo(calendar.zone)).date()
    if calendar.period == "range":
        assert calendar.starts_on is not None  # noqa: S101 - what makes it a range
        assert calendar.ends_on is not None  # noqa: S101
        if not calendar.starts_on <= day < calendar.ends_on:
            return None
        return span(calendar, calendar.starts_on)
    return span(calendar, _FIRST[calendar.period](day, calendar.week_start))


def span(calendar: Calendar, first: date) -> Span:
    """The period that begins on a day."""
    if calendar.period == "total":
        return Span(EVER, None, None, None)
    end = calendar.ends_on if calendar.period == "range" else _after(calendar.period, first)
    assert end is not None  # noqa: S101 - only a total has none
    zone = ZoneInfo(calendar.zone)
    return Span(first, end, midnight(first, zone), midnight(end, zone))


def midnight(day: date, zone: ZoneInfo) -> datetime:
    """The first moment of a day, in UTC.

    The first of two midnights; where clocks skip midnight, the moment at which they do.
    """
    return datetime.combine(day, time.min, tzinfo=zone).astimezone(UTC)


def _month(day: date, months: int) -> date:
    number = day.year * 12 + day.month - 1 + months
    return date(number // 12, number % 12 + 1, 1)


def _after(period: str, first: date) -> date:
    match period:
        case "day":
            return first + timedelta(days=1)
        case "week":
            return first + timedelta(days=7)
        case "month":
            return _month(first, 1)
        case "quarter":
            return _month(first, 3)
        case _:
            return _month(first, 12)


_FIRST: dict[str, Callable[[date, int], date]] = {
    "day": lambda day, _: day,
    "week": lambda day, start: day - timedelta(days=(day.isoweekday() - start) % 7),
    "month": lambda day, _: day.replace(day=1),
    "quarter": lambda day, _: _month(day, -((day.month - 1) % 3)),
    "year": lambda day, _: day.replace(month=1, day=1),
    "total": lambda _day, _start: EVER,
}
