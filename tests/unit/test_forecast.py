"""A forecast carries the usual week on, keeps to what was spent, and says when it knows too little.

How far off it is on many kinds of series: `./run bench forecast`.
"""

from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from random import Random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from spend.forecast import (
    HISTORY_DAYS,
    MIN_ACTIVE_DAYS,
    MIN_DAYS,
    Forecast,
    forecast,
    missing,
    usual_share,
)

MONDAY = date(2026, 6, 15)
MONTH = {"starts": date(2026, 6, 1), "ends": date(2026, 7, 1)}
OFFICE = (100, 100, 100, 100, 80, 20, 10)


def office(day: date) -> float:
    return OFFICE[day.weekday()]


def history(
    amount: Callable[[date], float], days: int = 100, today: date = MONDAY
) -> list[tuple[date, Decimal]]:
    """Days before today, each with what `amount` says, to the cent."""
    dates = [today - timedelta(n) for n in range(days, 0, -1)]
    return [(day, Decimal(f"{amount(day):.2f}")) for day in dates]


def total(amount: Callable[[date], float], starts: date, ends: date) -> float:
    return sum(amount(starts + timedelta(n)) for n in range((ends - starts).days))


def said(
    days: list[tuple[date, Decimal]],
    fraction: float = 0.0,
    today: date = MONDAY,
    *,
    spent: Decimal | None = None,
    starts: date = MONTH["starts"],
    ends: date = MONTH["ends"],
) -> Forecast:
    found = forecast(days, fraction, ends, starts=starts, today=today, spent=spent)
    assert found is not None
    return found


def noisy(seed: int, noise: float) -> Callable[[date], float]:
    return lambda day: office(day) * Random(f"{seed} {day}").lognormvariate(0, noise)


class TestWhatIsExpected:
    def test_a_usual_week_goes_on(self) -> None:
        assert float(said(history(office)).expected) == pytest.approx(
            total(office, **MONTH), rel=0.01
        )

    def test_a_weekend_is_expected_to_be_one(self) -> None:
        """On Friday evening a week has but its weekend before it."""
        friday = date(2026, 6, 19)
        days = [*history(office, today=friday), (friday, Decimal(80))]
        week = said(days, 1.0, friday, starts=MONDAY, ends=date(2026, 6, 22))
        assert float(week.expected) == pytest.approx(sum(OFFICE), rel=0.02)

    def test_growth_goes_on(self) -> None:
        """5 % more each week: a level that lags behind would be 5 % too low."""

        def growing(day: date) -> float:
            return office(day) * 1.05 ** ((day - MONDAY).days / 7)

        assert float(said(history(growing)).expected) == pytest.approx(
            total(growing, **MONTH), rel=0.02
        )

    def test_a_new_level_is_followed(self) -> None:
        """Three weeks after a launch that tripled the spend."""

        def launched(day: date) -> float:
            return office(day) * (3 if day >= MONDAY - timedelta(21) else 1)

        assert float(said(history(launched)).expected) == pytest.approx(
            total(launched, **MONTH), rel=0.05
        )

    def test_spend_that_has_stopped_is_not_expected_back(self) -> None:
        days = history(lambda day: office(day) if day < MONDAY - timedelta(28) else 0)
        assert said(days).expected < 10

    def test_one_huge_day_is_not_expected_again(self) -> None:
        huge = date(2026, 5, 20)
        usual = said(history(office))
        found = said(history(lambda day: 5000 if day == huge else office(day)))
        assert found.expected == pytest.approx(usual.expected, rel=Decimal("0.05"))

    def test_a_batch_at_every_month_end_is_expected_again(self) -> None:
        def batch(day: date) -> float:
            return office(day) + 900 * ((day + timedelta(1)).day == 1)

        assert float(said(history(batch)).expected) == pytest.approx(
            total(batch, **MONTH), rel=0.03
        )

    def test_the_rest_of_today_is_what_is_left_of_it(self) -> None:
        """A day's budget at noon, on a day like any other."""
        days = [*history(office), (MONDAY, Decimal(50))]
        day = said(days, 0.5, starts=MONDAY, ends=MONDAY + timedelta(1))
        assert float(day.expected) == pytest.approx(100, rel=0.02)

    def test_a_busy_morning_raises_the_rest_of_the_day(self) -> None:
        day = {"starts": MONDAY, "ends": MONDAY + timedelta(1)}
        usual = said([*history(office), (MONDAY, Decimal(50))], 0.5, **day)
        busy = said([*history(office), (MONDAY, Decimal(150))], 0.5, **day)
        assert busy.expected > usual.expected + 110

    def test_a_day_corrected_below_zero_is_one_without_spend(self) -> None:
        day = MONDAY - timedelta(20)  # before the period
        days = [each for each in history(office) if each[0] != day]
        assert said([*days, (day, Decimal(-100_000))]) == said(days)

    def test_a_period_that_is_to_come_is_forecast_too(self) -> None:
        july = {"starts": date(2026, 7, 1), "ends": date(2026, 8, 1)}
        found = said(history(office), **july)
        assert float(found.expected) == pytest.approx(total(office, **july), rel=0.02)

    def test_what_is_outside_the_period_is_not_in_it(self) -> None:
        """Two days, of which one is over."""
        days = [*history(office), (MONDAY, Decimal(0))]
        found = said(days, starts=MONDAY - timedelta(1), ends=MONDAY + timedelta(1))
        assert float(found.expected) == pytest.approx(110, rel=0.02)


