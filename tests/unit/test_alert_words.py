"""Amounts in a message: what a person reads must not be rounded away."""

from decimal import Decimal

import pytest

from spend.alerts.messages import _dollars
from spend.amounts import dollars


@pytest.mark.parametrize(
    ("amount", "words"),
    [
        ("0", "$0.00"),
        ("0.0235", "$0.0235"),
        ("0.000000000001", "$0.000000000001"),
        ("0.5", "$0.50"),
        ("1.005", "$1.00"),
        ("999.999", "$1,000.00"),
        ("-0.25", "$-0.25"),
        ("1234567.891", "$1,234,567.89"),
    ],
)
def test_an_amount_in_words(amount: str, words: str) -> None:
    assert _dollars(Decimal(amount)) == words


@pytest.mark.parametrize(
    ("amount", "words"),
    [
        ("0", "0.00"),
        ("0E-12", "0.00"),
        ("-0.25", "-0.25"),
        ("-1234.5", "-1,234.50"),
        ("1234567.000000000001", "1,234,567.000000000001"),
        ("1E+3", "1,000.00"),
    ],
)
def test_an_amount_in_full_keeps_its_sign_and_all_its_places(amount: str, words: str) -> None:
    """What is left of a budget may be less than a dollar below zero."""
    assert dollars(Decimal(amount)) == words
