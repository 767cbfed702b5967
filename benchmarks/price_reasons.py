"""Why two costs of one request differ.

Each reason is proved: applied to one side it gives the other to the last digit. What no reason
explains stays unexplained.
"""

from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from benchmarks.price_cases import Case
from spend.pricing import Price, Rates, Tier, dollars
from spend.pricing.services import service_name
from spend.pricing.tiers import CLASSES
from spend.pricing.usage import Usage, cached_audio

EQUAL = "equal"
UNEXPLAINED = "UNEXPLAINED"
OTHER = "other price data"
DIGIT = Decimal("1e-12")
# LiteLLM's sums are floats: of some dollars, the sixteenth digit is noise.
_NOISE = Decimal("1e-15")

_TIERS = {"flex", "balanced", "priority", "fast", "ultrafast", "batch"}

Raw = Mapping[str, Any]


class Sides(NamedTuple):
    """One request: the price of LiteLLM's list as we imported it, and the map's own entry."""

    case: Case
    price: Price
    raw: Raw

    @property
    def at_tier(self) -> Price:
        """The price of the service tier alone, the standard one where there is none."""
        found = self.price.services.get(service_name(self.case.service_tier), self.price)
        return _standard_only(found)

    def cost(self, price: Price) -> Decimal | None:
        """Of the request, by another price."""
        pico = price.pico(self.case.usage)
        return None if pico is None else dollars(pico)


def close(ours: Decimal, theirs: Decimal) -> bool:
    """Equal but for what a float cannot hold."""
    return abs(ours - theirs) <= DIGIT + abs(theirs) * _NOISE


def _half_batch(sides: Sides) -> Decimal | None:
    """Without batch rates LiteLLM takes half of the standard ones, of flat rates only."""
    if sides.case.service_tier != "batch" or "batch" in sides.price.services:
        return None
    flat = {
        name: Decimal(str(sides.raw.get(key) or 0))
        for name, key in (
            ("input", "input_cost_per_token"),
            ("output", "output_cost_per_token"),
            ("read", "cache_read_input_token_cost"),
            ("write", "cache_creation_input_token_cost"),
        )
    }
    usage = sides.case.usage
    written = usage.cache_write_tokens + usage.cache_write_1h_tokens
    plain = usage.input_tokens - usage.cache_read_tokens - written
    total = plain * flat["input"] + usage.cache_read_tokens * flat["read"]
    total += written * (flat["write"] or flat["input"]) + usage.output_tokens * flat["output"]
    return total / 2


def _half_output(sides: Sides) -> Decimal | None:
    """With a batch rate for input only, it takes half of the standard one for output."""
    key = "output_cost_per_token"
    if sides.case.service_tier != "batch" or f"{key}_batches" in sides.raw:
        return None
    tiers = [
        Tier(tier.above, with_rates(tier.rates, output=tier.rates.output and tier.rates.output / 2))
        for tier in sides.at_tier.tiers
    ]
    return sides.cost(Price(tiers))


def _perplexity(sides: Sides) -> Decimal | None:
    """LiteLLM's code for Perplexity knows neither cached tokens nor thresholds nor tiers."""
    if sides.case.provider != "perplexity":
        return None
    first = sides.price.tiers[0].rates
    return sides.cost(Price([Tier(0, Rates(first.input, first.output, reasoning=first.reasoning))]))


def _standard(sides: Sides) -> Decimal | None:
    """Its code for some providers knows no service tiers; and keys have tiers it does not know."""
    without = {"xai", "deepseek", "fireworks_ai", "tencent", "dashscope"}
    if sides.case.provider not in without and sides.case.service_tier in _TIERS:
        return None
    return sides.cost(_standard_only(sides.price))


def _audio_of_the_standard_tier(sides: Sides) -> Decimal | None:
    """It drops the key of audio at the priority tier when it reads the map."""
    if sides.raw.get("input_cost_per_audio_token_priority") is None:
        return None
    audio = sides.price.tiers[0].rates.audio_input
    tiers = [Tier(t.above, with_rates(t.rates, audio_input=audio)) for t in sides.at_tier.tiers]
    return sides.cost(Price(tiers))


def _image_rate(sides: Sides) -> Decimal | None:
    """Output without a rate per token is priced as the tokens of an image."""
    rate = sides.raw.get("output_cost_per_image_token")
    first = sides.at_tier.tiers[0].rates
    if rate is None or first.output:
        return None
    tiers = [
        Tier(t.above, with_rates(t.rates, output=Decimal(str(rate)) * 10**6))
        for t in sides.at_tier.tiers
    ]
    return sides.cost(Price(tiers))


