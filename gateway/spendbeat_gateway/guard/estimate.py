"""What a call will cost at most, before it is made."""

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True)
class Estimate:
    """dollars: None where the price is not known. upper_bound: whether it cannot cost more.

    tokens: of input and output together, as far as they are in the bound. how: in words.
    """

    dollars: Decimal | None
    tokens: int
    upper_bound: bool
    how: str