class TestWhatIsCertain:
    def test_a_period_that_is_over_has_spent_what_it_has_spent(self) -> None:
        spent = Decimal("12.345678901234")
        assert said([], today=MONTH["ends"], spent=spent) == (spent, spent, spent)

    def test_at_the_last_moment_hardly_anything_is_left(self) -> None:
        last = date(2026, 6, 30)
        days = [*history(office, today=last), (last, Decimal(100))]
        found = said(days, 1.0, last)
        assert found.expected == sum(amount for day, amount in days if day >= MONTH["starts"])
        assert found.low == found.high == found.expected

    def test_what_was_spent_keeps_its_digits(self) -> None:
        spent = Decimal("1234567890.123456789012")
        assert said(history(office), spent=spent).expected % Decimal("1e-6") == Decimal(
            "789012e-12"
        )

    def test_what_was_spent_may_be_said_apart_from_the_days(self) -> None:
        days = history(office)
        inside = sum((amount for day, amount in days if day >= MONTH["starts"]), Decimal(0))
        one, other = said(days), said(days, spent=inside + 7)
        assert [b - a for a, b in zip(one, other, strict=True)] == [7, 7, 7]


class TestTheRange:
    def test_it_is_wider_where_days_differ_more(self) -> None:
        calm, wild = said(history(noisy(1, 0.1))), said(history(noisy(1, 0.8)))
        assert wild.high - wild.low > 3 * (calm.high - calm.low)

    def test_it_narrows_as_the_period_goes_by(self) -> None:
        amount = noisy(2, 0.4)
        widths = []
        for today in (date(2026, 6, 4), date(2026, 6, 14), date(2026, 6, 24), date(2026, 6, 29)):
            found = said(history(amount, today=today), today=today)
            widths.append(found.high - found.low)
        assert widths == sorted(widths, reverse=True)

    def test_most_periods_end_within_it(self) -> None:
        """Of 60 months, 48 are meant to."""
        inside = 0
        for seed in range(60):
            amount = noisy(seed, 0.4)
            found = said(history(amount))
            inside += found.low <= total(amount, **MONTH) <= found.high
        assert 40 <= inside <= 58


class TestWhenItSaysNothing:
    @pytest.mark.parametrize(
        ("days", "why"),
        [
            ([], f"Nothing was spent in the {HISTORY_DAYS} days before today."),
            (
                history(office, MIN_DAYS - 1),
                "The first spend was 13 days ago; a forecast needs 14.",
            ),
            (
                history(lambda day: float(day.day in {17, 18}), 30),
                "There are 2 days with spend; a forecast needs 3.",
            ),
            (
                history(office, 200)[:60],
                f"Nothing was spent in the {HISTORY_DAYS} days before today.",
            ),
        ],
    )
    def test_too_little_is_known(self, days: list[tuple[date, Decimal]], why: str) -> None:
        assert missing(days, MONDAY) == why
        assert forecast(days, 0.5, MONTH["ends"], starts=MONTH["starts"], today=MONDAY) is None

    def test_two_weeks_are_enough(self) -> None:
        assert missing(history(office, MIN_DAYS), MONDAY) is None
        assert float(said(history(office, MIN_DAYS)).expected) == pytest.approx(
            total(office, date(2026, 6, 1), date(2026, 7, 1)), rel=0.15
        )

    def test_what_today_has_spent_is_no_past(self) -> None:
        assert missing([(MONDAY, Decimal(5))], MONDAY)

    def test_nor_does_it_count_as_one_of_the_days(self) -> None:
        days = history(lambda day: float(day.day in {17, 18}), 30)
        assert missing([*days, (MONDAY, Decimal(5))], MONDAY) == missing(days, MONDAY)

    def test_a_few_days_with_spend_are_enough(self) -> None:
        days = history(lambda day: 50.0 * (day.day in {1, 11, 21}), 60)
        assert len([day for day, amount in days if amount]) >= MIN_ACTIVE_DAYS
        assert said(days).expected > 0


