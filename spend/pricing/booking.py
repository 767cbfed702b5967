"""Which of several costs is booked: one rule, for capture and for everything that corrects later.

The first of these that is known:
1. the cost that the sender says is final; nothing for a failure that used nothing
2. a price of one's own that was valid then: a contract is what will be paid
3. what the provider itself reported: it writes the invoice
4. what a gateway computed: it saw tiers, tools and images that no token count shows
5. our price lists
What is known and not booked is kept beside it, so that they can be compared.

A success that says neither tokens nor a cost is unpriced: no model answers with nothing, so what it
used is not known. Only where it could have used anything for nothing is its cost a known zero.
"""

from typing import NamedTuple

from spend.pricing.book import PriceBook
from spend.pricing.origin import FAILED, GIVEN, UNPRICED, Origin
from spend.pricing.usage import Usage

GATEWAY = Origin("gateway")
PROVIDER = Origin("provider")
_SOME = Usage(input_tokens=1, output_tokens=1)


class Costs(NamedTuple):
    """What is said about one request's cost, pico-dollars; None is not known.

    given: final, by whoever sent the request.
    """

    given: int | None = None
    gateway: int | None = None
    provider: int | None = None


class Booked(NamedTuple):
    """The cost that counts (None: unpriced), where it is from, and the others that are known."""

    pico: int | None
    origin: Origin
    computed: int | None = None
    gateway: int | None = None
    provider: int | None = None


def decide(
    book: PriceBook,
    provider: str,
    model: str,
    moment: int,
    usage: Usage,
    *,
    status: str,
    tier: str | None,
    costs: Costs,
) -> Booked:
    """Decide which cost of a request is booked.

    moment: microseconds since 1970. tier: the service tier, None for the standard one.
    """
    given, gateway, reported = costs
    if given is not None:
        return Booked(given, GIVEN, None, gateway, reported)
    if status == "failure" and not any(usage) and not gateway and not reported:
        return Booked(0, FAILED)
    computed, origin = book.price(
        provider, model, moment, usage, status=status, given=None, service_tier=tier
    )
    if computed == 0 and not any(usage) and not _free(book, provider, model, moment, tier):
        computed, origin = None, UNPRICED
    if computed is not None and origin.source == "override" and not origin.assumption:
        return Booked(computed, origin, None, gateway, reported)
    if reported is not None:
        return Booked(reported, PROVIDER, computed, gateway, None)
    if gateway is not None:
        return Booked(gateway, GATEWAY, computed, None, None)
    return Booked(computed, origin)


def _free(book: PriceBook, provider: str, model: str, moment: int, tier: str | None) -> bool:
    cost, _ = book.price(
        provider, model, moment, _SOME, status="success", given=None, service_tier=tier
    )
    return cost == 0
