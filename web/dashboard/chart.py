"""Where the columns of a chart stand. Widths are in percent, so that it fits any screen."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from math import ceil
from zoneinfo import ZoneInfo

from spend.trend import Band, Size, Trend

HEIGHT = 200  # pixels of the tallest column at the top line
_LINES = 4
_MOST_LABELS = 7
_GAP = 0.22  # of a column's room
_WIDEST = 6.0  # percent; few columns stay columns
_FORMS: dict[Size, str] = {
    "hour": "%H:%M",
    "day": "%b %-d",
    "week": "%b %-d",
    "month": "%b %Y",
}


@dataclass(frozen=True)
class Block:
    """A piece of a column, in pixels from the top. color: which of the palette."""

    y: float
    height: float
    color: str


@dataclass(frozen=True)
class Column:
    """x, width, room (where it begins, its width): percent. second: its label is one of those
    that a narrow screen has no room for.
    """

    x: float
    width: float
    room: tuple[float, float]
    since: datetime
    until: datetime
    name: str
    label: str
    second: bool
    total: Decimal
    unpriced: int
    blocks: tuple[Block, ...]
    costs: tuple[Decimal, ...]


@dataclass(frozen=True)
class Chart:
    """lines: (y, dollars) from the top. colors: of each band."""

    columns: tuple[Column, ...]
    lines: tuple[tuple[float, Decimal], ...]
    bands: tuple[Band, ...]
    colors: tuple[str, ...]
    height: int = HEIGHT


def chart(trend: Trend, zone: ZoneInfo) -> Chart:
    """Stacked columns, the dearest value at the bottom."""
    totals = trend.totals
    bands = tuple(band for band in trend.bands if any(band.costs) or not band.rest)
    colors = tuple(_color(place, band) for place, band in enumerate(bands))
    top, lines = scale(max(_drawn(bands, place) for place in range(len(totals))))
    count = len(totals)
    room = 100 / count
    width = min(room * (1 - _GAP), _WIDEST)
    every = ceil(count / _MOST_LABELS)
    columns = []
    for place, total in enumerate(totals):
        since, until = trend.edges[place], trend.edges[place + 1]
        costs = tuple(band.costs[place] for band in bands)
        columns.append(
            Column(
                x=room * place + (room - width) / 2,
                width=width,
                room=(room * place, room),
                since=since,
                until=until,
                name=_name(trend.size, since, until, zone),
                label=_form(since, zone, trend.size) if _labelled(place, count, every) else "",
                second=(count - 1 - place) // every % 2 == 1,
                total=total,
                unpriced=trend.unpriced[place],
                blocks=_blocks(costs, colors, top),
                costs=costs,
            )
        )
    return Chart(tuple(columns), lines, bands, colors)


def scale(most: Decimal) -> tuple[Decimal, tuple[tuple[float, Decimal], ...]]:
    """A round amount that is at least `most`, and lines up to it."""
    if most <= 0:
        return Decimal(1), ((float(HEIGHT), Decimal(0)),)
    raw = most / _LINES
    power = Decimal(10) ** raw.adjusted()
    step = next(power * n for n in (1, 2, Decimal("2.5"), 5, 10) if power * n >= raw)
    count = ceil(most / step)
    top = step * count
    lines = [(HEIGHT * (1 - n / count), step * n) for n in range(count, -1, -1)]
    return top, tuple(lines)


def _blocks(costs: Sequence[Decimal], colors: Sequence[str], top: Decimal) -> tuple[Block, ...]:
    """From the bottom up; corrections below zero are in the figures, not in the picture."""
    found = []
    y = float(HEIGHT)
    for cost, color in zip(costs, colors, strict=True):
        height = float(cost / top) * HEIGHT
        if height > 0:
            y -= height
            found.append(Block(round(y, 2), round(height, 2), color))
    return tuple(found)


def _drawn(bands: Sequence[Band], place: int) -> Decimal:
    """How high a column is: higher than its total, where a refund is in one of its bands."""
    return sum((max(band.costs[place], Decimal(0)) for band in bands), Decimal(0))


def _color(place: int, band: Band) -> str:
    if band.rest:
        return "rest"
    return "none" if band.value is None else f"c{place}"


def _labelled(place: int, count: int, every: int) -> bool:
    """Counted from the newest, which is what people look at."""
    return (count - 1 - place) % every == 0


def _form(at: datetime, zone: ZoneInfo, size: Size) -> str:
    return at.astimezone(zone).strftime(_FORMS[size])


def _name(size: Size, since: datetime, until: datetime, zone: ZoneInfo) -> str:
    first = since.astimezone(zone)
    if size == "hour":
        return f"{first:%a %b %-d, %H:%M}"
    if size == "day":
        return f"{first:%a %b %-d, %Y}"
    last = (until - timedelta(microseconds=1)).astimezone(zone)
    return f"{first:%b %-d} to {last:%b %-d, %Y}"