AMOUNTS = st.one_of(
    st.just(Decimal(0)),
    st.decimals(-5, 100_000, places=6),
    st.decimals(0, Decimal("1e15"), places=2),
    st.decimals(0, Decimal("1e-9"), places=12),
)
PASTS = st.lists(AMOUNTS, min_size=MIN_DAYS, max_size=140).map(
    lambda amounts: [(MONDAY - timedelta(n + 1), each) for n, each in enumerate(amounts)]
)
FRACTIONS = st.floats(0, 1)
ENDS = st.integers(1, 400).map(lambda n: MONDAY + timedelta(n))
STARTS = st.integers(-60, 60).map(lambda n: MONDAY + timedelta(n))
TODAY = st.decimals(0, 1_000_000, places=6)


class TestUsualShare:
    def test_it_follows_the_hours_in_which_spend_comes(self) -> None:
        office_hours = [Decimal(100 * (8 <= hour < 16)) for hour in range(24)]
        shares = [usual_share(office_hours, hour / 24) for hour in (8, 12, 16)]
        assert shares == pytest.approx([0, 0.5, 1], abs=0.04)

    def test_within_an_hour_it_goes_on_evenly(self) -> None:
        assert usual_share([Decimal(1), Decimal(3)], 0.75) == pytest.approx(2.5 / 4, abs=0.02)

    def test_without_spend_the_clock_says(self) -> None:
        assert usual_share([Decimal(0)] * 24, 0.3) == 0.3

    @given(st.lists(AMOUNTS, max_size=24), FRACTIONS, FRACTIONS)
    @example([Decimal(3), Decimal(-2), Decimal(3)], 0.4, 0.6)  # an hour corrected below zero
    def test_it_grows_with_the_day_from_nothing_to_all(
        self, parts: list[Decimal], one: float, other: float
    ) -> None:
        shares = [usual_share(parts, at) for at in sorted([0, one, other, 1])]
        assert shares == sorted(shares)
        assert shares[0] == 0
        assert shares[-1] == pytest.approx(1)


class TestAlways:
    @given(PASTS, TODAY, FRACTIONS, STARTS, ENDS)
    def test_spent_low_expected_high(
        self,
        days: list[tuple[date, Decimal]],
        amount: Decimal,
        fraction: float,
        starts: date,
        ends: date,
    ) -> None:
        days = [*days, (MONDAY, amount)]
        found = forecast(days, fraction, ends, starts=starts, today=MONDAY)
        assert (found is None) == (bool(missing(days, MONDAY)) and ends > MONDAY)
        if found:
            spent = sum((each for day, each in days if starts <= day < ends), Decimal(0))
            assert spent <= found.low <= found.expected <= found.high

    @given(PASTS, TODAY, TODAY, FRACTIONS, ENDS)
    def test_more_spent_today_never_means_less_in_the_end(
        self,
        days: list[tuple[date, Decimal]],
        one: Decimal,
        more: Decimal,
        fraction: float,
        ends: date,
    ) -> None:
        found = [
            forecast([*days, (MONDAY, x)], fraction, ends, starts=MONTH["starts"], today=MONDAY)
            for x in (one, one + more)
        ]
        if found[0] and found[1]:
            assert found[0].expected <= found[1].expected + Decimal("1e-6")

    @given(PASTS, st.randoms(use_true_random=False), FRACTIONS, ENDS)
    def test_neither_order_nor_days_of_nothing_matter(
        self, days: list[tuple[date, Decimal]], random: Random, fraction: float, ends: date
    ) -> None:
        wanted = forecast(days, fraction, ends, starts=MONTH["starts"], today=MONDAY)
        mixed = [each for each in days if each[1]]
        random.shuffle(mixed)
        assert forecast(mixed, fraction, ends, starts=MONTH["starts"], today=MONDAY) == wanted
