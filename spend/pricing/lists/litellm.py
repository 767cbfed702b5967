"""LiteLLM's price map, model_prices_and_context_window.json, read as LiteLLM itself reads it.

Its keys follow a grammar, dollars per token:
    <measure>[_above_1hr][_above_<n>[k]_tokens][_<service tier>]
Some of its rules are not in the data but in its code (1.106.2, litellm_core_utils/llm_cost_calc):
a rate missing at a service tier is the standard one, a rate missing above a threshold is the one
below it, xAI's thresholds are reached and not crossed, Fireworks' cached tokens cost half. They
are applied here, so that each tier of the price that comes out is complete.
"""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import NamedTuple

from spend.pricing.lists.entries import BadRateError, Entry, Skipped, amount
from spend.pricing.rates import Rates, Tier

_MEASURES = {
    "input_cost_per_token": "input",
    "output_cost_per_token": "output",
    "cache_read_input_token_cost": "cache_read",
    "cache_creation_input_token_cost": "cache_write",
    "cache_creation_input_token_cost_above_1hr": "cache_write_1h",
    "output_cost_per_reasoning_token": "reasoning",
    "input_cost_per_audio_token": "audio_input",
    "output_cost_per_audio_token": "audio_output",
    "cache_read_input_audio_token_cost": "cached_audio",
}
_KEY = re.compile(
    rf"(?P<measure>{'|'.join(sorted(_MEASURES, key=len, reverse=True))})"
    r"(?:_above_(?P<above>\d+)(?P<thousand>k)?_tokens)?"
    r"(?:_(?P<service>[a-z]+))?"
)
# The only measures that LiteLLM looks up above a threshold.
_LONG = ("input", "output", "cache_read", "cache_write", "cache_write_1h")
_REACHED = frozenset({"xai"})
_HALF_CACHED = "fireworks_ai"  # not its embedding models, which have a name of their own
# Prices by the size of a model, which LiteLLM reads from its name; no request names them.
_SIZES = re.compile(r"(together|fireworks)-ai-(embedding-|moe-)?(up-to-|above-|default|\d).*")
BATCH = "batch"
_MILLION = Decimal(10**6)


class Key(NamedTuple):
    """One key of the map, taken apart: which rate, of prompts above how many tokens, where."""

    rate: str
    above: int = 0
    service: str = ""


def parse_key(key: str) -> Key | None:
    """What a key says; None for one that is no rate per token."""
    found = _KEY.fullmatch(key)
    if found is None:
        return None
    above = int(found["above"] or 0) * (1000 if found["thousand"] else 1)
    service = found["service"] or ""
    return Key(_MEASURES[found["measure"]], above, BATCH if service == "batches" else service)


def entry(name: str, said: Mapping[str, object]) -> Entry | Skipped:
    """One entry of the map."""
    provider, model = names(name, str(said.get("litellm_provider") or ""))
    try:
        tiers = _tiers(provider, said)
        reason = _reason(name, provider, model, said, tiers)
    except BadRateError as error:
        tiers, reason = (), f"a rate is wrong: {error}"
    return Skipped(name, reason) if reason else Entry(provider, model, tiers)


def _reason(
    name: str, provider: str, model: str, said: Mapping[str, object], tiers: tuple[Tier, ...]
) -> str:
    """Why an entry is no price of a model; empty if it is one."""
    if not provider or name == "sample_spec":
        return "names no provider"
    if _SIZES.fullmatch(model):
        return "is a size of models, not one"
    if said.get("off_peak_pricing"):
        return "its rates depend on the hour"
    # Zeros beside a price per image or second, or of the output alone, are no price.
    free = not any(_costs(tier.rates) for tier in tiers)
    if free and (_other_units(said) or not any(t.rates.input is not None for t in tiers)):
        return "has no price per token"
    return ""


def names(name: str, provider: str) -> tuple[str, str]:
    """Provider and model as a request names them: custom_llm_provider, model without prefix."""
    for family in ("vertex_ai", "fireworks_ai"):
        if provider.startswith(f"{family}-"):
            provider = family
    if provider == "bedrock_converse":
        provider = "bedrock"
    return provider, name.removeprefix(f"{provider}/")


