"""Money inside the capture path: whole pico-dollars, since the ledger keeps twelve places.

Integers are as exact as Decimal there and several times as fast.
"""

from decimal import ROUND_HALF_EVEN, Context, Decimal

PICO = 10**12
_PLACES = Decimal(1).scaleb(-12)
# Enough digits for any cost that the ledger's numeric(28, 12) can hold, and for what is cut off.
_CONTEXT = Context(prec=60, rounding=ROUND_HALF_EVEN)


def to_pico(cost: Decimal) -> int:
    """Dollars as pico-dollars, rounded half to even at the twelfth place."""
    return int(cost.quantize(_PLACES, context=_CONTEXT).scaleb(12, context=_CONTEXT))


def dollars(pico: int) -> Decimal:
    """Pico-dollars as dollars with twelve places."""
    return Decimal(pico).scaleb(-12, context=_CONTEXT)


def half_even(value: int, divisor: int) -> int:
    """`value / divisor`, rounded half to even, as Decimal's ROUND_HALF_EVEN does."""
    quotient, rest = divmod(value, divisor)
    if rest * 2 > divisor or (rest * 2 == divisor and quotient & 1):
        return quotient + 1
    return quotient
