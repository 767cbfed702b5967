"""Days are cut at the same moments by Python and Postgres, or not at all."""

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import event, text

from spend import rebuild, reports, zones
from spend.budgets import checking
from spend.budgets.definition import Definition
from spend.errors import BadInputError
from tests.support import ledger
from tests.support.captured import spendbeat
from worker.database import engine, transaction

SUMMER = datetime(2026, 7, 1, 22, 30, tzinfo=UTC)
_DIFFERENT = text("""
SELECT name FROM pg_timezone_names
WHERE upper(name) IN (SELECT abbrev FROM pg_timezone_abbrevs)
""")


@pytest.mark.usefixtures("database")
def test_no_zone_is_an_offset_to_postgres_and_has_summer_time_in_python() -> None:
    with transaction("spendbeat_reader") as session:
        for name in session.scalars(_DIFFERENT).all():
            asked = {"zone": name, "at": SUMMER}
            local = session.scalar(text("SELECT timezone(:zone, :at)"), asked)
            same = local == SUMMER.astimezone(ZoneInfo(name)).replace(tzinfo=None)
            assert same == (name not in zones.OFFSETS), name
            if not same:
                with pytest.raises(BadInputError, match="offset to some"):
                    zones.known(session, name)


@pytest.mark.usefixtures("database")
def test_reports_budgets_and_the_reporting_zone_refuse_what_two_clocks_read_differently() -> None:
    with transaction() as session:
        ledger.add(session, started_at=SUMMER)
    ledger.roll()
    refused = spendbeat("spend", "--by", "day", "--timezone", "CET")
    assert "Europe/Berlin" in str(refused.exception)
    with transaction() as session:
        with pytest.raises(BadInputError, match="place"):
            rebuild.set_zone(session, "CET")
        with pytest.raises(BadInputError, match="place"):
            checking.check_names(session, [Definition(name="b", zone="CET")])


@pytest.mark.usefixtures("database")
def test_a_reporting_zone_of_old_that_is_cut_differently_loses_nothing() -> None:
    with transaction() as session:
        ledger.add(session, started_at=SUMMER)
    ledger.roll()
    ledger.run_as("spendbeat_owner", "UPDATE reporting_zone SET zone = 'CET'")
    with transaction() as session:
        for provider in session.scalars(text("SELECT provider FROM cursors")).all():
            if provider:
                rebuild.shard(session, provider)
    # 22:30 UTC is half past midnight in Berlin, and half an hour before it with an hour less.
    midnight = SUMMER.replace(minute=0)
    with transaction("spendbeat_reader") as session:
        assert reports.total(session, since=midnight).requests == 1
        assert reports.total(session, until=midnight).requests == 0


@pytest.mark.usefixtures("database")
def test_the_list_of_zones_is_read_once() -> None:
    said: list[str] = []

    def note(*executed: Any) -> None:
        said.append(executed[2])

    with transaction("spendbeat_reader") as session:
        zones.known(session, "Asia/Kolkata")
        event.listen(engine("spendbeat_reader"), "before_cursor_execute", note)
        zones.known(session, "Asia/Kolkata")
        assert said == []
        with pytest.raises(BadInputError):
            zones.known(session, "Mars")
