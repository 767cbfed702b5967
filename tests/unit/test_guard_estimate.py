"""An estimate is never below what booking would say of any request within its tokens."""

import json
import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from genai_prices.data_snapshot import get_snapshot
from hypothesis import example, given, settings
from hypothesis import strategies as st
from spendbeat_gateway.guard import asking, rates
from spendbeat_gateway.guard.estimate import DEFAULT_OUTPUT, Estimate, Limits, estimate
from spendbeat_gateway.guard.rates import Use

from spend.enforcement.prices import text_of
from spend.pricing import Override, PriceBook, Rates, Tier, Usage, dollars, services

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
TEXT = "A question of some length, in plain words."


def micros(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1)


def own(
    tiers: list[Tier], begins: datetime = EPOCH, ends: datetime | None = None, id_: int = 1
) -> Override:
    return Override(id_, "openai", "own", begins, ends, tuple(tiers))


def published(book: PriceBook, provider: str = "openai", model: str = "own") -> rates.Price:
    return rates.parse(text_of(book.tariff(provider, model), 0))


def booked(
    book: PriceBook,
    usage: Usage,
    *,
    provider: str = "openai",
    model: str = "own",
    tier: str | None = None,
    at: datetime = NOW,
) -> Decimal | None:
    pico, _ = book.price(
        provider, model, micros(at), usage, status="success", given=None, service_tier=tier
    )
    return None if pico is None else dollars(pico)


def of(content: object, price: rates.Price | None = None, **limits: Any) -> Estimate:
    return estimate(price, "openai", "own", content, Limits(**limits), now=NOW.timestamp())


def simple(**more: str) -> rates.Price:
    said = {"input": "1", "output": "10", **more}
    found = Rates(**{name: Decimal(rate) for name, rate in said.items()})
    return published(PriceBook([own([Tier(0, found)])]))


RATE = st.none() | st.decimals(0, 1000, places=4)
RATES = st.builds(Rates, **dict.fromkeys(Rates.__slots__, RATE))
TIERS = st.dictionaries(
    st.tuples(st.sampled_from([0, 50, 200]), st.sampled_from(["", "flex", "priority"])), RATES
).map(lambda found: [Tier(above, rates, name) for (above, name), rates in found.items()])
COUNT = st.integers(0, 300)


@st.composite
def used(draw: st.DrawFn) -> tuple[Use, Usage]:
    """The most that a request may use, and what it used of that."""
    use = Use(
        draw(COUNT),
        draw(COUNT),
        draw(st.sampled_from([None, "auto", "flex", "fast", "unheard-of"])),
        draw(st.booleans()),
        draw(st.booleans()),
    )
    tokens, output = draw(st.integers(0, use.input)), draw(st.integers(0, use.output))
    read = draw(st.integers(0, tokens))
    write = draw(st.integers(0, tokens - read))
    hour = draw(st.integers(0, tokens - read - write)) if use.long_writes else 0
    audio = draw(st.integers(0, tokens - write - hour)) if use.audio_input else 0
    reasoning = draw(st.integers(0, output))
    spoken = draw(st.integers(0, output - reasoning))
    return use, Usage(tokens, output, read, write, hour, reasoning, audio, spoken)


@settings(max_examples=600, deadline=None)
@given(TIERS, used(), st.booleans())
@example([Tier(0, Rates(Decimal(9), Decimal(1))), Tier(50, Rates(Decimal(1), Decimal(1)))],
         (Use(60, 0), Usage(50)), True)  # fmt: skip # a longer prompt may be cheaper
def test_no_request_within_its_tokens_is_booked_for_more(
    tiers: list[Tier], case: tuple[Use, Usage], asked: bool
) -> None:
    use, usage = case
    if not any(tier.above == 0 and not tier.service for tier in tiers):
        tiers = [*(t for t in tiers if t.above), Tier(0, Rates(Decimal(1), Decimal(2)))]
    whole = {t.service for t in tiers if not t.above}
    book = PriceBook([own([tier for tier in tiers if tier.service in whole])])
    most = published(book).most(use, NOW.timestamp())
    for tier in (None, use.tier) if asked else (use.tier,):
        cost = booked(book, usage, tier=tier)
        assert most is None or cost is None or cost <= most


