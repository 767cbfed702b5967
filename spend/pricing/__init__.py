"""What a request costs: the price that was valid when it began, from a source that is named.

Order of sources: the cost that came with the row, nothing for a failure that used nothing, a
price of one's own (an override), an imported price list, zero for local providers, the bundled
genai-prices library, one's own or a list's price applied before its date (marked so). Whatever
is left is unpriced: no cost, never 0.
"""

from spend.pricing.book import PriceBook
from spend.pricing.local import LOCAL_PROVIDERS
from spend.pricing.money import PICO, dollars, to_pico
from spend.pricing.origin import FAILED, GIVEN, LOCAL, UNPRICED, Origin
from spend.pricing.overrides import Override
from spend.pricing.rates import Price, Rates, Tier
from spend.pricing.usage import Usage

__all__ = [
    "FAILED",
    "GIVEN",
    "LOCAL",
    "LOCAL_PROVIDERS",
    "PICO",
    "UNPRICED",
    "Origin",
    "Override",
    "Price",
    "PriceBook",
    "Rates",
    "Tier",
    "Usage",
    "dollars",
    "to_pico",
]
