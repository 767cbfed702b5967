"""What a URL of the dashboard says: a time, what it is compared with, and where a click leads."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from spend.periods import midnight
from spend.trend import Band, Trend, steps
from web.dashboard import words
from web.dashboard.chart import HEIGHT, chart, scale
from web.dashboard.entrance import place
from web.dashboard.look import Look

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 11, 22, 10, 7, tzinfo=UTC)


def look(first: str, last: str, zone: ZoneInfo = BERLIN, now: datetime = NOW) -> Look:
    """Whole days of a zone, both in it."""
    since = midnight(date.fromisoformat(first), zone)
    until = midnight(date.fromisoformat(last) + timedelta(days=1), zone)
    return Look(now, zone, since, until, {"from": first, "through": last})


def test_a_time_that_goes_on_is_compared_with_as_much_of_the_one_before() -> None:
    found = look("2026-11-16", "2026-11-22")
    assert found.counted_until == datetime(2026, 11, 22, 10, 15, tzinfo=UTC)
    assert found.before() == (
        midnight(date(2026, 11, 9), BERLIN),
        datetime(2026, 11, 15, 10, 15, tzinfo=UTC),
    )


def test_days_before_are_days_of_the_clock_where_it_was_changed() -> None:
    """Clocks went back on October 25: the week has an hour more than the one before."""
    found = look("2026-10-19", "2026-10-25")
    assert found.until - found.since == timedelta(days=7, hours=1)
    before = found.before()
    assert before == (midnight(date(2026, 10, 12), BERLIN), midnight(date(2026, 10, 19), BERLIN))


def test_a_part_of_a_day_is_compared_with_the_part_before_it() -> None:
    day = look("2026-11-20", "2026-11-20", ZoneInfo("UTC"))
    hour = day.during(day.since, day.since + timedelta(hours=1))
    assert hour.before() == (day.since - timedelta(hours=1), day.since)
    assert hour.words == "2026-11-20 00:00 to 2026-11-20 01:00"


def test_a_click_leads_deeper_and_never_to_what_is_chosen_already() -> None:
    found = look("2026-11-20", "2026-11-20")
    passed = []
    at = replace(found, by="organization")
    while not at.deepest:
        passed.append(at.by)
        at = at.deeper("x")
    assert [*passed, at.by] == [
        "organization", "project", "agent", "user_id", "provider", "model",
    ]  # fmt: skip
    inside = replace(found, by="project", only={"agent": ("coder",), "user_id": (None,)})
    assert inside.deeper(None).by == "provider"
    assert inside.deeper(None).only["project"] == (None,)
    assert replace(found, by="team").deeper("core").by == "project"


def test_a_url_says_all_of_a_look_and_nothing_usual() -> None:
    usual = replace(look("2026-11-20", "2026-11-20", ZoneInfo("UTC")), said={})
    assert usual.url("/dashboard") == "/dashboard"
    other = replace(
        usual, zone=BERLIN, by="model", only={"project": ("a&b", None), "tag:env": ("é",)}
    )
    assert other.url("/dashboard", ("after", "x")) == (
        "/dashboard?zone=Europe%2FBerlin&by=model&project=a%26b&project=&tag%3Aenv=%C3%A9&after=x"
    )


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("/dashboard/spend?by=model&project=%3Cscript%3E", None),
        ("/dashboard", None),
        ("/dashboard/login", "/dashboard"),
        ("/ingest", "/dashboard"),
        ("//evil.example/dashboard", "/dashboard"),
        ("///evil.example", "/dashboard"),
        ("/\\evil.example", "/dashboard"),
        ("https:/dashboard", "/dashboard"),
        ("javascript:alert(1)//dashboard", "/dashboard"),
        ("/dashboard/../../evil", "/dashboard"),
        ("/dashboard\t/x", "/dashboard"),
        (None, "/dashboard"),
    ],
)
def test_after_the_login_one_stays_on_the_dashboard(said: str | None, expected: str | None) -> None:
    assert place(said) == (said if expected is None else expected)


def test_steps_are_hours_days_weeks_or_months_and_leave_nothing_out() -> None:
    for days, size, count in (
        (1, "hour", 24), (2, "hour", 48), (3, "day", 3), (90, "day", 90), (200, "week", 29),
        (1000, "month", 33),
    ):  # fmt: skip
        since = midnight(date(2026, 1, 1), BERLIN)
        until = midnight(date(2026, 1, 1) + timedelta(days=days), BERLIN)
        found, edges = steps(since, until, BERLIN)
        assert (found, len(edges) - 1) == (size, count)
        assert (edges[0], edges[-1]) == (since, until)
        assert list(edges) == sorted(set(edges))
    # A day with 25 hours has as many columns.
    day = look("2026-10-25", "2026-10-25")
    assert len(steps(day.since, day.until, BERLIN)[1]) == 26


def test_columns_are_as_high_as_their_figures_and_stay_inside() -> None:
    costs = (Decimal(30), Decimal(0), Decimal("97.000000000001"))
    edges = tuple(NOW.replace(hour=n) for n in range(4))
    bands = (
        Band("a", rest=False, costs=costs),
        Band(None, rest=False, costs=(Decimal(0), Decimal(-5), Decimal(1))),
        Band(None, rest=True, costs=(Decimal(20), Decimal(0), Decimal(0))),
    )
    drawn = chart(Trend("hour", edges, bands, (0, 0, 2)), BERLIN)
    assert drawn.colors == ("c0", "none", "rest")
    assert [len(column.blocks) for column in drawn.columns] == [2, 0, 2]
    first = drawn.columns[0]
    assert [block.height for block in first.blocks] == [60, 40]
    assert [block.y for block in first.blocks] == [HEIGHT - 60, HEIGHT - 100]
    assert drawn.columns[1].total == -5
    for column in drawn.columns:
        assert column.x >= 0
        assert column.x + column.width <= 100
        assert all(block.y >= 0 for block in column.blocks)


def test_a_column_stays_inside_where_a_refund_makes_its_total_small() -> None:
    bands = (
        Band("a", rest=False, costs=(Decimal(100), Decimal(-900))),
        Band("b", rest=False, costs=(Decimal(-90), Decimal(3))),
        Band(None, rest=True, costs=(Decimal(0), Decimal(0))),
    )
    edges = tuple(NOW.replace(hour=n) for n in range(3))
    drawn = chart(Trend("hour", edges, bands, (0, 0)), BERLIN)
    assert [column.total for column in drawn.columns] == [10, -897]
    assert drawn.columns[0].blocks[0].height == HEIGHT
    assert all(block.y >= 0 for column in drawn.columns for block in column.blocks)


@pytest.mark.parametrize(
    ("most", "top", "lines"),
    [
        ("0", "1", 1), ("0.0031", "0.004", 5), ("97", "100", 5), ("100", "100", 5),
        ("101", "150", 4), ("1234567", "1500000", 4),
    ],
)  # fmt: skip
def test_an_axis_has_a_few_round_lines(most: str, top: str, lines: int) -> None:
    found, drawn = scale(Decimal(most))
    assert (found, len(drawn)) == (Decimal(top), lines)
    assert drawn[-1] == (HEIGHT, 0)


@pytest.mark.parametrize(
    ("amount", "shown", "exact", "axis"),
    [
        ("0", "$0.00", "$0.00", "$0"),
        ("0.000000000001", "<$0.01", "$0.000000000001", "$0.000000000001"),
        ("0.4", "$0.40", "$0.40", "$0.40"),
        ("1234.565", "$1,234.56", "$1,234.565", "$1.234565k"),
        ("-3.2", "-$3.20", "-$3.20", "$-3.20"),
        ("-0.001", "$0.00", "-$0.001", "$-0.001"),
        ("12000000", "$12,000,000.00", "$12,000,000.00", "$12M"),
    ],
)
def test_amounts_are_short_and_exact_beside_it(
    amount: str, shown: str, exact: str, axis: str
) -> None:
    found = Decimal(amount)
    assert (words.money(found), words.exact(found)) == (shown, exact)
    assert words.short_money(found) == axis


def test_changes_and_shares_in_words() -> None:
    changes = [
        words.change(Decimal(now), Decimal(before))
        for now, before in (
            (0, 0), (1, 0), (112, 100), (97, 100), (1400, 100), (0, 5), (10, -10), (-20, -10),
        )
    ]  # fmt: skip
    assert changes == ["–", "new", "+12 %", "−3 %", "×14", "−100 %", "–", "–"]
    shares = [words.percent(Decimal(part), Decimal(100)) for part in ("41.25", "0.01", "0", "100")]
    assert shares == ["41.2 %", "<0.1 %", "0.0 %", "100.0 %"]
    assert [words.short(n) for n in (9481, 48_200, 3_412_000, 999_999)] == [
        "9,481", "48.20k", "3.41M", "1.00M",
    ]  # fmt: skip
