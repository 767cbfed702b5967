from typing import NamedTuple


class Origin(NamedTuple):
    """Where a cost is from; one row of `price_versions`.

    source: given, gateway, provider, override, list, local, genai-prices or unpriced.
    version: the library's release or the price's id.
    assumption: what had to be assumed, empty where nothing was, several joined by commas.
    """

    source: str
    version: str = ""
    assumption: str = ""

    def assuming(self, what: str) -> "Origin":
        """The same with one more assumption."""
        return self._replace(assumption=f"{self.assumption},{what}".lstrip(","))


BEFORE_FIRST_PRICE = "before-first-price"
# The price has no rates of the service tier that the request was served at.
STANDARD_TIER = "standard-tier"

GIVEN = Origin("given")
# A request that failed and used no token costs nothing anywhere; its zero is known, so it is
# booked like a given one, and the assumption says that nobody gave it.
FAILED = Origin("given", "", "failed-without-usage")
LOCAL = Origin("local")
UNPRICED = Origin("unpriced")
