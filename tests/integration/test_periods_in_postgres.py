"""Postgres and Python cut time into the same periods."""

from datetime import UTC, datetime, timedelta

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.orm import Session

from spend.periods import Calendar, bounds
from tests.unit.test_periods import CALENDARS
from worker.database import engine

_FIRST = text(
    "SELECT spendbeat_period_start(:at, :period, :zone, CAST(:week_start AS smallint), NULL, NULL)"
)
# Laws of later years change, and the two learn of it at different times.
MOMENTS = st.datetimes(datetime(2015, 1, 1), datetime(2025, 12, 31)).map(  # noqa: DTZ001 - set next
    lambda moment: moment.replace(tzinfo=UTC)
)
# Postgres' own calendar, which knows weeks from Monday only.
_LOCAL = text(
    "SELECT CAST(date_trunc(:period, CAST(:at AS timestamptz) AT TIME ZONE :zone) AS date)"
)


@settings(
    max_examples=300,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(calendar=CALENDARS, moment=MOMENTS)
def test_both_name_the_same_first_day(database: str, calendar: Calendar, moment: datetime) -> None:
    found = bounds(calendar, moment)
    assert found is not None
    assert found.starts is not None
    assert found.ends is not None
    binds = {"period": calendar.period, "zone": calendar.zone}
    with Session(engine("spendbeat_reader")) as session:
        week_start = {"week_start": calendar.week_start}
        assert session.scalar(_FIRST, {**binds, **week_start, "at": moment}) == found.first
        if calendar.period == "week" and calendar.week_start != 1:
            return
        assert session.scalar(_LOCAL, {**binds, "at": moment}) == found.first
        # The instants are exactly those whose local date is in it.
        before = session.scalar(_LOCAL, {**binds, "at": found.starts - timedelta(minutes=1)})
        assert before < found.first
        assert session.scalar(_LOCAL, {**binds, "at": found.starts}) == found.first
        last = session.scalar(_LOCAL, {**binds, "at": found.ends - timedelta(minutes=1)})
        assert last == found.first
        assert session.scalar(_LOCAL, {**binds, "at": found.ends}) > found.first
