"""A price as the service publishes it, and the most that tokens can cost at it."""

import json
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING, Context, Decimal
from typing import Any

# The request is made after the estimate, by a clock that may differ from the service's; where the
# price changes within this time, the dearer one counts.
EARLIER = 60.0
LATER = 300.0
# Exact for any rates and counts there are; rounds up where it could not be.
_UP = Context(prec=80, rounding=ROUND_CEILING)
_NANO = Decimal(1).scaleb(-9)
_MILLION = 6
_DAY = 86_400_000_000

# What providers call their service tiers, and what prices call them, as booking translates them.
TIERS = {
    "auto": "",
    "default": "",
    "standard": "",
    "standard_only": "",
    "on_demand": "",
    "on_demand_priority": "priority",
    "on_demand_flex": "flex",
    "fast": "priority",
    "batches": "batch",
}


@dataclass(frozen=True)
class Use:
    """What a request may use at most, and which kinds of tokens may be among it."""

    input: int
    output: int
    tier: str | None = None
    long_writes: bool = False
    audio_input: bool = False


@dataclass(frozen=True)
class Tier:
    """Rates (dollars per million tokens, by class) of prompts longer than `above` tokens."""

    above: int
    service: str
    rates: Mapping[str, Decimal]


@dataclass(frozen=True)
class Segment:
    """The prices until a moment: of each time of the day from its hour on; None: unpriced.

    until, hours: microseconds since 1970 and since midnight (UTC).
    """

    until: int | None
    source: str
    hours: tuple[int, ...]
    prices: tuple[tuple[Tier, ...] | None, ...]


@dataclass(frozen=True)
class Price:
    """What is known of a model's price from now on; segments in their order."""

    segments: tuple[Segment, ...]

    def most(self, use: Use, now: float) -> Decimal | None:
        """Dollars that a request made about now costs at most, rounded up to nano-dollars.

        Of several prices that it may get (tiers, lengths of prompt, times) the dearest. None: not
        known.
        """
        costs = [_most(tiers, use) for tiers in self._about(now)]
        known = [cost for cost in costs if cost is not None]
        if not known or costs[0] is None:
            return None
        return max(known).quantize(_NANO, context=_UP)

    def source(self, now: float) -> str:
        """Where the price is from: "override 12", "list 7,standard-tier", "unpriced"."""
        found = self._at(int(now * 1e6))
        return "unpriced" if found is None else found.source

    def without_output(self, now: float) -> bool:
        """Whether output has no rate at all, as for embeddings, which answer with no tokens."""
        tiers = next(iter(self._about(now)))
        return tiers is not None and not any("output" in tier.rates for tier in tiers)

    def _about(self, now: float) -> list[tuple[Tier, ...] | None]:
        """The prices that hold now (first), a little earlier and a little later."""
        found: list[tuple[Tier, ...] | None] = []
        for moment in (now, now - EARLIER, now + LATER):
            at = int(moment * 1e6)
            segment = self._at(at)
            if segment is None:
                found.append(None)
            else:
                found.append(segment.prices[bisect_right(segment.hours, at % _DAY) - 1])
        return found

    def _at(self, moment: int) -> Segment | None:
        for segment in self.segments:
            if segment.until is None or moment < segment.until:
                return segment
        return None


def parse(text: str | bytes) -> Price:
    """A price from what was published. Raises ValueError, KeyError or TypeError."""
    said = json.loads(text)
    return Price(tuple(_segment(one) for one in said["segments"]))


def _segment(said: Mapping[str, Any]) -> Segment:
    daily = said["daily"]
    return Segment(
        said["until"],
        said["source"],
        tuple(one["from"] for one in daily),
        tuple(None if one["tiers"] is None else _tiers(one["tiers"]) for one in daily),
    )


def _tiers(said: Iterable[Mapping[str, Any]]) -> tuple[Tier, ...]:
    found = [
        Tier(
            tier["above"],
            tier["service"],
            {name: Decimal(rate) for name, rate in tier["rates"].items()},
        )
        for tier in said
    ]
    return tuple(sorted(found, key=lambda tier: (tier.service, tier.above)))


def _most(tiers: tuple[Tier, ...] | None, use: Use) -> Decimal | None:
    """At one price: the dearest of the prompt lengths that it may have, and of the service tiers.

    A tier that was asked for may not be served, so the standard one is always among them.
    """
    if tiers is None:
        return None
    name = (use.tier or "").strip().lower()
    services = {"", TIERS.get(name, name)}
    costs = []
    for service in services:
        reached = [
            t for t in tiers if t.service == service and (not t.above or t.above < use.input)
        ]
        for tier, following in zip(reached, [*reached[1:], None]):  # noqa: B905 - of one length
            longest = use.input if following is None else following.above
            costs.append(_cost(tier.rates, longest, use))
    if not costs or any(cost is None for cost in costs):
        return None
    return max(cost for cost in costs if cost is not None)


def _cost(rates: Mapping[str, Decimal], tokens: int, use: Use) -> Decimal | None:
    into = input_rate(rates, use)
    out = output_rate(rates)
    if (into is None and tokens) or (out is None and use.output):
        return None
    total = _UP.multiply(into or Decimal(0), Decimal(tokens))
    total = _UP.add(total, _UP.multiply(out or Decimal(0), Decimal(use.output)))
    return _UP.add(_UP.scaleb(total, -_MILLION), rates.get("request", Decimal(0)))


def input_rate(rates: Mapping[str, Decimal], use: Use) -> Decimal | None:
    """The dearest that an input token can be.

    Writing to the cache is among it without being asked for: some providers do it by themselves,
    and gateways mark prompts for it after the estimate; for an hour only where a request says so.
    """
    plain = rates.get("input")
    if plain is None:
        return None
    read = rates.get("cache_read", plain)
    write = rates.get("cache_write", plain)
    found = [plain, read, write]
    if use.long_writes:
        found.append(rates.get("cache_write_1h", write))
    if use.audio_input:
        audio = rates.get("audio_input", plain)
        both = _UP.subtract(_UP.add(audio, read), plain)
        found += [audio, rates.get("cached_audio", both)]
    return max(found)


def output_rate(rates: Mapping[str, Decimal]) -> Decimal | None:
    """The dearest that an output token can be; reasoning and audio are output."""
    plain = rates.get("output")
    if plain is None:
        return None
    return max(plain, rates.get("reasoning", plain), rates.get("audio_output", plain))