def test_every_model_of_the_library_at_its_dearest_is_the_estimate_to_the_nano_dollar() -> None:
    """Nothing but input and output: the estimate is what the largest such request costs."""
    book, chance, checked = PriceBook(), random.Random(5), 0
    for provider in get_snapshot().providers:
        for model in chance.sample(provider.models, min(20, len(provider.models))):
            price = published(book, provider.id, model.id)
            usage = Usage(chance.randrange(1, 400_000), chance.randrange(1, 60_000))
            most = price.most(Use(usage.input_tokens, usage.output_tokens), NOW.timestamp())
            about = [NOW, NOW - timedelta(minutes=1), NOW + timedelta(minutes=5)]
            costs = [
                booked(book, one, provider=provider.id, model=model.id, at=moment)
                for moment in about
                for one in all_ways(usage, book, provider.id, model.id)
            ]
            if costs[0] is None:
                assert most is None
                continue
            checked += 1
            dearest = max(cost for cost in costs if cost is not None)
            assert most is not None
            assert 0 <= most - dearest <= Decimal("1e-9"), (provider.id, model.id)
    assert checked > 100


def all_ways(usage: Usage, book: PriceBook, provider: str, model: str) -> list[Usage]:
    """All of the input plain, read from or written to the cache; the output also as reasoning."""
    price = book.tariff(provider, model).at(micros(NOW)).daily.at(micros(NOW))
    thresholds = [tier.above for tier in price.tiers if tier.above] if price is not None else []
    total, output = usage[:2]
    lengths = [total, *(above for above in thresholds if above < total)]
    return [
        one
        for n in lengths
        for spoken in (0, output)
        for thought in (0, output - spoken)
        for one in (
            Usage(n, output, 0, 0, 0, thought, 0, spoken),
            Usage(n, output, n, 0, 0, thought, 0, spoken),
            Usage(n, output, 0, n, 0, thought, 0, spoken),
        )
    ]


def test_a_prompt_that_may_just_cross_a_threshold_is_a_long_one() -> None:
    price = published(PriceBook([own([Tier(0, flat("1")), Tier(200, flat("9"))])]))
    assert price.most(Use(200, 0), NOW.timestamp()) == Decimal("0.0002")
    assert price.most(Use(201, 0), NOW.timestamp()) == Decimal("0.001809")


def test_a_longer_prompt_may_be_cheaper_and_the_shorter_one_counts() -> None:
    price = published(PriceBook([own([Tier(0, flat("9")), Tier(200, flat("1"))])]))
    assert price.most(Use(300, 0), NOW.timestamp()) == Decimal("0.0018")


def test_a_service_tier_that_is_asked_for_may_not_be_served() -> None:
    tiers = [Tier(0, flat("4")), Tier(0, flat("2"), "flex"), Tier(0, flat("8"), "priority")]
    price = published(PriceBook([own(tiers)]))
    asked = [None, "auto", "flex", "priority", " Fast ", "unheard-of"]
    costs = [price.most(Use(10**6, 0, tier=tier), NOW.timestamp()) for tier in asked]
    assert costs == [4, 4, 4, 8, 8, 4]


def test_tokens_that_are_cached_and_audio_may_be_the_dearest() -> None:
    found = Rates(Decimal(1), Decimal(1), cache_read=Decimal(3), audio_input=Decimal(5))
    book = PriceBook([own([Tier(0, found)])])
    most = published(book).most(Use(100, 0, audio_input=True), NOW.timestamp())
    assert most == booked(book, Usage(100, 0, 100, 0, 0, 0, 100)) == Decimal("0.0007")


def flat(rate: str) -> Rates:
    return Rates(input=Decimal(rate), output=Decimal(rate))


