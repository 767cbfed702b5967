from typing import NamedTuple


class Origin(NamedTuple):
    """Where a cost is from; one row of `price_versions`.

    source: given, genai-prices, override, local or unpriced.
    version: the library's release or the override's id.
    assumption: what had to be assumed, empty where nothing was.
    """

    source: str
    version: str = ""
    assumption: str = ""


BEFORE_FIRST_PRICE = "before-first-price"

GIVEN = Origin("given")
# A request that failed and used no token costs nothing anywhere; its zero is known, so it is
# booked like a given one, and the assumption says that nobody gave it.
FAILED = Origin("given", "", "failed-without-usage")
LOCAL = Origin("local")
UNPRICED = Origin("unpriced")
