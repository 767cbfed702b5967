"""Periods of any zone: each moment is in one, each begins where the one before it ends."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spend.periods import KINDS, Calendar, Span, bounds, span

# Half and quarter hours, a day that is skipped or comes twice, clocks that change at midnight.
ZONES = (
    "UTC", "Europe/Berlin", "Asia/Kolkata", "Asia/Kathmandu", "Australia/Lord_Howe",
    "Pacific/Chatham", "Pacific/Apia", "Pacific/Kiritimati", "America/St_Johns",
    "America/Sao_Paulo", "America/Havana", "America/Nuuk", "America/Scoresbysund",
    "Atlantic/Azores", "Asia/Beirut", "Asia/Gaza", "Asia/Amman", "Africa/Casablanca",
    "Africa/Cairo", "Antarctica/Troll", "Antarctica/Casey",
)  # fmt: skip
MOMENTS = st.datetimes(datetime(2015, 1, 1), datetime(2036, 12, 31)).map(  # noqa: DTZ001 - set next
    lambda moment: moment.replace(tzinfo=UTC)
)
CALENDARS = st.builds(
    Calendar,
    st.sampled_from([kind for kind in KINDS if kind not in ("total", "range")]),
    st.sampled_from(ZONES),
    st.integers(1, 7),
)
HOUR = timedelta(hours=1)


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def period(calendar: Calendar, moment: str) -> Span:
    found = bounds(calendar, at(moment))
    assert found is not None
    return found


@given(calendar=CALENDARS, moment=MOMENTS)
def test_a_moment_is_in_its_period_and_in_no_other(calendar: Calendar, moment: datetime) -> None:
    found = bounds(calendar, moment)
    assert found is not None
    assert found.starts is not None
    assert found.ends is not None
    assert found.end is not None
    assert found.starts <= moment < found.ends
    assert bounds(calendar, found.starts) == found
    assert bounds(calendar, found.ends - timedelta(minutes=1)) == found
    following = bounds(calendar, found.ends)
    assert following is not None
    assert following.starts == found.ends
    # A day that a zone has skipped belongs to no moment.
    assert following.first >= found.end


@pytest.mark.parametrize(
    ("zone", "moment", "hours"),
    [
        ("Europe/Berlin", "2026-03-29T12:00Z", 23),
        ("Europe/Berlin", "2026-10-25T12:00Z", 25),
        ("America/Sao_Paulo", "2018-11-04T12:00Z", 23),  # midnight itself is skipped
        ("Atlantic/Azores", "2026-10-25T12:00Z", 25),  # midnight comes twice
        ("Australia/Lord_Howe", "2026-10-03T16:00Z", 23.5),
        ("Asia/Kathmandu", "2026-11-03T12:00Z", 24),
    ],
)
def test_a_day_is_as_long_as_its_clocks_say(zone: str, moment: str, hours: float) -> None:
    day = period(Calendar("day", zone), moment)
    assert day.starts is not None
    assert day.ends is not None
    assert (day.ends - day.starts) / HOUR == hours


def test_the_first_of_two_midnights_begins_the_day() -> None:
    day = period(Calendar("day", "Atlantic/Azores"), "2026-10-25T00:30Z")
    assert (day.first, day.starts) == (date(2026, 10, 25), at("2026-10-25T00:00Z"))
    assert at("2026-10-25T01:30Z").astimezone(ZoneInfo("Atlantic/Azores")).date() == day.first


def test_a_month_seen_from_kathmandu_begins_at_a_quarter_past_six_in_the_evening() -> None:
    month = period(Calendar("month", "Asia/Kathmandu"), "2026-10-31T18:15Z")
    assert (month.first, month.starts) == (date(2026, 11, 1), at("2026-10-31T18:15Z"))
    assert period(Calendar("month", "Asia/Kathmandu"), "2026-10-31T18:14Z").first.month == 10


@pytest.mark.parametrize(
    ("start", "first"), [(1, "2026-11-16"), (7, "2026-11-22"), (6, "2026-11-21")]
)
def test_a_week_starts_on_the_day_that_it_is_said_to(start: int, first: str) -> None:
    week = period(Calendar("week", "UTC", start), "2026-11-22T10:00Z")  # a Sunday
    assert week.first == date.fromisoformat(first)
    assert week.end == week.first + timedelta(days=7)


@pytest.mark.parametrize(
    ("kind", "first", "end"),
    [
        ("quarter", date(2026, 10, 1), date(2027, 1, 1)),
        ("year", date(2026, 1, 1), date(2027, 1, 1)),
        ("month", date(2026, 12, 1), date(2027, 1, 1)),
    ],
)
def test_the_last_period_of_a_year_ends_with_it(kind: str, first: date, end: date) -> None:
    found = period(Calendar(kind), "2026-12-31T23:59Z")
    assert (found.first, found.end) == (first, end)


def test_all_of_time_has_no_ends() -> None:
    found = period(Calendar("total"), "2026-11-22T10:00Z")
    assert (found.end, found.starts, found.ends) == (None, None, None)


def test_outside_of_a_range_there_is_no_period() -> None:
    days = Calendar("range", "Asia/Kathmandu", 1, date(2026, 11, 20), date(2026, 12, 1))
    inside = span(days, date(2026, 11, 20))
    assert (inside.starts, inside.ends) == (at("2026-11-19T18:15Z"), at("2026-11-30T18:15Z"))
    assert period(days, "2026-11-19T18:15Z") == inside
    for outside in ("2026-11-19T18:14Z", "2026-11-30T18:15Z"):
        assert bounds(days, at(outside)) is None