def test_tiers_have_the_names_that_booking_knows() -> None:
    assert rates.TIERS == services._NAMES


def test_a_price_that_changes_soon_counts_if_it_is_dearer() -> None:
    soon = NOW + timedelta(minutes=4)
    dear = own([Tier(0, Rates(Decimal(8), Decimal(8)))], soon, id_=2)
    book = PriceBook([own([Tier(0, Rates(Decimal(1), Decimal(1)))]), dear])
    price, use = published(book), Use(10**6, 0)
    assert price.most(use, NOW.timestamp()) == 8
    assert price.most(use, NOW.timestamp() - 600) == 1
    assert price.source(NOW.timestamp()) == "override 1"
    assert price.source(NOW.timestamp() + 600) == "override 2"


def test_a_price_by_the_hour_is_the_one_of_the_hour() -> None:
    book = PriceBook()
    price = published(book, "deepseek", "deepseek-chat")
    for hour in range(24):
        at = NOW.replace(hour=hour, minute=10)
        cost = booked(book, Usage(10**6, 10**6), provider="deepseek", model="deepseek-chat", at=at)
        assert price.most(Use(10**6, 10**6), at.timestamp()) == cost


@pytest.mark.parametrize(
    ("known", "use"),
    [
        (Rates(input=Decimal(1)), Use(10, 10)),
        (Rates(output=Decimal(1)), Use(10, 10)),
        (Rates(), Use(10, 0)),
    ],
)
def test_tokens_without_a_rate_are_unpriced(known: Rates, use: Use) -> None:
    price = published(PriceBook([own([Tier(0, known)])]))
    assert price.most(use, NOW.timestamp()) is None


def test_an_unknown_model_is_unpriced_and_its_tokens_are_bounded() -> None:
    price = published(PriceBook(), "made-up", "x")
    found = of(TEXT, price, max_tokens=7)
    assert found.dollars is None
    assert found.tokens >= len(TEXT) + 7
    assert found.upper_bound
    assert found.how.endswith("unpriced")


def test_a_local_model_costs_nothing() -> None:
    assert of(TEXT, published(PriceBook(), "ollama", "x"), max_tokens=7).dollars == 0


def test_an_embedding_has_no_output() -> None:
    price = published(PriceBook([own([Tier(0, Rates(input=Decimal(1)))])]))
    found = of({"input": [TEXT, TEXT]}, price)
    assert found.upper_bound
    assert found.dollars == Decimal(found.tokens) / 10**6
    assert found.tokens < 2 * len(TEXT) + 200


def test_dollars_are_rounded_up() -> None:
    found = of(TEXT, simple(input="0.0000001", output="0"), max_tokens=0)
    assert found.dollars == Decimal("1e-9")


OUTPUT = [
    ({"max_tokens": 100}, {}, 100, True),
    ({"max_completion_tokens": 300, "max_tokens": 100}, {}, 300, True),
    ({"max_output_tokens": "40"}, {}, 40, True),
    ({"generationConfig": {"maxOutputTokens": 50, "candidateCount": 2}}, {}, 100, True),
    ({"inferenceConfig": {"maxTokens": 60}}, {}, 60, True),
    ({"max_tokens": 100, "n": 3}, {}, 300, True),
    ({"max_tokens": 100, "n": 3}, {"choices": 1}, 100, True),
    ({"max_tokens": 100}, {"max_tokens": 7, "longest_output": 50}, 7, True),
    ({}, {"longest_output": 5000}, 5000, True),
    ({"max_tokens": None}, {}, DEFAULT_OUTPUT, False),
    ({"max_tokens": "many"}, {}, DEFAULT_OUTPUT, False),
    ({"max_tokens": -1}, {}, DEFAULT_OUTPUT, False),
    ({"max_tokens": float("inf")}, {}, DEFAULT_OUTPUT, False),
    ({"max_tokens": 100, "thinking": {"budget_tokens": 60}}, {}, 100, True),
    ({"max_tokens": 100, "thinking": {"budget_tokens": 5000}}, {}, 5100, True),
    ({"max_tokens": 100, "prompt": [TEXT, TEXT], "best_of": 2}, {}, 400, True),
    ({"max_tokens": 100, "prompt": [1, 2, 3]}, {}, 100, True),
]


