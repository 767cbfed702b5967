"""Token counts of a span, as the ledger counts them: parts are in their whole."""

from spend.capture.otlp import names
from spend.capture.otlp.names import Names
from spend.capture.otlp.span import Attributes
from spend.capture.otlp.values import first
from spend.capture.values import TokenCounts

_counts = TokenCounts()


def usage_of(attributes: Attributes) -> dict[str, object]:
    """The token fields that a span says something about; {} where it says nothing.

    The conventions want cached tokens in the input and reasoning in the output, but libraries
    that hand on what Anthropic or Gemini count leave them out. Then the parts are more than
    their whole, or the total says so, and they are added. Raises Rejected.
    """
    read, written = _count(attributes, names.CACHE_READ), _count(attributes, names.CACHE_WRITE)
    written_1h = _count(attributes, names.CACHE_WRITE_1H)
    reasoning = _count(attributes, names.REASONING)
    tokens, output = _count(attributes, names.INPUT), _count(attributes, names.OUTPUT)
    if tokens is None and output is None:
        return {}
    cached = (read or 0) + max(written or 0, written_1h or 0)
    whole, answer = tokens or 0, output or 0
    total = _count(attributes, names.TOTAL)
    if _left_out(cached, whole, total, whole + answer):
        whole += cached
    if _left_out(reasoning or 0, answer, total, whole + answer):
        answer += reasoning or 0
    found = {
        "input_tokens": whole,
        "output_tokens": answer,
        "cache_read_tokens": read,
        "cache_write_tokens": None if written is None else max(written - (written_1h or 0), 0),
        "cache_write_1h_tokens": written_1h,
        "reasoning_tokens": reasoning,
        "audio_input_tokens": _count(attributes, names.AUDIO_INPUT),
        "audio_output_tokens": _count(attributes, names.AUDIO_OUTPUT),
    }
    return {name: count for name, count in found.items() if count is not None}


def _left_out(part: int, whole: int, total: int | None, summed: int) -> bool:
    """Whether a part is not in its whole. total: of all tokens, as the span says it."""
    return part > whole or (part > 0 and total is not None and total == summed + part)


def _count(attributes: Attributes, wanted: Names) -> int | None:
    value = first(attributes, wanted)
    return None if value is None else _counts[value]
