"""Moments that people give to commands."""

from datetime import UTC, datetime

import pytest

from spend.errors import BadInputError
from worker.cli.output import moment


@pytest.mark.parametrize(
    ("said", "zone", "meant"),
    [
        ("2026-11-21", "Asia/Kathmandu", datetime(2026, 11, 20, 18, 15, tzinfo=UTC)),
        ("2026-11-21T09:15", "UTC", datetime(2026, 11, 21, 9, 15, tzinfo=UTC)),
        ("2026-11-21T09:15+01:00", "UTC", datetime(2026, 11, 21, 8, 15, tzinfo=UTC)),
    ],
)
def test_a_moment_is_of_the_zone_unless_it_has_an_offset(
    said: str, zone: str, meant: datetime
) -> None:
    assert moment(said, zone) == meant


@pytest.mark.parametrize(
    ("said", "zone", "why"),
    [
        ("tomorrow", "UTC", "is not a date or time such as"),
        ("2026-11-21", "Mars/Olympus", "is not a time zone"),
        ("0001-01-01", "Asia/Tokyo", "is not a time that a calendar in UTC has"),
        ("9999-12-31T23:59", "America/New_York", "is not a time that a calendar in UTC has"),
    ],
)
def test_what_is_none_is_said(said: str, zone: str, why: str) -> None:
    with pytest.raises(BadInputError, match=why):
        moment(said, zone)