@pytest.mark.parametrize(("request_", "limits", "output", "bounded"), OUTPUT)
def test_output_is_what_the_request_allows(
    request_: dict[str, Any], limits: dict[str, Any], output: int, bounded: bool
) -> None:
    found = of(request_, simple(input="0"), **limits)
    assert found.dollars == Decimal(output) / 10**5
    assert found.upper_bound is bounded


def test_what_was_predicted_is_paid_as_output() -> None:
    plain = of({"max_tokens": 5}, simple(input="0"))
    predicted = of(
        {"max_tokens": 5, "prediction": {"type": "content", "content": TEXT}}, simple(input="0")
    )
    assert plain.dollars is not None
    assert predicted.dollars is not None
    assert predicted.dollars - plain.dollars >= Decimal(len(TEXT)) / 10**5


HOUR = {"type": "ephemeral", "ttl": "1h"}
CACHED = [
    ({"messages": [{"role": "user", "content": TEXT}]}, {}, 2),
    ({"messages": [{"role": "user", "content": [{"type": "text", "text": TEXT,
                                                  "cache_control": HOUR}]}]}, {}, 4),
    ({"system": [{"type": "text", "text": TEXT, "cache_control": HOUR}]}, {}, 4),
    ({"prompt": TEXT, "cache_control_injection_points": [{"control": HOUR}]}, {}, 4),
    ({"prompt": TEXT}, {"cache_ttl": "1h"}, 4),
    ({"prompt": TEXT, "cache_control": HOUR}, {"cache_ttl": "5m"}, 2),
    ({"prompt": TEXT, "cache_control": {"type": "ephemeral"}}, {}, 2),
]  # fmt: skip


@pytest.mark.parametrize(("request_", "limits", "rate"), CACHED)
def test_a_write_to_the_cache_is_assumed_and_one_for_an_hour_where_it_is_asked_for(
    request_: dict[str, Any], limits: dict[str, Any], rate: int
) -> None:
    price = simple(cache_read="0.1", cache_write="2", cache_write_1h="4")
    found = of(request_, price, max_tokens=0, **limits)
    assert found.dollars == Decimal(found.tokens * rate) / 10**6


MESSAGES: list[list[dict[str, Any]]] = [
    [{"role": "user", "content": TEXT}],
    [{"role": "user", "content": [{"type": "text", "text": TEXT}]}],
    [{"role": "user", "content": [{"type": "input_text", "text": TEXT}]}],
    [{"role": "user", "parts": [{"text": TEXT}]}],
    [{"role": "tool", "tool_call_id": "1", "content": TEXT}],
    [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": "1",
                                   "content": [{"type": "text", "text": TEXT}]}]}],
    [{"role": "assistant", "tool_calls": [{"id": "1", "type": "function",
      "function": {"name": "f", "arguments": json.dumps({"q": TEXT})}}]}],
    [{"role": "assistant", "content": [{"type": "tool_use", "id": "1", "input": {"q": TEXT}}]}],
    [{"role": "assistant", "content": None, "reasoning_content": TEXT}],
    [{"type": "function_call_output", "call_id": "1", "output": TEXT}],
    [{"role": "user", "content": [{"toolResult": {"content": [{"text": TEXT}]}}]}],
]  # fmt: skip


@pytest.mark.parametrize("messages", MESSAGES)
def test_a_text_counts_wherever_it_stands(messages: list[dict[str, Any]]) -> None:
    with_text = of(messages, max_tokens=0)
    without = of(json.loads(json.dumps(messages).replace(TEXT, "")), max_tokens=0)
    assert with_text.upper_bound
    assert with_text.tokens - without.tokens >= len(TEXT)
    assert without.tokens >= asking.REQUEST


