"""Random usages of random models of LiteLLM's price map, always the same for a seed."""

import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from spend.pricing.lists import Entry
from spend.pricing.usage import Usage

# As LiteLLM names them; more of each than the comparison needs would add nothing new.
PROVIDERS = (
    "openai", "anthropic", "azure", "azure_ai", "bedrock", "vertex_ai", "gemini", "xai", "mistral",
    "deepseek", "groq", "together_ai", "fireworks_ai", "perplexity", "cohere_chat", "moonshot",
    "dashscope", "databricks", "cerebras", "novita", "cloudflare", "zai", "github_copilot",
    "ollama",
)  # fmt: skip
# Where a model has no thresholds, prompts gather around these.
_CLIFFS = (128_000, 200_000, 272_000)
_TIERS = ("", "", "", "default", "batch", "flex", "priority", "unheard-of")
_DRAWN = 4


class Case(NamedTuple):
    """One request."""

    provider: str
    model: str
    usage: Usage
    service_tier: str


def choose(entries: Sequence[Entry], draw: random.Random, each: int) -> list[Entry]:
    """Some models of each provider, those with tiers and rates of their own parts rather."""
    by_provider: defaultdict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        by_provider[entry.provider].append(entry)
    chosen: list[Entry] = []
    for provider in PROVIDERS:
        models = by_provider[provider]
        for _ in range(min(each, len(models))):
            best = max(draw.sample(models, min(_DRAWN, len(models))), key=_interesting)
            models.remove(best)
            chosen.append(best)
    return chosen


def _interesting(entry: Entry) -> int:
    rates = entry.tiers[0].rates
    parts = (rates.cache_read, rates.cache_write_1h, rates.reasoning, rates.audio_input)
    return 2 * len(entry.tiers) + sum(rate is not None for rate in parts)


def cases(entries: Sequence[Entry], draw: random.Random, count: int) -> Iterator[Case]:
    """Usages of the models in turn."""
    for n in range(count):
        entry = entries[n % len(entries)]
        cliffs = sorted({tier.above for tier in entry.tiers} - {0}) or list(_CLIFFS)
        tier = draw.choice(_TIERS)
        own = sorted({t.service for t in entry.tiers} - {""})
        if own and draw.random() < 0.4:
            tier = draw.choice(own)
        yield Case(entry.provider, entry.model, _usage(draw, cliffs), tier)


def _usage(draw: random.Random, cliffs: Sequence[int]) -> Usage:
    cliff = draw.choice(cliffs)
    tokens = draw.choice(
        [draw.randrange(1, 5000), draw.randrange(1, 900_000), cliff + draw.randrange(-1, 3)]
    )
    output = draw.choice([0, draw.randrange(1, 200), draw.randrange(1, 20_000)])
    read = draw.choice([0, 0, draw.randrange(tokens + 1)])
    write = draw.choice([0, 0, draw.randrange(tokens - read + 1)])
    write_1h = draw.choice([0, 0, draw.randrange(tokens - read - write + 1)])
    # Some of the audio may be cached: up to what is neither written nor text.
    audio_in = draw.choice([0, 0, draw.randrange(tokens - write - write_1h + 1)])
    reasoning = draw.choice([0, draw.randrange(output + 1)])
    audio_out = draw.choice([0, 0, draw.randrange(output - reasoning + 1)])
    return Usage(tokens, output, read, write, write_1h, reasoning, audio_in, audio_out)
