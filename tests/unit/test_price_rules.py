"""The rules of pricing against a slow model of them: plain Decimals, every price looked at."""

from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Context, Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from spend.pricing import Override, Price, PriceBook, Rates, Tier, Usage, dollars
from spend.pricing.overrides import End
from spend.pricing.tiers import CLASSES, from_json, to_json

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
FIRST = datetime(2026, 1, 1, tzinfo=UTC)
DAYS = 6
WIDE = Context(prec=80)
SERVICES = ("", "batch", "flex")

rate = st.one_of(
    st.none(), st.decimals(0, 10_000, places=3), st.decimals(0, 1, places=9), st.just(Decimal(0))
)
some = st.integers(0, 400)


@st.composite
def rates(draw: st.DrawFn) -> Rates:
    return Rates(**{name: draw(rate) for name in CLASSES})


@st.composite
def tiers(draw: st.DrawFn) -> tuple[Tier, ...]:
    services = draw(st.sets(st.sampled_from(SERVICES[1:]))) | {""}
    return tuple(
        Tier(above, draw(rates()), service)
        for service in sorted(services, reverse=True)
        for above in sorted(draw(st.sets(st.integers(1, 900), max_size=2)) | {0}, reverse=True)
    )


@st.composite
def overrides(draw: st.DrawFn) -> list[Override]:
    return [draw(override(number)) for number in range(1, draw(st.integers(0, 4)) + 1)]


@st.composite
def override(draw: st.DrawFn, number: int) -> Override:
    start = draw(st.integers(0, DAYS))
    end = draw(st.one_of(st.none(), st.integers(start + 1, DAYS + 1)))
    ends = draw(st.lists(st.one_of(st.none(), st.integers(0, DAYS)), max_size=2))
    return Override(
        number,
        draw(st.sampled_from(["Acme", "acme"])),
        "orchid",
        FIRST + start * DAY,
        None if end is None else FIRST + end * DAY,
        draw(tiers()),
        list=draw(st.sampled_from(["", "", "list-a", "list-b"])),
        known_at=FIRST + number * DAY,
        ends=tuple(
            End(FIRST + (number + n) * DAY, None if e is None else FIRST + e * DAY)
            for n, e in enumerate(ends)
        ),
    )


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    """Parts that fit; some of the audio may be cached."""
    read, write, write_1h, audio, text = (draw(some) for _ in range(5))
    overlap = draw(st.integers(0, min(read, audio)))
    reasoning, spoken, written = (draw(some) for _ in range(3))
    return Usage(
        input_tokens=read + write + write_1h + audio + text - overlap,
        output_tokens=reasoning + spoken + written,
        cache_read_tokens=read,
        cache_write_tokens=write,
        cache_write_1h_tokens=write_1h,
        reasoning_tokens=reasoning,
        audio_input_tokens=audio,
        audio_output_tokens=spoken,
    )


def slow_cost(tiers: tuple[Tier, ...], usage: Usage, service: str) -> tuple[Decimal | None, bool]:
    """What the rules say, class by class; and whether the service tier has rates."""
    of_tier = [t for t in tiers if t.service == service]
    known = bool(of_tier)
    of_tier = of_tier or [t for t in tiers if not t.service]
    _, rates = max((t.above, t.rates) for t in of_tier if t.above == 0 or usage[0] > t.above)
    if (rates.input is None and usage.input_tokens) or (
        rates.output is None and usage.output_tokens
    ):
        return None, known

    def of(*names: str) -> Decimal:
        found = [getattr(rates, name) for name in names]
        return next((rate for rate in found if rate is not None), Decimal(0))

    inside = usage.cache_read_tokens + usage.cache_write_tokens + usage.cache_write_1h_tokens
    both = max(0, inside + usage.audio_input_tokens - usage.input_tokens)
    text = usage.input_tokens - inside - usage.audio_input_tokens + both
    spoken = usage.output_tokens - usage.reasoning_tokens - usage.audio_output_tokens
    cached_audio = rates.cached_audio
    if cached_audio is None:
        cached_audio = of("audio_input", "input") + of("cache_read", "input") - of("input")
    parts = (
        (text, of("input")),
        (usage.cache_read_tokens - both, of("cache_read", "input")),
        (usage.cache_write_tokens, of("cache_write", "input")),
        (usage.cache_write_1h_tokens, of("cache_write_1h", "cache_write", "input")),
        (usage.audio_input_tokens - both, of("audio_input", "input")),
        (both, cached_audio),
        (spoken, of("output")),
        (usage.reasoning_tokens, of("reasoning", "output")),
        (usage.audio_output_tokens, of("audio_output", "output")),
    )
    total = sum((WIDE.multiply(Decimal(count), rate) for count, rate in parts), Decimal(0))
    cost = WIDE.scaleb(total, -6) + of("request")
    return cost.quantize(Decimal("1e-12"), ROUND_HALF_EVEN, WIDE), known


def until(price: Override, known_at: datetime) -> datetime | None:
    said = [end.ends_at for end in price.ends if end.known_at <= known_at]
    return said[-1] if said else price.valid_to


def slow_price(
    prices: list[Override], moment: datetime, known_at: datetime
) -> tuple[Override | None, str]:
    """The price that wins and what had to be assumed."""
    known = [p for p in prices if p.known_at is not None and p.known_at <= known_at]
    spans = [(p, p.valid_from, until(p, known_at)) for p in known]
    spans = [(p, start, end) for p, start, end in spans if end is None or end > start]
    for own in (True, False):
        valid = [
            p
            for p, start, end in spans
            if (p.list == "") == own and start <= moment and (end is None or moment < end)
        ]
        if valid:
            return max(valid, key=lambda p: p.id), ""
    later = [(p.list != "", start, -p.id, p) for p, start, _ in spans if start > moment]
    return (min(later)[-1], "before-first-price") if later else (None, "")


