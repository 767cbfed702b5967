"""A price and where it is from, for people."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta

from spend.errors import BadInputError
from spend.pricing import library
from spend.pricing.library import DAY
from spend.pricing.origin import Origin
from spend.pricing.overrides import Override
from spend.pricing.rates import Tier
from spend.pricing.tariff import EVER, Segment, build

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Explanation:
    """The price of a model at a moment; without tiers it is unpriced.

    valid_from and valid_to are None where there is no such end. hours: the time of day (UTC) to
    which the rates are limited. matched: what the library calls the model, provider and id. list:
    the imported list, empty where the price is from no list.
    """

    provider: str
    model: str
    at: datetime
    origin: Origin
    valid_from: datetime | None
    valid_to: datetime | None
    hours: tuple[time, time] | None
    tiers: tuple[Tier, ...]
    matched: tuple[str, str] | None
    note: str
    list: str


def explain(
    provider: str | None, model: str, at: datetime, overrides: Sequence[Override]
) -> Explanation:
    """The price that a request of this moment gets. Raises BadInputError without a provider."""
    known = library.find(provider, model)
    name = provider or provider_of(model, overrides, known.provider if known else None)
    tariff = build(name, model, overrides, known)
    moment = microseconds(at)
    segment = tariff.at(moment)
    price = segment.daily.at(moment)
    from_library = known is not None and segment.origin == library.ORIGIN
    return Explanation(
        provider=name,
        model=model,
        at=at,
        origin=segment.origin,
        valid_from=boundary(segment.start),
        valid_to=boundary(segment.end),
        hours=_hours(segment, moment),
        tiers=() if price is None else price.tiers,
        matched=(known.provider, known.model) if known is not None and from_library else None,
        note=segment.override.note if segment.override else "",
        list=segment.override.list if segment.override else "",
    )


def provider_of(model: str, overrides: Sequence[Override], known: str | None) -> str:
    """The one provider that has a model. Raises BadInputError where there are several or none."""
    own = {o.provider for o in overrides if o.model.lower() == model.lower() and not o.withdrawn}
    if known is not None:
        own.add(known)
    if len(own) == 1:
        return own.pop()
    if own:
        raise BadInputError(
            f"Several providers have {model}: {', '.join(sorted(own))}. Name one with --provider."
        )
    raise BadInputError(f"No price list names a provider of {model}; name it with --provider.")


def microseconds(at: datetime) -> int:
    """Since 1970."""
    return (at - _EPOCH) // timedelta(microseconds=1)


def boundary(moment: int) -> datetime | None:
    """Where a segment begins or ends; None for ever."""
    return None if abs(moment) >= EVER else _EPOCH + timedelta(microseconds=moment)


def _hours(segment: Segment, moment: int) -> tuple[time, time] | None:
    hours = segment.daily.hours
    if len(hours) == 1:
        return None
    start = max(hour for hour in hours if hour <= moment % DAY)
    end = min((hour for hour in hours if hour > start), default=0)
    return _time(start), _time(end)


def _time(of_day: int) -> time:
    return (_EPOCH + timedelta(microseconds=of_day)).time()