def _tiers(provider: str, said: Mapping[str, object]) -> tuple[Tier, ...]:
    rates: dict[Key, Decimal] = {}
    for name, value in said.items():
        key = parse_key(name)
        if key is not None and value is not None:
            rates[key] = amount(value) * _MILLION
    if (found := said.get("input_cost_per_request")) is not None:
        rates[Key("request")] = amount(found)
    if said.get("litellm_provider") == _HALF_CACHED and Key("input") in rates:
        rates.setdefault(Key("cache_read"), rates[Key("input")] / 2)
    ranged = _ranged(said, rates)
    if ranged is None and not {Key("input"), Key("output")} & rates.keys():
        return ()
    reached = 1 if provider in _REACHED else 0
    services = {key.service for key in rates if key.rate in _LONG} - {"", BATCH}
    tiers = ranged or _standard(rates, "", reached)
    if ranged is None:
        for service in sorted(services):
            tiers += _standard(rates, service, reached)
    if Key("input", 0, BATCH) in rates:
        tiers += _batch(rates, reached)
    return tuple(tiers)


def _standard(rates: Mapping[Key, Decimal], service: str, reached: int) -> list[Tier]:
    thresholds = {key.above for key in rates if key.rate in _LONG and key.service in {"", service}}
    now = {name: _at(rates, name, 0, service) for name in _LONG}
    now["cache_write_1h"] = rates.get(Key("cache_write_1h"))
    reasoning = rates.get(Key("reasoning", 0, service))
    if reasoning is None and (not service or Key("output", 0, service) not in rates):
        reasoning = rates.get(Key("reasoning"))
    tiers = []
    for above in sorted(thresholds | {0}):
        for name in _LONG:
            if above and (found := _at(rates, name, above, service)) is not None:
                now[name] = found
        complete = Rates(
            **now,
            reasoning=reasoning,
            audio_input=_at(rates, "audio_input", 0, service),
            audio_output=rates.get(Key("audio_output")),
            request=rates.get(Key("request")),
        )
        cached = _at(rates, "cached_audio", 0, service)
        tiers.append(Tier(above and above - reached, _with_cached_audio(complete, cached), service))
    return tiers


def _batch(rates: Mapping[Key, Decimal], reached: int) -> list[Tier]:
    """Batches know four rates; all else costs what contains it, output unsaid is the usual one."""
    now = {"output": rates.get(Key("output"))}
    tiers = []
    for above in sorted({key.above for key in rates if key.service == BATCH} | {0}):
        for name in ("input", "output", "cache_read", "cache_write"):
            if (found := rates.get(Key(name, above, BATCH))) is not None:
                now[name] = found
        complete = Rates(
            **now,
            audio_input=rates.get(Key("audio_input", 0, BATCH)),
            request=rates.get(Key("request")),
        )
        tiers.append(Tier(above and above - reached, _with_cached_audio(complete, None), BATCH))
    return tiers


def _ranged(said: Mapping[str, object], rates: Mapping[Key, Decimal]) -> list[Tier] | None:
    """A table of ranges of prompt lengths, each with rates of its own; None where there is none."""
    table = said.get("tiered_pricing")
    if not isinstance(table, list):
        return None
    # LiteLLM passes over rows without a range from and to.
    rows = [row for row in table if isinstance(row, Mapping) and row.get("range")]
    if not rows or any("input_cost_per_token" not in row for row in rows):
        return None
    tiers = []
    for row in sorted(rows, key=lambda row: row["range"][0]):
        own = {
            key.rate: amount(value) * _MILLION
            for name, value in row.items()
            if (key := parse_key(name)) and value is not None
        }
        if "output" not in own:
            own.update(
                {k.rate: v for k, v in rates.items() if k in {Key("output"), Key("reasoning")}}
            )
        tiers.append(Tier(int(row["range"][0]), Rates(**own)))
    if tiers[0].above:
        raise BadRateError("no range of tiered_pricing begins at 0")
    return tiers


def _at(rates: Mapping[Key, Decimal], name: str, above: int, service: str) -> Decimal | None:
    found = rates.get(Key(name, above, service))
    return rates.get(Key(name, above)) if found is None else found


def _with_cached_audio(rates: Rates, listed: Decimal | None) -> Rates:
    """Cached audio costs what any cached token does, unless the list says otherwise."""
    if listed is None and rates.audio_input is not None:
        listed = rates.input if rates.cache_read is None else rates.cache_read
    if listed is None:
        return rates
    return Rates(
        **{name: getattr(rates, name) for name in Rates.__slots__} | {"cached_audio": listed}
    )


def _costs(rates: Rates) -> bool:
    return any(getattr(rates, name) for name in Rates.__slots__)


def _other_units(said: Mapping[str, object]) -> bool:
    """True where something else than tokens costs money: images, seconds, characters, queries."""
    return any(
        isinstance(value, int | float) and value > 0
        for name, value in said.items()
        if "_cost" in name or name.startswith("cost_")
    )
