from collections.abc import Sequence
from typing import NamedTuple

from spend.pricing import library, tariff
from spend.pricing.origin import FAILED, GIVEN, UNPRICED, Origin
from spend.pricing.overrides import Override
from spend.pricing.tariff import Tariff
from spend.pricing.usage import Usage


class Simple(NamedTuple):
    """Pico-dollars per token of the first six of models.TOKEN_CLASSES, and per request.

    Good for prompts of at most `longest` tokens and no audio.
    """

    weights: tuple[int, ...]
    request: int
    longest: int
    origin: Origin


class PriceBook:
    """Prices of every model met so far: each is looked up once, each row only multiplies.

    Valid for one import or one process' life; overrides made later need a new book.
    """

    def __init__(self, overrides: Sequence[Override] = ()) -> None:
        self._overrides = tuple(overrides)
        self._tariffs: dict[tuple[str, str], Tariff] = {}

    def tariff(self, provider: str, model: str) -> Tariff:
        """All prices of a model."""
        found = self._tariffs.get((provider, model))
        if found is None:
            known = library.find(provider, model)
            found = tariff.build(provider, model, self._overrides, known)
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
        """
        del service_tier  # no source has rates of other tiers yet
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
        cost = None if price is None else price.pico(usage)
        return (None, UNPRICED) if cost is None else (cost, origin)
