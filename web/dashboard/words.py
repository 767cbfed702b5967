"""Figures and moments as people read them. The exact figure stays in the page beside them."""

from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from zoneinfo import ZoneInfo

from spend.amounts import dollars

_CENT = Decimal("0.01")
_MICRO = Decimal("0.000001")
_UNITS = (
    (Decimal(10) ** 12, "T"),
    (Decimal(10) ** 9, "B"),
    (Decimal(10) ** 6, "M"),
    (Decimal(1000), "k"),
)
_SMALL = 10_000
_NEARLY = Decimal("0.9995")  # what would be 1000.0 of the unit below


def money(amount: Decimal) -> str:
    """Dollars and cents: $1,234.50, <$0.01, -$3.20."""
    if 0 < amount < _CENT:
        return "<$0.01"
    rounded = amount.quantize(_CENT, ROUND_HALF_EVEN)
    return f"-${-rounded:,}" if rounded < 0 else f"${abs(rounded):,}"


def cost(amount: Decimal) -> str:
    """Of one request, where cents say nothing: $0.004213."""
    if 0 < amount < _MICRO:
        return "<$0.000001"
    rounded = amount.quantize(_MICRO, ROUND_HALF_EVEN)
    return f"-${-rounded:,}" if rounded < 0 else f"${abs(rounded):,}"


def exact(amount: Decimal) -> str:
    """Every digit: $1,234.500000000012."""
    return f"-${dollars(-amount)}" if amount < 0 else f"${dollars(amount)}"


def short_money(amount: Decimal) -> str:
    """For an axis: $0, $250, $1.5k, $0.40, $0.002."""
    for size, unit in _UNITS:
        if amount >= size:
            return f"${_trimmed(amount / size)}{unit}"
    whole, _, places = _trimmed(amount).partition(".")
    return f"${whole}.{places.ljust(2, '0')}" if places else f"${whole}"


def short_money_rounded(amount: Decimal) -> str:
    """In few characters, for what is guessed: $790, $1.2k, $3.4M."""
    for size, unit in _UNITS:
        if amount >= size:
            return f"${_trimmed((amount / size).quantize(Decimal('0.1')))}{unit}"
    return f"${amount:.0f}" if amount >= 1 else f"${_trimmed(amount.quantize(_CENT))}"


def count(number: int) -> str:
    return f"{number:,}"


def short(number: int) -> str:
    """A count in few characters: 9,481, 48.2k, 3.41M."""
    if abs(number) < _SMALL:
        return f"{number:,}"
    for size, unit in _UNITS:
        if abs(number) >= size * _NEARLY:
            share = Decimal(number) / size
            places = 1 if abs(share) >= 100 else 2  # noqa: PLR2004 - three or four digits
            return f"{share:.{places}f}{unit}"
    return str(number)


def percent(part: Decimal, whole: Decimal) -> str:
    """A share: 41.2 %, or nothing of nothing."""
    if not whole:
        return "–"
    share = part * 100 / whole
    if 0 < share < Decimal("0.05"):
        return "<0.1 %"
    return f"{share:.1f} %"


def change(now: Decimal, before: Decimal) -> str:
    """How much more or less: +12 %, −3 %, ×14, new; of a refund nothing is a share."""
    if before <= 0:
        return "new" if now and not before else "–"
    ratio = now / before
    if ratio >= 10:  # noqa: PLR2004 - +900 % says less than ×10
        return f"×{ratio:,.0f}"
    moved = (ratio - 1) * 100
    if abs(moved) < Decimal("0.5"):
        return "±0 %"
    return f"{'+' if moved > 0 else '−'}{abs(moved):.0f} %"


def moment(at: datetime, zone: ZoneInfo, form: str = "%Y-%m-%d %H:%M") -> str:
    return at.astimezone(zone).strftime(form)


def zone(name: str) -> ZoneInfo:
    """A zone by its name; UTC for one that is known no more."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return ZoneInfo("UTC")


def day_before(day: date) -> date:
    """The last day of a period that ends with this one left out."""
    return day - timedelta(days=1)


def iso(at: datetime) -> str:
    return at.astimezone(UTC).isoformat()


def ago(seconds: float) -> str:
    """3 s, 5 min, 2 h, 3 days."""
    for size, unit in ((86_400, "days"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{int(seconds // size)} {unit}"
    return f"{int(seconds)} s"


def _trimmed(amount: Decimal) -> str:
    text = f"{amount:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