def _free_output(sides: Sides) -> Decimal | None:
    """Output tokens for which the map has no rate are free there, and unpriced here."""
    if sides.at_tier.tiers[0].rates.output is not None:
        return None
    tiers = [Tier(t.above, with_rates(t.rates, output=Decimal(0))) for t in sides.at_tier.tiers]
    return sides.cost(Price(tiers))


RULES: Mapping[str, Callable[[Sides], Decimal | None]] = {
    "LiteLLM: half of the standard rates for a batch without rates": _half_batch,
    "LiteLLM: half of the standard output rate for a batch": _half_output,
    "LiteLLM: Perplexity without cache, thresholds and tiers": _perplexity,
    "LiteLLM: knows no such tier, or none of this provider": _standard,
    "LiteLLM: priority audio at the standard rate": _audio_of_the_standard_tier,
    "LiteLLM: output without a rate at the rate of images": _image_rate,
    "LiteLLM: output without a rate is free": _free_output,
}


def of_list(sides: Sides, ours: Decimal | None, said: Mapping[str, str]) -> str:
    """Our cost by LiteLLM's map against LiteLLM's."""
    if "error" in said:
        if sides.case.provider == "github_copilot":
            return "LiteLLM: logs in before it prices GitHub Copilot"
        # Its code takes the model for one of the provider that the name begins with.
        lost = "isn't mapped" in said["error"] and "/" in sides.case.model
        return "LiteLLM: does not find a model of its map" if lost else UNEXPLAINED
    theirs = Decimal(said["cost"])
    if ours is not None and ours == theirs.quantize(DIGIT):
        return EQUAL
    if ours is not None and close(ours, theirs):
        return "LiteLLM: a float's last digit"
    for name, rule in RULES.items():
        if (expected := rule(sides)) is not None and close(expected, theirs):
            return name
    return UNEXPLAINED


def of_data(case: Case, library: Price | None, listed: Price, others: list[Price]) -> str:
    """Our cost by the bundled library against our cost by LiteLLM's map.

    others: the library's prices of the model at other times.
    """
    if library is None:
        return "genai-prices has no price of the model"
    service = service_name(case.service_tier)
    mine, theirs = (p.services.get(service, p) for p in (library, listed))
    one, two = mine.pico(case.usage), theirs.pico(case.usage)
    if one == two:
        return EQUAL
    if one is None or two is None:
        return "no rate for these tokens in one of the two"
    only_there = service in listed.services and service not in library.services
    if only_there and _standard_only(listed).pico(case.usage) == one:
        return "genai-prices has no service tiers"
    if any(other.pico(case.usage) == two for other in others):
        return "price dates: genai-prices has that price at another time"
    return _differing(mine, theirs, case.usage)


def _differing(mine: Price, theirs: Price, usage: Usage) -> str:
    there = effective(theirs, usage)
    names = [name for name, rate in effective(mine, usage).items() if rate != there.get(name)]
    if not names:
        return UNEXPLAINED
    return f"{OTHER}: {'thresholds' if _first(mine) == _first(theirs) else ', '.join(names)}"


def _standard_only(price: Price) -> Price:
    return Price([tier for tier in price.tiers if not tier.service])


def _first(price: Price) -> Mapping[str, Decimal]:
    return effective(price, Usage(1, 1, 1, 1, 1, 1, 1, 1))


def effective(price: Price, usage: Usage) -> dict[str, Decimal]:
    """What each class that was used costs per million tokens, defaults filled in."""
    rates = [
        t.rates for t in price.tiers if not t.service and t.above < max(usage.input_tokens, 1)
    ][-1]
    base_in, base_out = rates.input or Decimal(0), rates.output or Decimal(0)
    write = base_in if rates.cache_write is None else rates.cache_write
    read = base_in if rates.cache_read is None else rates.cache_read
    found = {
        "input": base_in,
        "output": base_out,
        "cache_read": read,
        "cache_write": write,
        "cache_write_1h": write if rates.cache_write_1h is None else rates.cache_write_1h,
        "reasoning": base_out if rates.reasoning is None else rates.reasoning,
        "audio_input": base_in if rates.audio_input is None else rates.audio_input,
        "audio_output": base_out if rates.audio_output is None else rates.audio_output,
    }
    used = {name: rate for name, rate in found.items() if getattr(usage, f"{name}_tokens")}
    if cached_audio(usage):
        both = found["audio_input"] + read - base_in
        used["cached_audio"] = both if rates.cached_audio is None else rates.cached_audio
    if rates.request:
        used["request"] = rates.request
    return used


def with_rates(rates: Rates, **changed: Decimal | None) -> Rates:
    """The rates with some of them others."""
    return Rates(**{name: getattr(rates, name) for name in CLASSES} | changed)
