from typing import NamedTuple


class Usage(NamedTuple):
    """The tokens of one request, in the order of models.TOKEN_CLASSES.

    input_tokens and output_tokens are whole counts, the others are parts of them.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cache_write_1h_tokens: int = 0
    reasoning_tokens: int = 0
    audio_input_tokens: int = 0
    audio_output_tokens: int = 0


def cached_audio(usage: Usage) -> int:
    """Audio tokens that must have come from the cache.

    Nobody reports how many of the cached tokens were audio; this is the least number for which
    all the parts fit into the prompt.
    """
    cached = usage.cache_read_tokens
    parts = cached + usage.cache_write_tokens + usage.cache_write_1h_tokens
    overlap = parts + usage.audio_input_tokens - usage.input_tokens
    return max(0, min(overlap, cached, usage.audio_input_tokens))
