"""The tiers of a price as they are stored: JSON with rates as text, in one canonical order."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields
from decimal import Decimal
from typing import Any

from spend.errors import BadInputError
from spend.pricing.rates import Rates, Tier

CLASSES = tuple(field.name for field in fields(Rates))
_LIMIT = Decimal(10) ** 8
# 17 digits are what the shortest text of a float has; per million tokens six places fewer.
PLACES = 24


def to_json(tiers: Sequence[Tier]) -> list[dict[str, object]]:
    """Ordered, without zeros that do not count: equal prices are equal JSON."""
    return [
        {"above": tier.above, "service": tier.service, "rates": rates_to_json(tier.rates)}
        for tier in sorted(tiers, key=lambda tier: (tier.service, tier.above))
    ]


def rates_to_json(rates: Rates) -> dict[str, str]:
    """The rates that there are, as text."""
    found = ((name, getattr(rates, name)) for name in CLASSES)
    return {name: f"{rate.normalize():f}" for name, rate in found if rate is not None}


def from_json(stored: Iterable[Mapping[str, Any]]) -> tuple[Tier, ...]:
    """What to_json() wrote."""
    return tuple(
        Tier(
            tier["above"],
            Rates(**{name: Decimal(rate) for name, rate in tier["rates"].items()}),
            tier["service"],
        )
        for tier in stored
    )


def checked(tiers: Sequence[Tier]) -> Sequence[Tier]:
    """The tiers, if they make a price. Raises BadInputError."""
    places = [(tier.service, tier.above) for tier in tiers]
    for service, above in places:
        if above < 0 or above >= 1 << 53:
            raise BadInputError(f"A threshold of {above} tokens is out of range.")
        if places.count((service, above)) > 1:
            raise BadInputError(f"Two sets of rates are for {describe(service, above)}.")
    for service in {"", *(service for service, _ in places)}:
        if (service, 0) not in places:
            raise BadInputError(f"There are no rates for {describe(service, 0)}.")
    for tier in tiers:
        for name in CLASSES:
            _check(name, getattr(tier.rates, name))
    return tiers


def describe(service: str, above: int) -> str:
    """Which requests a tier is for."""
    prompts = f"prompts above {above:,} tokens" if above else "all prompts"
    return f"{prompts} at the {service or 'standard'} tier"


def _check(name: str, rate: Decimal | None) -> None:
    if rate is None:
        return
    if not rate.is_finite() or rate < 0 or rate >= _LIMIT:
        unit = "per request" if name == "request" else "per million tokens"
        raise BadInputError(f"A rate of {rate} dollars {unit} is out of range.")
    if rate != round(rate, PLACES):
        raise BadInputError(f"The rate {rate} has more than {PLACES} decimal places.")
