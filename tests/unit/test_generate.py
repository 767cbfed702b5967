"""Made-up traffic is the same for the same seed, and looks like traffic."""

from collections import Counter
from datetime import UTC, date, datetime

from spend.capture.normalise import Normaliser
from spend.generate import requests
from spend.generate_models import MODELS
from spend.pricing import PriceBook

DAY = date(2026, 11, 2)


def test_the_same_seed_gives_the_same_requests_and_another_one_others() -> None:
    one = list(requests(500, 7, DAY))
    assert one == list(requests(500, 7, DAY))
    assert not {r["id"] for r in one} & {r["id"] for r in requests(500, 8, DAY)}


def test_requests_are_as_many_as_asked_for_and_in_order_of_time() -> None:
    for rows, days in ((1, 1), (10, 3), (20_000, 3)):
        times = [str(r["started_at"]) for r in requests(rows, 1, DAY, days)]
        assert len(times) == rows
        assert times == sorted(times)
        assert "2026-11-02T" <= times[0] <= times[-1] < f"2026-11-{2 + days:02}T"


def test_every_request_can_be_booked_and_all_models_but_one_have_a_price() -> None:
    normaliser = Normaliser(now=datetime(2026, 11, 3, tzinfo=UTC))
    made = [normaliser.mapping(row) for row in requests(20_000, 1, DAY)]
    book, sources = PriceBook(), Counter[tuple[str, str]]()
    for r in made:
        _, origin = book.price(r[2], r[3], r[1], r.usage, status=r.status, given=None)
        sources[origin.source, r.model] += 1
    assert {model for source, model in sources if source == "unpriced"} == {"orchid-preview"}
    assert {model for source, model in sources if source == "local"} == {"llama3.1:8b"}
    assert {(r.provider, r.model) for r in made} == {(m.provider, m.name) for m in MODELS}
    assert 0.005 < sum(r.status == "failure" for r in made) / len(made) < 0.02
    assert len({r.id for r in made}) == len(made)
    for count in range(8):
        assert any(r.usage[count] for r in made)


def test_office_hours_are_busier_than_nights_and_prompts_have_a_long_tail() -> None:
    made = list(requests(20_000, 1, DAY))
    hours = Counter(str(r["started_at"])[11:13] for r in made)
    assert hours["13"] > 4 * hours["02"]
    prompts = sorted(r["input_tokens"] for r in made if r["model"] == "gpt-4o-mini")  # type: ignore[type-var]  # counts
    assert prompts[-1] > 10 * prompts[len(prompts) // 2]  # type: ignore[operator]  # counts
