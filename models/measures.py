"""The figures that are added up at every grain, declared once."""

from decimal import Decimal

from sqlalchemy import BigInteger, Numeric, text
from sqlalchemy.orm import Mapped, mapped_column

# Twelve places hold the price of one token of the cheapest model without rounding;
# numeric sums cost no more than double precision and add up to the last digit.
MONEY = Numeric(28, 12)

# The token classes of a request. input_tokens and output_tokens are whole counts; the others
# are parts of them (cache and audio input of input, reasoning and audio output of output), the
# way OpenTelemetry's GenAI conventions and genai-prices count.
TOKEN_CLASSES = (
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "cache_write_1h_tokens",
    "reasoning_tokens",
    "audio_input_tokens",
    "audio_output_tokens",
)


def _tokens(comment: str) -> Mapped[int]:
    return mapped_column(BigInteger, server_default=text("0"), nullable=False, comment=comment)


class TokenColumns:
    """One column per token class; see TOKEN_CLASSES for what contains what."""

    input_tokens: Mapped[int] = _tokens("all prompt tokens, cached and audio ones included")
    output_tokens: Mapped[int] = _tokens("all completion tokens, reasoning and audio included")
    cache_read_tokens: Mapped[int] = _tokens("part of input_tokens read from a prompt cache")
    cache_write_tokens: Mapped[int] = _tokens("part of input_tokens written to a 5 minute cache")
    cache_write_1h_tokens: Mapped[int] = _tokens("part of input_tokens written to a 1 hour cache")
    reasoning_tokens: Mapped[int] = _tokens("part of output_tokens spent on reasoning")
    audio_input_tokens: Mapped[int] = _tokens("part of input_tokens that is audio")
    audio_output_tokens: Mapped[int] = _tokens("part of output_tokens that is audio")


class MeasureColumns(TokenColumns):
    """Sums of ledger rows. Totals read: at least total_cost, with `unpriced` requests unknown."""

    requests: Mapped[int] = mapped_column(BigInteger, server_default=text("0"), nullable=False)
    unpriced: Mapped[int] = mapped_column(
        BigInteger,
        server_default=text("0"),
        nullable=False,
        comment="requests whose price is not known yet; they are in no cost",
    )
    total_cost: Mapped[Decimal] = mapped_column(
        MONEY, server_default=text("0"), nullable=False, comment="US dollars"
    )


MEASURES = ("requests", "unpriced", *TOKEN_CLASSES, "total_cost")
