from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from spend.pricing import library, tariff
from spend.pricing.origin import FAILED, GIVEN, STANDARD_TIER, UNPRICED, Origin
from spend.pricing.overrides import Override, as_known
from spend.pricing.services import service_name
from spend.pricing.tariff import Tariff
from spend.pricing.usage import Usage


class Simple(NamedTuple):
    """Pico-dollars per token of the first six of models.TOKEN_CLASSES, and per request.

    Good for prompts of at most `longest` tokens, no audio and the standard service tier.
    """

    weights: tuple[int, ...]
    request: int
    longest: int
    origin: Origin


class PriceBook:
    """Prices of every model met so far: each is looked up once, each row only multiplies.

    Valid for one import or one process' life; prices made later need a new book. With known_at
    it is the book of that moment: of the prices recorded by then, as they were known then. The
    bundled library is the installed one in any case.
    """

    def __init__(
        self, overrides: Iterable[Override] = (), *, known_at: datetime | None = None
    ) -> None:
        self._own: defaultdict[tuple[str, str], list[Override]] = defaultdict(list)
        for price in overrides if known_at is None else as_known(overrides, known_at):
            self._own[price.provider.lower(), price.model.lower()].append(price)
        self._tariffs: dict[tuple[str, str], Tariff] = {}

    def tariff(self, provider: str, model: str) -> Tariff:
        """All prices of a model."""
        found = self._tariffs.get((provider, model))
        if found is None:
            known = library.find(provider, model)
            own = self._own.get((provider.lower(), model.lower()), ())
            found = tariff.build(provider, model, own, known)
            self._tariffs[provider, model] = found
        return found

    def simple(self, provider: str, model: str, begin: int, end: int) -> Simple | None:
        """How a model's usual requests are priced, if it has one price from begin to end."""
        segment = self.tariff(provider, model).at(begin)
        price = segment.daily.prices[0]
        if end >= segment.end or len(segment.daily.prices) > 1 or price is None:
            return None
        usual = price.usual()
        return None if usual is None else Simple(*usual, segment.origin)

    def price(
        self,
        provider: str,
        model: str,
        moment: int,
        usage: Usage,
        *,
        status: str,
        given: int | None,
        service_tier: str | None = None,
    ) -> tuple[int | None, Origin]:
        """Pico-dollars of one request and where they are from; None is unpriced.

        moment: microseconds since 1970. given: the cost that came with the row, pico-dollars.
        A service tier that the price has no rates of costs the standard ones, marked so.
        """
        if given is not None:
            return given, GIVEN
        if status == "failure" and not any(usage):
            return 0, FAILED
        # Not through tariff(): this is the inner loop of an import.
        found = self._tariffs.get((provider, model)) or self.tariff(provider, model)
        flat = found.flat
        if flat is None:
            segment = found.at(moment)
            price, origin = segment.daily.at(moment), segment.origin
        else:
            price, origin = flat
        if service_tier and price is not None and (service := service_name(service_tier)):
            if service in price.services:
                price = price.services[service]
            elif origin.source != "local":
                origin = origin.assuming(STANDARD_TIER)
        cost = None if price is None else price.pico(usage)
        return (None, UNPRICED) if cost is None else (cost, origin)