LONG = TEXT * 100
TOOL = {"name": "look", "description": TEXT, "parameters": {"type": "object"}}


@pytest.mark.parametrize(
    "more",
    [
        {"tools": [{"type": "function", "function": TOOL}]},
        {"tools": [TOOL]},
        {"tools": [{"functionDeclarations": [TOOL]}]},
        {"functions": [TOOL]},
        {"toolConfig": {"tools": [{"toolSpec": TOOL}]}},
        {"documents": [TEXT], "query": "x"},
        {"response_format": {"type": "json_schema", "json_schema": TOOL}},
        {"text": {"format": TOOL}},
        {"system": TEXT},
        {"instructions": TEXT},
        {"systemInstruction": {"parts": [{"text": TEXT}]}},
    ],
)
def test_tools_schemas_and_instructions_count(more: dict[str, Any]) -> None:
    plain = of({"input": "x"}, max_tokens=0)
    found = of({"input": "x", **json.loads(json.dumps(more).replace(TEXT, LONG))}, max_tokens=0)
    assert found.upper_bound
    assert found.tokens - plain.tokens >= len(LONG)


UNSEEN: list[Any] = [
    [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "https://x/y"}}]}],
    [{"role": "user", "content": [{"type": "image", "source": {"data": "A" * 9000}}]}],
    [{"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "A" * 9000}}]}],
    [{"role": "user", "content": [{"type": "file", "file": {"file_id": "f1"}}]}],
    [{"role": "user", "parts": [{"inlineData": {"mimeType": "video/mp4", "data": "A" * 9000}}]}],
    [{"role": "user", "content": [{"document": {"format": "pdf", "source": {"bytes": b"A"}}}]}],
    [{"role": "assistant", "audio": {"id": "a1"}}],
    [{"type": "item_reference", "id": "i1"}],
    {"input": TEXT, "tools": [{"type": "web_search"}]},
    {"contents": TEXT, "tools": [{"googleSearch": {}}]},
    {"input": TEXT, "previous_response_id": "r1"},
    {"prompt": {"id": "p1"}},
]


@pytest.mark.parametrize("content", UNSEEN)
def test_what_a_request_does_not_show_is_said_to_have_no_bound(content: object) -> None:
    found = of(content, simple(), max_tokens=1)
    assert not found.upper_bound
    assert "no bound for" in found.how
    assert found.dollars is not None


def test_audio_is_priced_as_audio() -> None:
    spoken = [{"type": "input_audio", "input_audio": {"data": "A" * 90_000, "format": "wav"}}]
    content = [{"role": "user", "content": spoken}]
    found = of(content, simple(audio_input="7"), max_tokens=0)
    assert found.dollars == Decimal(7 * found.tokens) / 10**6
    assert of(content, simple(), max_tokens=0).dollars == Decimal(found.tokens) / 10**6


ODD: list[Any] = [
    None, 7, 3.5, True, b"bytes", [], {}, [[]], [None], {"messages": None}, {"messages": [None, 3]},
    {"messages": {"role": None}}, {"tools": "x", "messages": 5}, {"n": [], "max_tokens": {}},
    [{"role": "user", "content": {"a": {1, 2}}}], object(), {"messages": [object()]}, "\ud800",
    {"thinking": 5, "prediction": 5, "generationConfig": 7}, [{"content": [["x"]]}], {1: 2},
    [{"type": ["x"], "content": "x"}], [{"role": [], "content": "x"}],
]  # fmt: skip


@pytest.mark.parametrize("content", ODD, ids=range(len(ODD)))
def test_a_strange_request_is_no_error(content: object) -> None:
    assert of(content, simple(), max_tokens=5).tokens >= asking.REQUEST


def test_a_request_that_contains_itself_is_not_bounded_and_no_error() -> None:
    content: list[Any] = []
    content.append(content)
    found = of(content, simple())
    assert not found.upper_bound
    assert found.dollars is not None
    assert found.dollars > Decimal("0.1")
