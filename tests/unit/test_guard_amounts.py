"""Dollars to nano-dollars: nothing is lost, and every rounding is to the safe side."""

from decimal import Decimal, localcontext

import pytest
from spendbeat_gateway.guard import AmountError, amounts

MOST = Decimal("9223372036.854775807")


@pytest.mark.parametrize(
    ("dollars", "nano"),
    [
        ("0", 0),
        ("1", 10**9),
        ("0.0000000001", 1),
        ("1.0000000000000000000000000000001", 10**9 + 1),
        ("9007199.254740993", 2**53 + 1),
        (MOST, 2**63 - 1),
    ],
)
def test_what_is_spent_rounds_up(dollars: str, nano: int) -> None:
    assert amounts.up(Decimal(dollars)) == nano


def test_a_limit_rounds_down_and_none_is_above_the_largest() -> None:
    assert amounts.limit(Decimal("0.0000000019")) == 1
    assert amounts.limit(Decimal(10) ** 12) == 2**63 - 1


def test_a_float_is_its_shortest_text_and_a_context_of_the_program_changes_nothing() -> None:
    with localcontext() as context:
        context.prec = 3
        assert amounts.up(0.1) == 10**8
        assert amounts.up(Decimal("1234567.123456789")) == 1234567123456789


@pytest.mark.parametrize("amount", [MOST + Decimal("1e-9"), -1, "NaN", "Infinity", "1e999999", "x"])
def test_what_does_not_fit_is_refused_in_words(amount: object) -> None:
    with pytest.raises(AmountError, match="dollars"):
        amounts.up(amount)
