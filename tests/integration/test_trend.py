"""Spend over time and what changed, against plain sums of what was put in."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy.orm import Session

from spend import movers, reports, trend
from spend.budgets import urgent
from spend.facts import Span
from tests.support import budgets, ledger
from worker.database import transaction

KATHMANDU = ZoneInfo("Asia/Kathmandu")
START = datetime(2026, 10, 31, 18, 15, tzinfo=UTC)  # midnight there
END = START + timedelta(days=10)
# project, days after the start, dollars
SPENT = (
    ("a", 0, "10"),
    ("a", 9, "1.000000000001"),
    ("b", 0, "5"),
    ("b", 3, "7"),
    (None, 3, "2"),
    ("c", 4, "0.5"),
    ("d", 9, "0.25"),
)


@pytest.fixture
def spent(database: str) -> None:
    with transaction() as session:
        for project, days, dollars in SPENT:
            who = {"attribution_id": budgets.attribution(project=project)} if project else {}
            at = START + timedelta(days=days, minutes=1)
            ledger.add(session, cost_usd=Decimal(dollars), started_at=at, **who)
        ledger.add(session, cost_usd=None, started_at=START, provider="own")
    ledger.roll()


@pytest.fixture
def session(spent: None) -> Iterator[Session]:
    with transaction("spendbeat_reader") as session:
        yield session


def test_bands_add_up_to_the_report_in_any_zone(session: Session) -> None:
    for zone in (KATHMANDU, ZoneInfo("UTC")):
        found = trend.trend(
            session, "project", ["a", None], since=START, until=END, zone=zone, only={}
        )
        assert [(band.value, band.rest) for band in found.bands] == [
            ("a", False), (None, False), (None, True),
        ]  # fmt: skip
        assert [sum(band.costs) for band in found.bands] == [
            Decimal("11.000000000001"), 2, Decimal("12.75"),
        ]  # fmt: skip
        whole = reports.total(session, since=START, until=END)
        assert sum(found.totals) == whole.total_cost
        assert sum(found.unpriced) == whole.unpriced == 1
    days = trend.trend(session, "project", [], since=START, until=END, zone=KATHMANDU, only={})
    assert days.totals[:5] == (15, 0, 0, 9, Decimal("0.5"))


def test_hours_and_filters(session: Session) -> None:
    until = START + timedelta(days=1)
    found = trend.trend(
        session, "model", ["gpt-4o"], since=START, until=until, zone=KATHMANDU,
        only={"project": ["b"]},
    )  # fmt: skip
    assert found.size == "hour"
    assert found.totals == (5, *[0] * 23)
    assert found.bands[0].costs == found.totals


def test_by_tags_there_is_one_band_with_everything(session: Session) -> None:
    found = trend.trend(session, "tag", ["x"], since=START, until=END, zone=KATHMANDU, only={})
    assert [band.rest for band in found.bands] == [True]
    assert sum(found.totals) == Decimal("25.750000000001")


def test_what_changed_most_comes_first_up_or_down(session: Session) -> None:
    half = START + timedelta(days=5)
    times = (Span(half, END), Span(START, half))
    found = movers.compare(session, "project", *times, lines=9, movers=3, only={}).movers
    assert [(one.value, one.now, one.before) for one in found] == [
        ("b", 0, 12), ("a", Decimal("1.000000000001"), 10), (None, 0, 2),
    ]  # fmt: skip
    assert found[0].change == -12
    assert found[2].unpriced == 1
    only = {"project": ["d"]}
    found = movers.compare(session, "project", *times, lines=9, movers=3, only=only).movers
    assert [(one.value, one.change) for one in found] == [("d", Decimal("0.25"))]


@pytest.mark.parametrize("by", ["project", "model", "tag"])
@pytest.mark.parametrize("only", [{}, {"project": ["a", None]}], ids=["all", "some"])
def test_what_is_compared_is_what_reports_say(
    session: Session, by: str, only: dict[str, list[str | None]]
) -> None:
    half = START + timedelta(days=5)
    found = movers.compare(session, by, Span(START, half), Span(half, END), lines=2, movers=1,
                           only=only)  # fmt: skip
    time = {"since": START, "until": half, "only": only}
    assert found.total == reports.total(session, **time)
    assert found.lines == reports.page(session, [by], 2, **time)
    later = reports.total(session, since=half, until=END, only=only)
    assert found.before == (later.total_cost, later.unpriced)
    nobody = [line for line in reports.spend(session, [by], **time) if line.group == (None,)]
    assert [found.nobody] == (nobody if by == "project" else [None])


def test_the_fullest_budgets_come_first(spent: None) -> None:
    now = END
    total = {"period": "total"}
    more = {"raise": {"by": "1000", "until": (now + timedelta(days=1)).isoformat()}}
    half = budgets.add("half", scope={"project": "a"}, hard_limit=22, **total)
    over = budgets.add("over", scope={"project": "b"}, hard_limit=None, soft_limit=6, **total)
    raised = budgets.add(
        "raised", scope={"project": "b"}, hard_limit=6, **more, **total,
    )  # fmt: skip
    fresh = budgets.add("fresh", scope={"project": "b"}, hard_limit=1, period="day")
    without = budgets.add("a without", hard_limit=None, thresholds=["5"], **total)
    paused = budgets.add("paused", hard_limit=1, **total)
    budgets.set_state("paused", "paused")
    with transaction("spendbeat_reader") as session:
        found = urgent.fullest(session, now, 100)
    assert found == [over.id, half.id, raised.id, fresh.id, without.id]
    assert paused.id not in found
    with transaction("spendbeat_reader") as session:
        assert urgent.fullest(session, now, 1) == [over.id]