@settings(max_examples=200)
@given(
    overrides(),
    usages(),
    st.integers(-1, 2 * DAYS + 2),
    st.integers(0, DAYS),
    st.sampled_from(SERVICES),
)
def test_a_cost_is_what_the_slow_model_of_the_rules_says(
    prices: list[Override], usage: Usage, half_day: int, known: int, service: str
) -> None:
    """Both time axes, own prices and lists, ends, service tiers, thresholds, all token classes."""
    moment, known_at = FIRST + half_day * DAY / 2, FIRST + known * DAY
    book = PriceBook(prices, known_at=known_at)
    pico, origin = book.price(
        "ACME",
        "Orchid",
        (moment - EPOCH) // timedelta(microseconds=1),
        usage,
        status="success",
        given=None,
        service_tier=service,
    )
    winner, assumption = slow_price(prices, moment, known_at)
    expected, has_tier = slow_cost(winner.tiers, usage, service) if winner else (None, True)
    if expected is None:
        assert (pico, origin) == (None, ("unpriced", "", ""))
        return
    assert winner is not None
    assert pico is not None
    if not has_tier:
        assumption = f"{assumption},standard-tier".lstrip(",")
    source = "list" if winner.list else "override"
    assert (dollars(pico), origin) == (expected, (source, str(winner.id), assumption))


@given(tiers())
def test_tiers_are_stored_without_losing_a_digit_and_equal_ones_alike(
    found: tuple[Tier, ...],
) -> None:
    stored = to_json(found)
    assert to_json(from_json(stored)) == stored
    assert to_json(tuple(reversed(found))) == stored
    assert set(from_json(stored)) == set(found)


def test_a_price_that_was_withdrawn_is_not_used_before_its_date_either() -> None:
    start, tiers = FIRST + 5 * DAY, (Tier(0, Rates(Decimal(2), Decimal(2))),)
    own = Override(1, "acme", "orchid", start, None, tiers, ends=(End(FIRST, start),))
    for moment in (FIRST, start):
        pico, origin = PriceBook([own]).price(
            "acme", "orchid", (moment - EPOCH) // timedelta(microseconds=1), Usage(1),
            status="success", given=None,
        )  # fmt: skip
        assert (pico, origin.source) == (None, "unpriced")


def test_a_book_of_a_moment_knows_nothing_that_was_learned_later() -> None:
    """Neither that a price had ended, nor that its end was taken back."""
    tiers = (Tier(0, Rates(Decimal(2), Decimal(2))),)
    ends = (End(FIRST + DAY, FIRST + DAY), End(FIRST + 3 * DAY, None))
    own = Override(1, "acme", "orchid", FIRST, None, tiers, known_at=FIRST, ends=ends)
    for known, source in ((-1, "unpriced"), (0, "override"), (2, "unpriced"), (3, "override")):
        _, origin = PriceBook([own], known_at=FIRST + known * DAY).price(
            "acme", "orchid", (FIRST + 9 * DAY - EPOCH) // timedelta(microseconds=1), Usage(1),
            status="success", given=None,
        )  # fmt: skip
        assert origin.source == source, known


def test_cached_audio_has_its_rate_also_where_audio_costs_what_text_does() -> None:
    rates = Rates(Decimal(2), Decimal(2), cache_read=Decimal(1), cached_audio=Decimal("0.5"))
    usage = Usage(1_000_000, 0, 1_000_000, audio_input_tokens=1_000_000)
    assert Price([Tier(0, rates)]).pico(usage) == 500_000_000_000


def test_other_names_of_a_service_tier() -> None:
    own = Override(
        1, "acme", "orchid", FIRST, None,
        (Tier(0, Rates(Decimal(2), Decimal(2))), Tier(0, Rates(Decimal(1), Decimal(1)), "batch")),
    )  # fmt: skip
    for name, cost, assumption in (
        (None, 2, ""), ("", 2, ""), ("default", 2, ""), ("STANDARD", 2, ""), ("auto", 2, ""),
        ("batch", 1, ""), ("Batches", 1, ""), ("priority", 2, "standard-tier"),
    ):  # fmt: skip
        pico, origin = PriceBook([own]).price(
            "acme", "orchid", (FIRST - EPOCH) // timedelta(microseconds=1), Usage(1_000_000),
            status="success", given=None, service_tier=name,
        )  # fmt: skip
        assert pico is not None
        assert (dollars(pico), origin.assumption) == (Decimal(cost), assumption), name


def test_a_tier_that_the_library_sells_as_another_model_is_used() -> None:
    """OpenRouter's batch tier has a price of its own, and no other tier has."""
    book, moment = PriceBook(), (FIRST + 300 * DAY - EPOCH) // timedelta(microseconds=1)
    model, usage = "anthropic/claude-sonnet-4.5", Usage(1000, 100)
    costs = {}
    for name in ("", "batch", "flex"):
        costs[name], origin = book.price(
            "openrouter", model, moment, usage, status="success", given=None, service_tier=name
        )
        assert origin.assumption == ("standard-tier" if name == "flex" else "")
    same, _ = book.price(
        "openrouter", f"{model}:batch", moment, usage, status="success", given=None
    )
    assert costs["batch"] == same
    assert costs["flex"] == costs[""] != same
