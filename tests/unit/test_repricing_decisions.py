"""What a request should cost now, and how the work is cut, decided from values alone."""

import itertools
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from spend.entries import Change, Entry
from spend.pricing import GIVEN, UNPRICED, Origin, Override, PriceBook, Rates, Tier, Usage
from spend.pricing.booking import GATEWAY, PROVIDER, Costs
from spend.pricing.origin import FAILED
from spend.repricing import known
from spend.repricing.scope import Scope, cut

AT = datetime(2026, 11, 20, 10, tzinfo=UTC)
SOURCES = [
    GIVEN,
    UNPRICED,
    GATEWAY,
    PROVIDER,
    FAILED,
    Origin("override", "1"),
    Origin("reprice", "1"),
]
ORIGINS = dict(enumerate(SOURCES))
VERSION = {origin: id_ for id_, origin in ORIGINS.items()}


def entry(
    booked: int | None,
    origin: Origin,
    *changes: tuple[Origin, int, int],
    gateway: int | None = None,
    status: str = "success",
    usage: Usage = Usage(1_000_000),  # noqa: B008 - a tuple
) -> Entry:
    later = tuple(Change(VERSION[of], pico, unpriced) for of, pico, unpriced in changes)
    costs = (booked, None, gateway, None)
    return Entry(7, AT, "acme", "large", 0, status, VERSION[origin], *costs, usage, later)


def costs(*arguments: object, **more: object) -> Costs:
    return known.costs(entry(*arguments, **more), ORIGINS)  # type: ignore[arg-type]


def test_a_cost_that_was_given_is_what_the_request_comes_to() -> None:
    """With whatever was corrected by hand since."""
    assert costs(50, GIVEN) == Costs(given=50)
    assert costs(50, GIVEN, (GIVEN, -10, 0)).given == 40
    assert costs(50, SOURCES[5], (GIVEN, -10, 0)).given == 40


def test_a_failure_that_used_nothing_was_not_given_a_cost() -> None:
    assert costs(0, FAILED, status="failure", usage=Usage()) == Costs()


def test_a_row_by_hand_without_a_cost_was_not_given_one() -> None:
    assert costs(None, GIVEN) == Costs()
    assert known.says_nothing(entry(None, GIVEN, usage=Usage()), ORIGINS)
    assert not known.says_nothing(entry(None, GIVEN), ORIGINS)
    assert not known.says_nothing(entry(None, UNPRICED, usage=Usage()), ORIGINS)


def test_the_last_word_of_a_gateway_or_provider_is_remembered() -> None:
    """Whether it is booked, beside the booked cost, or came as a correction."""
    assert costs(50, GATEWAY).gateway == 50
    assert costs(50, PROVIDER, gateway=40) == Costs(None, 40, 50)
    assert costs(50, GATEWAY, (GATEWAY, 20, 0)).gateway == 70
    assert costs(None, UNPRICED, (GATEWAY, 30, -1)).gateway == 30
    assert costs(50, GATEWAY, (GATEWAY, -50, 1)).gateway is None
    assert costs(50, GATEWAY, (SOURCES[6], 9, 0)).gateway == 50
    assert costs(50, GATEWAY, (SOURCES[6], -50, 1)).gateway == 50


def test_what_it_should_cost_is_the_rule_of_capture() -> None:
    own = Override(1, "acme", "large", AT, None, (Tier(0, Rates(Decimal(2), Decimal(2))),))
    book, bare = PriceBook([own]), PriceBook()
    request = entry(50, GATEWAY)
    assert known.should_cost(bare, request, Costs(gateway=50)).pico == 50
    assert known.should_cost(book, request, Costs(gateway=50)).pico == 2 * 10**12
    assert known.should_cost(bare, request, Costs()).pico is None


def test_an_adjustment_says_which_run_and_by_which_price() -> None:
    found = known.corrected(12, Origin("override", "3", "before-first-price"))
    assert found == Origin("reprice", "12", "override 3 before-first-price")


def test_portions_leave_no_gap_and_end_with_buckets_or_days() -> None:
    scope = Scope("large", None, AT, AT + timedelta(days=2))
    quarter = timedelta(minutes=15)
    weights = [(AT + n * quarter, 4) for n in range(8)]
    found = cut(weights, scope, 10)
    assert found[0].since == scope.since
    assert found[-1].until == scope.until
    assert all(one.until == other.since for one, other in itertools.pairwise(found))
    assert [portion.requests for portion in found] == [8, 8, 8, 8, 0, 0]
    assert max(portion.until - portion.since for portion in found) <= timedelta(days=1)


def test_a_bucket_that_began_before_the_scope_is_no_cut() -> None:
    scope = Scope("large", None, AT + timedelta(minutes=5), AT + timedelta(hours=1))
    found = cut([(AT, 100), (AT + timedelta(minutes=15), 1)], scope, 10)
    assert [(portion.since, portion.requests) for portion in found] == [
        (scope.since, 100),
        (AT + timedelta(minutes=15), 1),
    ]
