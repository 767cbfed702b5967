"""Daily spend to forecast: generated kinds, the project's own generator, files of real series."""

import csv
import math
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random

from benchmarks.azure import TRACES, trace
from spend import generate
from spend.pricing import PriceBook, Usage, dollars

FIRST = date(2024, 1, 1)
DAYS = 430
_OFFICE = (1.0, 1.05, 1.05, 1.0, 0.9, 0.25, 0.2)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Series:
    """A kind, and spend by day without a hole from `first` on.

    hours: each day's, where they are known. calendar: whether its days are days.
    """

    kind: str
    first: date
    amounts: list[Decimal]
    hours: list[list[Decimal]] | None = None
    calendar: bool = True

    def __getitem__(self, day: date) -> Decimal:
        return self.amounts[(day - self.first).days]

    @property
    def ends(self) -> date:
        return self.first + timedelta(len(self.amounts))


def _days(random: Random, noise: float, shape: Callable[[int, date], float]) -> list[Decimal]:
    """About $100 a day in the shape of a week of office days, with log-normal noise around it."""
    found = []
    for number in range(DAYS):
        day = FIRST + timedelta(number)
        amount = 100 * shape(number, day) * math.exp(random.gauss(-(noise**2) / 2, noise))
        found.append(Decimal(f"{amount:.6f}"))
    return found


def _office(day: date) -> float:
    return _OFFICE[day.weekday()]


def _month_end(day: date) -> bool:
    return (day + timedelta(1)).day == 1


def week(random: Random) -> list[Decimal]:
    return _days(random, 0.15, lambda _, day: _office(day))


def noisy(random: Random) -> list[Decimal]:
    return _days(random, 0.6, lambda _, day: _office(day))


def growth(random: Random) -> list[Decimal]:
    """3 to 8 % more each week."""
    weekly = random.uniform(0.03, 0.08)
    return _days(random, 0.2, lambda n, day: _office(day) * math.exp(n / 7 * weekly))


def launches(random: Random) -> list[Decimal]:
    """Every two months or so the level jumps to 0.4 to 3 times what it was."""
    levels, level = [], 1.0
    for _ in range(DAYS):
        if random.random() < 1 / 60:
            level *= math.exp(random.uniform(-0.9, 1.1))
        levels.append(level)
    return _days(random, 0.2, lambda n, day: _office(day) * levels[n])


def drifting(random: Random) -> list[Decimal]:
    """The level wanders by 4 % a day."""
    level, levels = 0.0, []
    for _ in range(DAYS):
        level += random.gauss(0, 0.04)
        levels.append(math.exp(level))
    return _days(random, 0.2, lambda n, day: _office(day) * levels[n])


def month_end(random: Random) -> list[Decimal]:
    """A batch of eight days' spend on the last day of each month."""
    return _days(random, 0.2, lambda _, day: _office(day) + 8 * _month_end(day))


def spikes(random: Random) -> list[Decimal]:
    """One day in forty is 10 to 30 times as large: a loop that nobody stopped."""
    huge = {n: random.uniform(10, 30) for n in range(DAYS) if random.random() < 1 / 40}
    return _days(random, 0.2, lambda n, day: _office(day) * huge.get(n, 1.0))


def sparse(random: Random) -> list[Decimal]:
    """Spend on one day in six, at random."""
    used = {n for n in range(DAYS) if random.random() < 1 / 6}
    return _days(random, 0.5, lambda n, _: 6.0 * (n in used))


def outages(random: Random) -> list[Decimal]:
    """Two to five days of nothing, every month or so."""
    dark: set[int] = set()
    for number in range(DAYS):
        if random.random() < 1 / 35:
            dark.update(range(number, number + random.randint(2, 5)))
    return _days(random, 0.2, lambda n, day: _office(day) * (n not in dark))


KINDS = (week, noisy, growth, launches, drifting, month_end, spikes, sparse, outages)


def generated(seeds: int) -> Iterator[Series]:
    for make in KINDS:
        for seed in range(seeds):
            yield Series(make.__name__, FIRST, make(Random(f"{make.__name__} {seed}")))


def own_traffic(rows: int, days: int) -> Iterator[Series]:
    """`./run spendbeat generate`'s traffic at list prices: all of it, and what each team spends."""
    first = date(2026, 1, 1)
    book = PriceBook()
    totals: defaultdict[tuple[str, str], list[list[Decimal]]] = defaultdict(
        lambda: [[Decimal(0)] * 24 for _ in range(days)]
    )
    for row in generate.requests(rows, 1, first, days):
        cost = _cost(book, row)
        moment = datetime.fromisoformat(str(row["started_at"]))
        number = (moment.date() - first).days
        totals["generate", ""][number][moment.hour] += cost
        totals["generate, a team", str(row["api_key"])][number][moment.hour] += cost
    for (kind, _), hours in sorted(totals.items()):
        yield Series(kind, first, [sum(each, Decimal(0)) for each in hours], hours)


def _cost(book: PriceBook, row: dict[str, object]) -> Decimal:
    moment = datetime.fromisoformat(str(row["started_at"]))
    usage = Usage(**{name: row[name] for name in Usage._fields})  # type: ignore[arg-type]  # counts
    since = (moment - _EPOCH) // timedelta(microseconds=1)
    pico, _ = book.price(
        str(row["provider"]), str(row["model"]), since, usage, status=str(row["status"]), given=None
    )
    return dollars(pico or 0)


def azure(folder: Path) -> Iterator[Series]:
    """An hour of real traffic by the minute, each minute in the place of a day."""
    for name, (_, per_input, per_output) in TRACES.items():
        minutes: defaultdict[datetime, Decimal] = defaultdict(Decimal)
        with trace(folder, name).open(newline="") as file:
            for row in csv.DictReader(file):
                cost = int(row["ContextTokens"]) * per_input
                cost += int(row["GeneratedTokens"]) * per_output
                minutes[datetime.fromisoformat(row["TIMESTAMP"][:16])] += cost / 1_000_000
        begin, end = min(minutes), max(minutes)  # neither is there from end to end
        count = (end - begin) // timedelta(minutes=1)
        whole = [minutes[begin + timedelta(minutes=n)] for n in range(1, count)]
        yield Series(f"Azure {name}, by minute", FIRST, whole, calendar=False)


def daily(file: Path) -> Series:
    """A file with a heading and two columns, day and amount; missing days spent nothing."""
    with file.open(newline="") as lines:
        rows = list(csv.reader(lines))[1:]
    amounts = {date.fromisoformat(day): Decimal(amount) for day, amount, *_ in rows}
    first, last = min(amounts), max(amounts)
    days = [first + timedelta(n) for n in range((last - first).days + 1)]
    return Series(file.stem, first, [amounts.get(day, Decimal(0)) for day in days])
