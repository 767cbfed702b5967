"""Everything recorded about a model's price, on both time axes, and what wins when."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from spend.pricing import library
from spend.pricing.explain import boundary, provider_of
from spend.pricing.origin import Origin
from spend.pricing.overrides import Override
from spend.pricing.rates import Tier
from spend.pricing.tariff import build


@dataclass(frozen=True, slots=True)
class Winner:
    """What holds from one moment to the next; None is no such end. No tiers: unpriced.

    by_hour: the rates are those of midnight (UTC), others hold at other hours.
    """

    valid_from: datetime | None
    valid_to: datetime | None
    origin: Origin
    tiers: tuple[Tier, ...]
    by_hour: bool


@dataclass(frozen=True, slots=True)
class History:
    """The recorded prices of a model, in the order they became known, and who wins when."""

    provider: str
    model: str
    recorded: tuple[Override, ...]
    winners: tuple[Winner, ...]


def history(provider: str | None, model: str, overrides: Sequence[Override]) -> History:
    """The history of a model. Raises BadInputError without a provider, where it is not clear."""
    known = library.find(provider, model)
    name = provider or provider_of(model, overrides, known.provider if known else None)
    tariff = build(name, model, overrides, known)
    winners = []
    for segment in tariff.segments:
        price = segment.daily.prices[0]
        winners.append(
            Winner(
                boundary(segment.start),
                boundary(segment.end),
                segment.origin,
                () if price is None else price.tiers,
                len(segment.daily.prices) > 1,
            )
        )
    recorded = tuple(price for price in overrides if price.names(name, model))
    return History(name, model, recorded, _joined(winners))


def _joined(winners: Sequence[Winner]) -> tuple[Winner, ...]:
    """Neighbours that are the same price as one."""
    found: list[Winner] = []
    for winner in winners:
        last = found[-1] if found else None
        if last and (last.origin, last.tiers) == (winner.origin, winner.tiers):
            found[-1] = Winner(
                last.valid_from,
                winner.valid_to,
                last.origin,
                last.tiers,
                last.by_hour or winner.by_hour,
            )
        else:
            found.append(winner)
    return tuple(found)
