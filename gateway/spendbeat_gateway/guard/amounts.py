"""Dollars and nano-dollars. What is held and spent rounds up, what may be spent rounds down."""

from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal
from typing import Final

from spendbeat_gateway.guard.answers import AmountError

MOST: Final = 2**63 - 1
# The program around us may have set a context of its own; and 28 digits could round the wrong way.
_CONTEXT: Final = Context(prec=60)
_DIGITS: Final = 11
_NANO: Final = Decimal(10) ** 9


def up(dollars: object) -> int:
    """Nano-dollars, of an amount that is not below 0. Raises AmountError."""
    nano = _nano(dollars, ROUND_CEILING)
    if nano < 0:
        raise AmountError(f"{dollars!s:.40} dollars is below 0")
    return nano


def spent(dollars: object) -> int:
    """Nano-dollars, rounded up; corrections may bring them below 0. Raises AmountError."""
    return _nano(dollars, ROUND_CEILING)


def limit(dollars: object) -> int:
    """Nano-dollars, rounded down; more than 64 bits hold is no more than that."""
    try:
        return _nano(dollars, ROUND_FLOOR)
    except AmountError:
        if isinstance(dollars, Decimal | int) and dollars > MOST // 10**9:
            return MOST
        raise


def dollars(nano: int) -> Decimal:
    return _CONTEXT.divide(Decimal(nano), _NANO)


def _nano(amount: object, rounding: str) -> int:
    try:
        # A float's shortest text is what was meant.
        exact = amount if isinstance(amount, Decimal) else Decimal(str(amount))
        # Written out, some that are short as a power of ten would fill the memory.
        fits = exact.is_finite() and exact.adjusted() < _DIGITS
        nano = (
            int(_CONTEXT.multiply(exact, _NANO).to_integral_value(rounding, _CONTEXT))
            if fits
            else MOST + 1
        )
    except (ArithmeticError, ValueError):
        raise AmountError(f"{amount!s:.40} is not an amount of dollars") from None
    if not -MOST <= nano <= MOST:
        raise AmountError(
            f"{amount!s:.40} dollars do not fit into 64 bits of nano-dollars; the most is"
            " 9223372036.854775807"
        )
    return nano
