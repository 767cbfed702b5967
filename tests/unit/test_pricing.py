"""Costs by the price of their time, equal to genai-prices to the last digit."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from decimal import ROUND_HALF_EVEN, Decimal

import genai_prices
import pytest
from genai_prices.data_snapshot import DataSnapshot, get_snapshot, set_custom_snapshot
from genai_prices.types import (
    ClauseEquals,
    ConditionalPrice,
    ModelInfo,
    ModelPrice,
    Provider,
    StartDateConstraint,
    Tier,
    TieredPrices,
    TimeOfDateConstraint,
)

from spend.pricing import Override, PriceBook, Rates, Usage, dollars
from spend.pricing import Tier as PriceTier
from spend.pricing.usage import cached_audio

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
PLACES = Decimal("1e-12")


def at(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type,misc]  # year, month, day, ...


def price(  # noqa: PLR0917 - as a request reads
    book: PriceBook,
    provider: str,
    model: str,
    moment: datetime,
    usage: Usage = Usage(1000, 100),  # noqa: B008 - a tuple
    status: str = "success",
    given: int | None = None,
) -> tuple[object, tuple[str, str, str]]:
    since = (moment - EPOCH) // timedelta(microseconds=1)
    pico, origin = book.price(provider, model, since, usage, status=status, given=given)
    return None if pico is None else dollars(pico), origin


def theirs(usage: Usage, provider: str, model: str, moment: datetime) -> Decimal:
    """What the library itself says."""
    said = genai_prices.Usage(
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cache_read_tokens=usage.cache_read_tokens,
        cache_write_tokens=usage.cache_write_tokens + usage.cache_write_1h_tokens,
        cache_write_1h_tokens=usage.cache_write_1h_tokens,
        output_reasoning_tokens=usage.reasoning_tokens,
        input_audio_tokens=usage.audio_input_tokens,
        output_audio_tokens=usage.audio_output_tokens,
        cache_audio_read_tokens=cached_audio(usage),
    )
    cost = genai_prices.calc_price(
        said, model, provider_id=provider, genai_request_timestamp=moment
    ).total_price
    return cost.quantize(PLACES, rounding=ROUND_HALF_EVEN)


def usages(draw: random.Random) -> Usage:
    edges = [128_000, 200_000, 272_000]
    tokens = draw.choice([0, 1, draw.randrange(900_000), draw.choice(edges) + draw.randrange(2)])
    output = draw.choice([0, draw.randrange(5000)])
    read = draw.choice([0, draw.randrange(tokens + 1)])
    write = draw.choice([0, draw.randrange(tokens - read + 1)])
    write_1h = draw.choice([0, draw.randrange(tokens - read - write + 1)])
    reasoning = draw.choice([0, draw.randrange(output + 1)])
    audio_in = draw.choice([0, draw.randrange(tokens + 1)])
    audio_out = draw.choice([0, draw.randrange(output - reasoning + 1)])
    return Usage(tokens, output, read, write, write_1h, reasoning, audio_in, audio_out)


def test_every_model_of_the_library_costs_what_the_library_says() -> None:
    """Tiers, dated prices, prices by the hour, rates with 17 places, cached audio."""
    draw, book = random.Random(2), PriceBook()
    models = [(p.id, m.id) for p in get_snapshot().providers for m in p.models]
    compared = 0
    for provider, model in [*models, *draw.choices(models, k=2000)]:
        usage = usages(draw)
        moment = at(2023, 1, 1) + timedelta(microseconds=draw.randrange(4 * 365 * 86_400_000_000))
        cost, origin = price(book, provider, model, moment, usage)
        try:
            expected = theirs(usage, provider, model, moment)
        except (ValueError, LookupError):  # contradictory parts; a name that matches nothing
            assert cost is None
            continue
        if cost is not None:
            assert origin == ("genai-prices", genai_prices.__version__, "")
            assert (provider, model, usage, cost) == (provider, model, usage, expected)
            compared += 1
    assert compared > 4000


def model_with(prices: ModelPrice | list[ConditionalPrice]) -> Iterator[None]:
    model = ModelInfo(id="m", match=ClauseEquals("m"), prices=prices)
    set_custom_snapshot(
        DataSnapshot([Provider(id="p", name="P", api_pattern="p", models=[model])], False)
    )
    yield
    set_custom_snapshot(None)


def rate(dollars_per_million: str) -> ModelPrice:
    amount = Decimal(dollars_per_million)
    return ModelPrice(input_mtok=amount, output_mtok=amount)


@pytest.fixture
def changing() -> Iterator[None]:
    yield from model_with(
        [
            ConditionalPrice(prices=rate("1")),
            ConditionalPrice(StartDateConstraint(at(2026, 3, 1).date()), prices=rate("2")),
            ConditionalPrice(
                TimeOfDateConstraint(time(22, tzinfo=UTC), time(1, 30, tzinfo=UTC)),
                prices=rate("3"),
            ),
        ]
    )


def test_a_price_changes_at_its_microsecond(changing: None) -> None:
    book = PriceBook()
    just = timedelta(microseconds=1)
    for moment, dollars_per_million in (
        (at(2026, 2, 28, 21) - just, 1),
        (at(2026, 2, 28, 22) - just, 1),
        (at(2026, 2, 28, 22), 3),
        (at(2026, 3, 1), 3),
        (at(2026, 3, 1, 1, 30) - just, 3),
        (at(2026, 3, 1, 1, 30), 2),
        (at(2027, 3, 1, 12), 2),
    ):
        cost, _ = price(book, "p", "m", moment, Usage(1_000_000))
        assert cost == dollars_per_million, moment
        assert cost == theirs(Usage(1_000_000), "p", "m", moment)


@pytest.fixture
def tiered() -> Iterator[None]:
    tiers = TieredPrices(Decimal("1.25"), [Tier(200_000, Decimal("2.5"))])
    yield from model_with(ModelPrice(input_mtok=tiers, output_mtok=Decimal(10)))


def test_a_long_prompt_pays_its_tier_for_all_of_it(tiered: None) -> None:
    moment = at(2026, 1, 1)
    assert price(PriceBook(), "p", "m", moment, Usage(200_000))[0] == Decimal("0.25")
    assert price(PriceBook(), "p", "m", moment, Usage(200_001))[0] == Decimal("0.5000025")


@pytest.mark.parametrize("prices", [ModelPrice(), ModelPrice(input_mtok=Decimal(1))])
def test_tokens_that_have_no_price_make_a_request_unpriced(prices: ModelPrice) -> None:
    for _ in model_with(prices):
        assert price(PriceBook(), "p", "m", at(2026, 1, 1)) == (None, ("unpriced", "", ""))


def test_an_unknown_model_is_unpriced_and_never_free() -> None:
    for provider, model in (("openai", "orchid"), ("nobody", "gpt-4o")):
        assert price(PriceBook(), provider, model, at(2026, 1, 1)) == (None, ("unpriced", "", ""))


@pytest.mark.parametrize("provider", ["ollama", "vllm", "llamacpp", "lmstudio", "Ollama", "local"])
def test_a_local_model_is_a_known_zero(provider: str) -> None:
    assert price(PriceBook(), provider, "any", at(2026, 1, 1)) == (0, ("local", "", ""))


def test_a_failure_that_used_nothing_is_a_known_zero_of_any_model() -> None:
    cost, origin = price(PriceBook(), "x", "y", at(2026, 1, 1), Usage(), "failure")
    assert (cost, origin) == (0, ("given", "", "failed-without-usage"))
    assert price(PriceBook(), "x", "y", at(2026, 1, 1), Usage())[0] is None
    assert price(PriceBook(), "x", "y", at(2026, 1, 1), Usage(1), "failure")[0] is None


def test_a_cost_that_came_with_the_row_is_booked_as_it_is() -> None:
    assert price(PriceBook(), "openai", "gpt-4o", at(2026, 1, 1), given=5) == (
        Decimal("5e-12"),
        ("given", "", ""),
    )


def override(id_: int, start: datetime, end: datetime | None, rates: Rates, name: str) -> Override:
    return Override(id_, "openai", name, start, end, (PriceTier(0, rates),))


def flat(amount: int | str) -> Rates:
    return Rates(input=Decimal(amount), output=Decimal(amount))


def test_an_override_wins_within_its_time_and_the_later_one_over_the_earlier() -> None:
    book = PriceBook(
        [
            override(1, at(2026, 1, 1), at(2026, 2, 1), flat(1), "GPT-4o"),
            override(2, at(2026, 1, 10), at(2026, 1, 20), flat(2), "gpt-4o"),
        ]
    )
    usage, just = Usage(1_000_000), timedelta(microseconds=1)
    for moment, cost, source in (
        (at(2026, 1, 1) - just, Decimal("2.5"), "genai-prices"),
        (at(2026, 1, 1), 1, "override"),
        (at(2026, 1, 10) - just, 1, "override"),
        (at(2026, 1, 10), 2, "override"),
        (at(2026, 1, 20), 1, "override"),
        (at(2026, 2, 1), Decimal("2.5"), "genai-prices"),
    ):
        found, origin = price(book, "openai", "gpt-4o", moment, usage)
        assert (found, origin[0], origin[2]) == (cost, source, ""), moment
    assert price(book, "openai", "gpt-4o", at(2026, 1, 15))[1][1] == "2"


def test_the_first_known_price_holds_before_its_date_and_is_marked() -> None:
    book = PriceBook([override(7, at(2026, 6, 1), None, flat(1), "orchid")])
    assert price(book, "openai", "orchid", at(2026, 5, 1)) == (
        Decimal("0.0011"),
        ("override", "7", "before-first-price"),
    )
    assert price(book, "openai", "orchid", at(2026, 6, 1))[1] == ("override", "7", "")


def test_an_override_of_a_local_provider_wins_over_its_zero() -> None:
    own = Override(3, "ollama", "llama3", at(2026, 1, 1), None, (PriceTier(0, flat("0.4")),))
    assert price(PriceBook([own]), "ollama", "llama3", at(2026, 5, 1))[0] == Decimal("0.00044")


def test_an_override_prices_parts_by_their_own_rates_or_as_their_whole() -> None:
    rates = Rates(input=Decimal(10), output=Decimal(20), cache_read=Decimal(1))
    book = PriceBook([override(1, at(2026, 1, 1), None, rates, "x")])
    usage = Usage(100, 10, 40, 20, 10, 5, 0, 0)
    cost, _ = price(book, "openai", "x", at(2026, 2, 1), usage)
    assert cost == Decimal(60 * 10 + 40 * 1 + 10 * 20).scaleb(-6)


def test_a_cost_is_rounded_half_to_even_at_the_twelfth_place() -> None:
    for text, tokens, expected in (
        ("0.0000005", 1, "0"),
        ("0.0000005", 3, "0.000000000002"),
        ("0.00000050000000001", 1, "0.000000000001"),
    ):
        book = PriceBook([override(1, at(2026, 1, 1), None, flat(text), "x")])
        assert price(book, "openai", "x", at(2026, 2, 1), Usage(tokens))[0] == Decimal(expected)
