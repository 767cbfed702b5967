"""Times from files and messages become microseconds of UTC, or a reason why not."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spend.capture.request import EPOCH, Rejected
from spend.capture.times import TimeParser

NOW = datetime(2026, 11, 21, tzinfo=UTC)


def read(value: object, zone: str | None = None) -> datetime:
    parser = TimeParser(ZoneInfo(zone) if zone else None, now=NOW)
    return EPOCH + timedelta(microseconds=parser(value))


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type,misc]  # year, month, day, ...


@pytest.mark.parametrize(
    ("value", "zone", "expected"),
    [
        ("2023-11-16 18:15:46.6805900", "UTC", utc(2023, 11, 16, 18, 15, 46, 680590)),
        ("2026-01-01T23:59:59.9999999Z", None, utc(2026, 1, 1, 23, 59, 59, 999999)),
        ("2026-01-01T05:30:00+05:30", None, utc(2026, 1, 1)),
        ("2026-01-01T05:30:00+05:30", "America/New_York", utc(2026, 1, 1)),
        (" 2026-01-01 00:00:00 UTC ", None, utc(2026, 1, 1)),
        ("2026-01-01", "UTC", utc(2026, 1, 1)),
        ("1700000000", None, utc(2023, 11, 14, 22, 13, 20)),
        (1_700_000_000, None, utc(2023, 11, 14, 22, 13, 20)),
        ("1700000000.1234567", None, utc(2023, 11, 14, 22, 13, 20, 123456)),
        (1_700_000_000_123, None, utc(2023, 11, 14, 22, 13, 20, 123000)),
        (1_700_000_000_123_456, None, utc(2023, 11, 14, 22, 13, 20, 123456)),
        (Decimal("1700000000.5"), None, utc(2023, 11, 14, 22, 13, 20, 500000)),
        (datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=1))), None, utc(2025, 12, 31, 23)),
        (datetime(2026, 1, 1), "Asia/Kathmandu", utc(2025, 12, 31, 18, 15)),  # noqa: DTZ001 - naive
    ],
)
def test_a_time_is_read(value: object, zone: str | None, expected: datetime) -> None:
    assert read(value, zone) == expected


def test_a_local_time_that_comes_twice_is_the_first_of_the_two() -> None:
    assert read("2026-10-25 02:30:00", "Europe/Berlin") == utc(2026, 10, 25, 0, 30)
    assert read("2026-11-01 01:30:00", "America/New_York") == utc(2026, 11, 1, 5, 30)


def test_a_local_time_that_clocks_skip_is_read_with_the_offset_before() -> None:
    assert read("2026-03-29 02:30:00", "Europe/Berlin") == utc(2026, 3, 29, 1, 30)
    assert read("2026-03-08 02:30:00", "America/New_York") == utc(2026, 3, 8, 7, 30)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("2026-01-01 00:00:00", "no UTC offset"),
        (datetime(2026, 1, 1), "no UTC offset"),  # noqa: DTZ001 - that is the point
        ("", "missing"),
        (None, "missing"),
        ("yesterday", "not a time"),
        ("2026-13-01T00:00:00Z", "not a time"),
        ("NaN", "not a time"),
        ("1e400", "not a time"),
        (True, "not a time"),
        ([], "not a time"),
        ("2014-12-31T23:59:59Z", "before 2015"),
        (17, "before 2015"),
        ("2029-01-01T00:00:00Z", "two years ahead"),
        ("9999-12-31T23:59:59Z", "two years ahead"),
        ("0001-01-01T00:00:00+14:00", "before 2015"),
    ],
)
def test_what_is_no_usable_time_is_rejected_with_a_reason(value: object, reason: str) -> None:
    with pytest.raises(Rejected, match=reason):
        read(value)


@given(st.integers(0, 400 * 86_400_000_000), st.integers(0, 9999))
def test_any_spelling_of_a_time_gives_the_same_microsecond(after: int, more: int) -> None:
    moment = utc(2025, 1, 1) + timedelta(microseconds=after)
    text = f"{moment:%Y-%m-%d %H:%M:%S.%f}{more:04}"
    kolkata = moment.astimezone(ZoneInfo("Asia/Kolkata"))
    assert read(text, "UTC") == moment
    assert read(text.replace(" ", "T") + "Z") == moment
    assert read(kolkata.isoformat()) == moment
    assert read(f"{kolkata:%Y-%m-%d %H:%M:%S.%f}", "Asia/Kolkata") == moment
    assert read((moment - EPOCH) // timedelta(microseconds=1)) == moment
