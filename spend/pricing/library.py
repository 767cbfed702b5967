"""genai-prices, asked once per model: which of its prices is valid from when to when."""

from bisect import bisect_right
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal

import genai_prices
from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import (
    ModelInfo,
    ModelPrice,
    Provider,
    StartDateConstraint,
    TieredPrices,
    TimeOfDateConstraint,
)

from spend.pricing.origin import Origin
from spend.pricing.rates import FREE, Price, Rates, Tier

DAY = 86_400_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# genai-prices' name of each rate. Its other measures (images, seconds of audio, searches) are
# no part of a ledger row, so they add nothing.
_KEYS = {
    "input": "input_mtok",
    "output": "output_mtok",
    "cache_read": "cache_read_mtok",
    "cache_write": "cache_write_mtok",
    "cache_write_1h": "cache_write_1h_mtok",
    "reasoning": "output_reasoning_mtok",
    "audio_input": "input_audio_mtok",
    "audio_output": "output_audio_mtok",
    "cached_audio": "cache_audio_read_mtok",
}
ORIGIN = Origin("genai-prices", genai_prices.__version__)
# The library has no service tiers. Where a provider sells one as a model of another name, such as
# OpenRouter's "...:batch", that is the tier's price.
_SERVICES = ("batch", "flex", "priority")
# Names of gateways under which the library does not find its provider.
ALIASES = {"azure_ai": "azure", "fireworks_ai": "fireworks"}


@dataclass(frozen=True, slots=True)
class LibraryModel:
    """A model that the library knows, and the days on which its price changed."""

    provider: str
    model: str
    info: ModelInfo
    starts: tuple[int, ...]  # midnights (UTC) in microseconds since 1970
    services: tuple[tuple[str, ModelInfo], ...] = ()

    def prices_on(self, at: int) -> "Daily":
        """The prices of the day that `at` (microseconds) falls on; None where it lists none."""
        day = _EPOCH + timedelta(microseconds=at - at % DAY)
        hours = _hours(self.info, *(info for _, info in self.services))
        found = [self._price(day + timedelta(microseconds=hour)) for hour in hours]
        return Daily(hours, tuple(found))

    def _price(self, moment: datetime) -> Price | None:
        standard = _tiers(self.model, self.info.get_prices(moment))
        if not standard:
            return None
        others = [
            tier._replace(service=service)
            for service, info in self.services
            for tier in _tiers(self.model, info.get_prices(moment))
        ]
        return Price([*standard, *others])


@dataclass(frozen=True, slots=True)
class Daily:
    """Prices by time of day: each is valid from its hour (microseconds of the day, UTC) on."""

    hours: tuple[int, ...]
    prices: tuple[Price | None, ...]

    def at(self, moment: int) -> Price | None:
        """The price at a moment (microseconds since 1970)."""
        if len(self.prices) == 1:
            return self.prices[0]
        return self.prices[bisect_right(self.hours, moment % DAY) - 1]


def find(provider: str | None, model: str) -> LibraryModel | None:
    """What the library knows of a model (of any provider for None).

    About 150 microseconds, so ask once.
    """
    snapshot = get_snapshot()
    provider = ALIASES.get(provider or "", provider)
    try:
        owner, info = snapshot.find_provider_model(model, None, provider, None)
    except LookupError:
        return None
    services = tuple(
        (name, other)
        for name in _SERVICES
        if (other := _exactly(owner, f"{info.id}:{name}")) is not None
    )
    starts = {start for one in (info, *(other for _, other in services)) for start in _starts(one)}
    return LibraryModel(owner.id, info.id, info, tuple(sorted(starts)), services)


def _exactly(owner: Provider, id_: str) -> ModelInfo | None:
    return next((model for model in owner.models if model.id == id_), None)


def _starts(info: ModelInfo) -> set[int]:
    constraints = () if isinstance(info.prices, ModelPrice) else info.prices
    return {
        int((c.constraint.start_date - _EPOCH.date()).total_seconds()) * 1_000_000
        for c in constraints
        if isinstance(c.constraint, StartDateConstraint)
    }


def _hours(*infos: ModelInfo) -> tuple[int, ...]:
    found = {0}
    for info in infos:
        for conditional in () if isinstance(info.prices, ModelPrice) else info.prices:
            constraint = conditional.constraint
            if isinstance(constraint, TimeOfDateConstraint):
                found |= {_of_day(constraint.start_time), _of_day(constraint.end_time)}
    return tuple(sorted(found))


def _of_day(value: time) -> int:
    moment = datetime.combine(_EPOCH.date(), value, value.tzinfo or UTC)
    return (moment - _EPOCH) // timedelta(microseconds=1) % DAY


def _tiers(model: str, prices: ModelPrice) -> list[Tier]:
    starts = {0}
    for value in vars(prices).values():
        if isinstance(value, TieredPrices):
            starts |= {tier.start for tier in value.tiers}
    tiers = [Tier(above, _rates(prices, above)) for above in sorted(starts)]
    if any(tier.rates.known() for tier in tiers):
        return tiers
    # An empty list is what the library has for a model that it knows but found no price of;
    # only those offered as ":free" are free.
    return [Tier(0, FREE)] if model.endswith(":free") else []


def _rates(prices: ModelPrice, above: int) -> Rates:
    values = vars(prices)
    per_thousand = _rate(values.get("requests_kcount"), above)
    return Rates(
        **{name: _rate(values.get(key), above) for name, key in _KEYS.items()},
        request=None if per_thousand is None else per_thousand / 1000,
    )


def _rate(value: Decimal | TieredPrices | None, above: int) -> Decimal | None:
    """The rate of prompts just longer than `above` tokens; of the shortest ones for 0."""
    if not isinstance(value, TieredPrices):
        return value
    rate = value.base
    for tier in value.tiers:
        # A tier that starts at 0 holds for every prompt but the empty one, which costs nothing.
        if tier.start <= above:
            rate = tier.price
    return rate
