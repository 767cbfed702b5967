"""How far the forecast of a period's spend is off, beside two that anybody would make.

Back-test: at several points of each period the forecast sees what had been spent by then, and is
compared with what the period ended at. Beside it: the same as the last period, and a straight line
(spent / elapsed * length). The forecast knows how much of today is over by the clock, and once more
by the hours in which spend usually comes. Where a series has days only, spend within a day follows
the office hours of the project's generator.

Errors are mean absolute percentages of the period's end; covered: how often the end was within the
range, which is meant for 80 %. --daily: a CSV of days and amounts, for example of a real series.
--azure: the folder of the traces (see `./run bench azure --help`); they last an hour, so a minute
stands for a day, ten for a period, and there are no weekdays in them.

    ./run bench forecast
    ./run bench forecast --daily spend.csv --azure ../shared/data
"""

import argparse
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from decimal import Decimal
from itertools import accumulate, pairwise
from math import pi, sin
from pathlib import Path
from statistics import mean
from typing import NamedTuple

from benchmarks import forecast_series as series
from benchmarks.forecast_series import Series
from benchmarks.stack import show
from spend.forecast import HISTORY_DAYS, forecast, usual_share

POINTS = (0.1, 0.25, 0.5, 0.75, 0.9)
MINUTES = 10  # a period of the traces
DAYS_APART = 5  # of the periods of one day; all weekdays take part
Pair = tuple[tuple[date, date], tuple[date, date]]
WAYS = ("forecast", "by usual hours", "last period", "straight line")
HOURS_FROM = 28  # days


class Case(NamedTuple):
    """One forecast: where it stood, what the three ways were off, and the range."""

    kind: str
    period: str
    point: float
    errors: tuple[float, ...]
    bias: float
    covered: bool
    width: float


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--azure", type=Path, metavar="FOLDER")
    parser.add_argument("--daily", type=Path, action="append", default=[], metavar="FILE")
    parser.add_argument("--seeds", type=int, default=6, help="series of each kind")
    parser.add_argument("--rows", type=int, default=200_000, help="requests of the generator")
    options = parser.parse_args(argv)
    cases, took = [], 0.0
    for each in chosen(options):
        for period, bounds in periods(each).items():
            for pair in bounds:
                for point in POINTS:
                    begun = time.process_time()
                    if case := judged(each, period, pair, point):
                        cases.append(case)
                    took += time.process_time() - begun
    for period in dict.fromkeys(case.period for case in cases):
        report([case for case in cases if case.period == period], period)
    print(f"{2 * len(cases):,} forecasts, {took / len(cases) / 2 * 1000:.2f} ms of CPU each")
    return 0


def chosen(options: argparse.Namespace) -> Iterator[Series]:
    yield from series.generated(options.seeds)
    if options.rows:
        yield from series.own_traffic(options.rows, 240)
    for file in options.daily:
        yield series.daily(file)
    if options.azure:
        yield from series.azure(options.azure)


def periods(each: Series) -> dict[str, list[Pair]]:
    """The whole periods of a series, each with the one before it, by the name of their length."""
    days = [each.first + timedelta(n) for n in range(len(each.amounts) + 1)]
    if not each.calendar:
        return {"ten minutes": _pairs(days[(len(days) - 1) % MINUTES :: MINUTES])}
    return {
        "month": _pairs([day for day in days if day.day == 1]),
        "week": _pairs([day for day in days if day.weekday() == 0]),
        "day": _pairs(days)[::DAYS_APART],
    }


def _pairs(days: list[date]) -> list[Pair]:
    return list(pairwise(pairwise(days)))


def judged(each: Series, period: str, pair: Pair, point: float) -> Case | None:
    """None where the forecast says nothing yet, or the period spent nothing."""
    before, (starts, ends) = pair
    gone = (ends - starts).days * point
    today, fraction = starts + timedelta(int(gone)), gone % 1
    known = [each.first + timedelta(n) for n in range((today - each.first).days)]
    days = [(day, each[day]) for day in known[-HISTORY_DAYS:]]
    days.append((today, so_far(each, today, fraction)))
    spent = sum((amount for day, amount in days if day >= starts), Decimal(0))
    actual = total(each, starts, ends)
    found = forecast(days, fraction, ends, starts=starts, today=today)
    by_hours = forecast(days, share(each, today, fraction), ends, starts=starts, today=today)
    if found is None or by_hours is None or not actual:
        return None
    ways = found.expected, by_hours.expected, total(each, *before), spent / Decimal(point)
    return Case(
        each.kind,
        period,
        point,
        tuple(float(abs(said - actual) / actual) for said in ways),
        float((found.expected - actual) / actual),
        found.low <= actual <= found.high,
        float((found.high - found.low) / actual),
    )


def so_far(each: Series, today: date, fraction: float) -> Decimal:
    """What today has spent when `fraction` of it is over, to the hour where hours are known."""
    if each.hours:
        hours = each.hours[(today - each.first).days]
        return sum(hours[: round(fraction * 24)], Decimal(0))
    return each[today] * Decimal(BUSY[int(fraction * 1440)] if each.calendar else fraction)


def share(each: Series, today: date, fraction: float) -> float:
    """How much of today is over by the hours in which spend came in the weeks before."""
    if not each.calendar:
        return fraction
    if not each.hours:
        return BUSY[int(fraction * 1440)]
    number = (today - each.first).days
    parts = each.hours[max(0, number - HOURS_FROM) : number]
    return usual_share([sum(hour, Decimal(0)) for hour in zip(*parts, strict=True)], fraction)


def total(each: Series, starts: date, ends: date) -> Decimal:
    return sum((each[starts + timedelta(n)] for n in range((ends - starts).days)), Decimal(0))


def busy() -> list[float]:
    """Share of a day's spend before each of its minutes."""
    shape = [0.15 + max(0.0, sin((minute / 60 - 6) / 14 * pi)) ** 2 for minute in range(1440)]
    until = list(accumulate(shape, initial=0.0))
    return [each / until[-1] for each in until]


BUSY = busy()


def report(cases: list[Case], period: str) -> None:
    by_kind: defaultdict[str, list[Case]] = defaultdict(list)
    by_point: defaultdict[str, list[Case]] = defaultdict(list)
    for case in cases:
        by_kind[case.kind].append(case)
        by_point[f"{case.point:.0%} of it gone"].append(case)
    for title, groups in (("kind", by_kind), ("point", by_point)):
        rows = [row(name, group) for name, group in groups.items()]
        if title == "point":
            rows.append(row("all", cases))
        columns = [title, "forecasts", *WAYS, "bias", "covered", "width"]
        show(f"By {title}: {period}", columns, rows)


def row(name: str, cases: list[Case]) -> list[str]:
    errors = [mean(case.errors[way] for case in cases) for way in range(len(WAYS))]
    rest = mean(c.bias for c in cases), mean(c.covered for c in cases), mean(c.width for c in cases)
    return [name, f"{len(cases):,}", *(f"{each:.1%}" for each in (*errors, *rest))]


if __name__ == "__main__":
    sys.exit(main())
