"""A price as whole-number weights: one multiplication per token class, exact to the last digit."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from decimal import Decimal
from typing import NamedTuple

from spend.pricing.money import half_even
from spend.pricing.usage import Usage, cached_audio


@dataclass(frozen=True, slots=True)
class Rates:
    """Dollars per million tokens of each class, and dollars per request.

    None is a class without a rate of its own: it costs what the class containing it costs, or,
    for input and output themselves, nobody knows.
    """

    input: Decimal | None = None
    output: Decimal | None = None
    cache_read: Decimal | None = None
    cache_write: Decimal | None = None
    cache_write_1h: Decimal | None = None
    reasoning: Decimal | None = None
    audio_input: Decimal | None = None
    audio_output: Decimal | None = None
    cached_audio: Decimal | None = None
    request: Decimal | None = None

    def known(self) -> bool:
        """False where there is no rate at all."""
        return any(getattr(self, field.name) is not None for field in fields(self))


FREE = Rates(input=Decimal(0), output=Decimal(0))


class Tier(NamedTuple):
    """Rates of all tokens of a request whose prompt is longer than `above` tokens.

    service: the service tier that the request was served at; empty is the standard one.
    """

    above: int
    rates: Rates
    service: str = ""


class _Weights(NamedTuple):
    """What one token of a class adds to its containing class's rate, in units of the price."""

    input: int
    output: int
    cache_read: int
    cache_write: int
    cache_write_1h: int
    reasoning: int
    audio_input: int
    audio_output: int
    cached_audio: int
    request: int
    input_known: bool
    output_known: bool


USUAL = 10**9  # tokens
_USUAL_WEIGHT = 10**9  # pico-dollars per token: a thousand dollars per million


class Price:
    """What any usage costs while this price is valid.

    Long prompts: crossing a tier's threshold applies its rates to all tokens of the request,
    so each tier is a set of weights, chosen by input_tokens. Other service tiers are prices of
    their own, in `services`.
    """

    __slots__ = ("_divisor", "_first", "_later", "_threshold", "services", "tiers")

    def __init__(self, tiers: Sequence[Tier]) -> None:
        self.tiers = tuple(sorted(tiers, key=lambda tier: (tier.service, tier.above)))
        self.services = {
            name: Price([tier._replace(service="") for tier in self.tiers if tier.service == name])
            for name in {tier.service for tier in self.tiers} - {""}
        }
        tiers = [tier for tier in self.tiers if not tier.service]
        places = max(6, *(_places(tier.rates) for tier in tiers))
        # A rate per million with p places is a whole number of 10^-(p + 6) dollars per token.
        weights = [_weights(tier.rates, places) for tier in tiers]
        self._divisor = 10 ** (places - 6)
        self._first = weights[0]
        self._later = tuple(
            (tier.above, weight) for tier, weight in zip(tiers, weights, strict=True)
        )[:0:-1]
        self._threshold = tiers[1].above if len(tiers) > 1 else 1 << 62

    def pico(self, usage: Usage) -> int | None:
        """Pico-dollars, or None where tokens have no price or contradict each other."""
        tokens, output, read, write, write_1h, reasoning, audio_in, audio_out = usage
        w = self._first if tokens <= self._threshold else self._tier(tokens)
        if (tokens and not w.input_known) or (output and not w.output_known):
            return None
        total = w.request + tokens * w.input + output * w.output
        if read or write or write_1h:
            total += read * w.cache_read + write * w.cache_write + write_1h * w.cache_write_1h
        if reasoning or audio_in or audio_out:
            total += reasoning * w.reasoning
            total += audio_in * w.audio_input + audio_out * w.audio_output
            if audio_in and (w.audio_input or w.cached_audio):
                overlap = cached_audio(usage)
                if read + write + write_1h + audio_in - overlap > tokens:
                    return None
                total += overlap * w.cached_audio
            if w.reasoning and w.audio_output and reasoning + audio_out > output:
                return None
        if self._divisor == 1:
            return total
        return half_even(total, self._divisor)

    def usual(self) -> tuple[tuple[int, ...], int, int] | None:
        """Pico-dollars per token and per request of the first tier, and its longest prompt.

        None where they are no whole numbers of a usual size, or where input or output have no
        price. Six products of what is left fit 64 bits up to USUAL tokens each.
        """
        first = self._first
        if self._divisor != 1 or not (first.input_known and first.output_known):
            return None
        if max(map(abs, first[:6])) > _USUAL_WEIGHT or first.request > _USUAL_WEIGHT**2:
            return None
        return first[:6], first.request, min(self._threshold, USUAL)

    def _tier(self, tokens: int) -> _Weights:
        for above, weights in self._later:
            if tokens > above:
                return weights
        return self._first


def _places(rates: Rates) -> int:
    found = 6
    for field in fields(rates):
        rate = getattr(rates, field.name)
        if rate is None:
            continue
        exponent = int(rate.as_tuple().exponent)
        # A rate per request has no million to divide by.
        found = max(found, -exponent - (6 if field.name == "request" else 0))
    return found


def _weights(rates: Rates, places: int) -> _Weights:
    def whole(rate: Decimal) -> int:
        return int(rate.scaleb(places))

    base_in = rates.input or Decimal(0)
    base_out = rates.output or Decimal(0)
    read = base_in if rates.cache_read is None else rates.cache_read
    write = base_in if rates.cache_write is None else rates.cache_write
    write_1h = write if rates.cache_write_1h is None else rates.cache_write_1h
    audio_in = base_in if rates.audio_input is None else rates.audio_input
    audio_out = base_out if rates.audio_output is None else rates.audio_output
    reasoning = base_out if rates.reasoning is None else rates.reasoning
    both = audio_in + read - base_in if rates.cached_audio is None else rates.cached_audio
    return _Weights(
        input=whole(base_in),
        output=whole(base_out),
        cache_read=whole(read - base_in),
        cache_write=whole(write - base_in),
        cache_write_1h=whole(write_1h - base_in),
        reasoning=whole(reasoning - base_out),
        audio_input=whole(audio_in - base_in),
        audio_output=whole(audio_out - base_out),
        cached_audio=whole(both - read - audio_in + base_in),
        request=whole((rates.request or Decimal(0)).scaleb(6)),
        input_known=rates.input is not None,
        output_known=rates.output is not None,
    )
