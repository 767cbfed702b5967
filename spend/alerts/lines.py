"""The lines that a budget draws: amounts of dollars which, once reached, are told."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_CEILING, Decimal, localcontext

from spend.budgets.definition import SEVERITIES, Definition, Threshold

SOFT = "soft"
_PLACE = Decimal("1e-12")
# Spend has 16 digits before the point, and never reaches this.
_BEYOND = Decimal(10) ** 16
# Of a limit times a percentage.
_DIGITS = 80


@dataclass(frozen=True)
class Line:
    """threshold: its name within its basis. The rest is as in definition.Threshold."""

    basis: str
    threshold: str
    dollars: Decimal
    severity: str
    channels: tuple[str, ...]
    escalate_after: int | None
    escalate_to: tuple[str, ...]


def lines(definition: Definition, at: datetime) -> list[Line]:
    """Lines as they are at a moment, the lowest first; one per basis and threshold.

    Beside the thresholds there is the soft limit: a budget that has two limits and thresholds of
    any kind tells of the lower one too.
    """
    found: dict[tuple[str, str], Line] = {}
    for threshold in definition.thresholds:
        dollars = _dollars(threshold, definition.limit(at))
        if dollars is None or dollars >= _BEYOND:
            continue
        line = Line(
            threshold.basis,
            threshold.size,
            dollars,
            threshold.severity,
            threshold.channels,
            threshold.escalate_after,
            threshold.escalate_to,
        )
        key = (line.basis, line.threshold)
        found[key] = _both(found[key], line) if key in found else line
    if soft := _soft(definition, at, found.values()):
        found[soft.basis, soft.threshold] = soft
    return sorted(found.values(), key=lambda line: (line.dollars, line.basis, line.threshold))


def _dollars(threshold: Threshold, limit: Decimal | None) -> Decimal | None:
    with localcontext(prec=_DIGITS):
        dollars = threshold.dollars(limit)
        # Spend has twelve places: it reaches this when it reaches the line.
        return None if dollars is None else dollars.quantize(_PLACE, ROUND_CEILING)


def _soft(definition: Definition, at: datetime, others: Iterable[Line]) -> Line | None:
    others = list(others)
    soft = definition.soft(at)
    if not others or soft is None or definition.hard_limit is None:
        return None
    if any(line.basis == "actual" and line.dollars == soft for line in others):
        return None
    # To whoever hears of any threshold; where one goes to every channel, so does this.
    named = [line.channels for line in others]
    channels = () if () in named else tuple(dict.fromkeys(name for some in named for name in some))
    return Line("actual", SOFT, soft, "warning", channels, None, ())


def _both(one: Line, other: Line) -> Line:
    """The same threshold said twice, perhaps for different channels."""
    after = [minutes for minutes in (one.escalate_after, other.escalate_after) if minutes]
    return Line(
        one.basis,
        one.threshold,
        one.dollars,
        max(one.severity, other.severity, key=SEVERITIES.index),
        ()
        if () in (one.channels, other.channels)
        else tuple(dict.fromkeys(one.channels + other.channels)),
        min(after, default=None),
        tuple(dict.fromkeys(one.escalate_to + other.escalate_to)),
    )
