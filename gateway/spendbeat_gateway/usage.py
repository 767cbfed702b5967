"""Token counts from what providers answer, in Spendbeat's fields. Nothing here raises.

Facts are from the providers' API references: OpenAI's `prompt_tokens` and `input_tokens` include
cached ones, Anthropic's `input_tokens` exclude what was read from or written to the cache. xAI's
`completion_tokens` exclude reasoning tokens, which its `total_tokens` give away.
"""

from collections.abc import Mapping
from decimal import Decimal

Tokens = dict[str, int]


_MISSING = object()
_models: dict[type, bool] = {}  # classes by whether they are pydantic models


def get(thing: object, name: str) -> object:
    """A value of a mapping or an object; None where it is not there."""
    kind = type(thing)
    if kind is dict:
        return thing.get(name)  # type: ignore[attr-defined] # it is a dict
    if thing is None:
        return None
    model = _models.get(kind)
    if model is None:
        model = _models[kind] = hasattr(kind, "model_fields") and hasattr(thing, "__dict__")
    if model:
        # Asking a pydantic model for what it does not have is slow, and most names are not there.
        found = thing.__dict__.get(name)
        extra = getattr(thing, "__pydantic_extra__", None) if found is None else None
        return extra.get(name) if extra else found
    found = getattr(thing, name, _MISSING)
    if found is not _MISSING:
        return found
    return thing.get(name) if isinstance(thing, Mapping) else None


def count(thing: object, *path: str) -> int | None:
    """A whole number at a path of names; None for all else."""
    for name in path:
        thing = get(thing, name)
    if type(thing) is int:
        return thing if thing >= 0 else None
    if isinstance(thing, bool) or not isinstance(thing, int | float | str | Decimal):
        return None
    try:
        number = int(thing)
    except (ValueError, OverflowError):
        return None
    return number if number >= 0 else None


def tokens(usage: object) -> Tokens | None:
    """The token fields of a usage object or mapping; None where it is none that we know."""
    if usage is None:
        return None
    if count(usage, "prompt_tokens") is not None:
        found = _chat(usage)
    elif count(usage, "input_tokens") is None:
        return None
    elif get(usage, "cache_read_input_tokens") is not None or (
        get(usage, "cache_creation_input_tokens") is not None
    ):
        found = _anthropic(usage)
    else:
        found = _responses(usage)
    return _within(found)


def cost(usage: object) -> str | float | int | None:
    """What the provider says the call cost, in dollars, as OpenRouter does."""
    found = get(usage, "cost")
    if isinstance(found, Decimal):
        return str(found)
    if isinstance(found, bool) or not isinstance(found, int | float | str):
        return None
    return found


def _chat(usage: object) -> Tokens:
    """OpenAI's chat completions, completions and embeddings, and those who copy them."""
    details, answer = get(usage, "prompt_tokens_details"), get(usage, "completion_tokens_details")
    prompt, output = count(usage, "prompt_tokens") or 0, count(usage, "completion_tokens") or 0
    reasoning = count(answer, "reasoning_tokens") or 0
    if reasoning and count(usage, "total_tokens") == prompt + output + reasoning:
        output += reasoning
    written = (
        count(details, "cache_write_tokens")
        or count(details, "cache_creation_tokens")
        or count(usage, "cache_creation_input_tokens")
        or 0
    )
    hour = 0
    if written:
        hour = count(details, "cache_creation_token_details", "ephemeral_1h_input_tokens") or 0
    return {
        "input_tokens": prompt,
        "output_tokens": output,
        "cache_read_tokens": count(details, "cached_tokens")
        or count(usage, "cache_read_input_tokens")
        or count(usage, "prompt_cache_hit_tokens")  # DeepSeek
        or 0,
        "cache_write_tokens": max(written - hour, 0),
        "cache_write_1h_tokens": hour,
        "reasoning_tokens": reasoning,
        "audio_input_tokens": count(details, "audio_tokens") or 0,
        "audio_output_tokens": count(answer, "audio_tokens") or 0,
    }


def _responses(usage: object) -> Tokens:
    """OpenAI's Responses API, transcriptions and realtime; Anthropic's without a cache too."""
    details = get(usage, "input_tokens_details") or get(usage, "input_token_details")
    answer = get(usage, "output_tokens_details") or get(usage, "output_token_details")
    return {
        "input_tokens": count(usage, "input_tokens") or 0,
        "output_tokens": count(usage, "output_tokens") or 0,
        "cache_read_tokens": count(details, "cached_tokens") or 0,
        "cache_write_tokens": count(details, "cache_write_tokens") or 0,
        "reasoning_tokens": count(answer, "reasoning_tokens") or 0,
        "audio_input_tokens": count(details, "audio_tokens") or 0,
        "audio_output_tokens": count(answer, "audio_tokens") or 0,
    }


def _anthropic(usage: object) -> Tokens:
    """Anthropic's Messages API: the cache's tokens come on top."""
    read = count(usage, "cache_read_input_tokens") or 0
    hour = count(usage, "cache_creation", "ephemeral_1h_input_tokens") or 0
    written = count(usage, "cache_creation_input_tokens") or hour + (
        count(usage, "cache_creation", "ephemeral_5m_input_tokens") or 0
    )
    hour = min(hour, written)
    return {
        "input_tokens": (count(usage, "input_tokens") or 0) + read + written,
        "output_tokens": count(usage, "output_tokens") or 0,
        "cache_read_tokens": read,
        "cache_write_tokens": written - hour,
        "cache_write_1h_tokens": hour,
    }


def _within(found: Tokens) -> Tokens:
    """Without zeros, and no part larger than its whole: the ledger would refuse the event."""
    whole, answer = found["input_tokens"], found["output_tokens"]
    rest = whole
    for name in ("cache_read_tokens", "cache_write_1h_tokens", "cache_write_tokens"):
        found[name] = min(found.get(name, 0), rest)
        rest -= found[name]
    for name, bound in (
        ("reasoning_tokens", answer),
        ("audio_output_tokens", answer),
        ("audio_input_tokens", whole),
    ):
        found[name] = min(found.get(name, 0), bound)
    always = ("input_tokens", "output_tokens")
    return {name: number for name, number in found.items() if number or name in always}
