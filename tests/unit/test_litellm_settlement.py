"""What a row of LiteLLM's changes about a booked request: a rule, without a database."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from spend.adjustments import Change, Entry
from spend.capture.request import Request
from spend.litellm.settle import Settlement, settlement
from spend.pricing import PriceBook, Usage, to_pico
from spend.pricing.booking import GATEWAY, PROVIDER
from spend.pricing.origin import UNPRICED

AT = datetime(2026, 11, 2, 9, tzinfo=UTC)
USAGE = Usage(1000, 100)


def entry(cost: str | None, usage: Usage = USAGE, *changes: str, status: str = "success") -> Entry:
    """A booked request of a model that no list knows."""
    booked = None if cost is None else to_pico(Decimal(cost))
    made = tuple(Change(9, to_pico(Decimal(change)), 0) for change in changes)
    return Entry(1, AT, "acme", "orchid-9", 0, status, 9, booked, None, None, None, usage, made)


def row(
    cost: str | None = None, usage: Usage = USAGE, *, provider_said: str | None = None
) -> Request:
    gateway, provider = (
        None if said is None else to_pico(Decimal(said)) for said in (cost, provider_said)
    )
    return Request(
        "r1", 1_762_074_000_000_000, "acme", "orchid-9", usage, None, "success",
        gateway_pico=gateway, provider_pico=provider,
    )  # fmt: skip


def settled(said: Request, booked: Entry, source: str, *, exact: bool = False) -> Settlement | None:
    return settlement(said, booked, source, PriceBook(), exact=exact)


def pico(text: str) -> int:
    return to_pico(Decimal(text))


@pytest.mark.parametrize("source", ["unpriced", "gateway", "genai-prices", "local", "litellm-list"])
def test_a_cost_of_litellms_replaces_none_its_own_older_one_and_that_of_lists(source: str) -> None:
    booked = entry(None if source == "unpriced" else "0.25")
    assert settled(row("0.5"), booked, source) == Settlement(pico("0.5"), GATEWAY, None)


@pytest.mark.parametrize("source", ["given", "override", "provider"])
def test_a_cost_that_is_trusted_more_stays(source: str) -> None:
    assert settled(row("0.5"), entry("0.25"), source) is None
    assert settled(row("0.5", Usage(2000, 100)), entry("0.25"), source) is None


def test_the_same_figures_change_nothing_also_when_they_are_the_sum_of_corrections() -> None:
    assert settled(row("0.25"), entry("0.25"), "gateway") is None
    assert settled(row("0.5"), entry("0.25", USAGE, "0.25"), "gateway") is None
    assert settled(row(), entry(None), "unpriced") is None


def test_rounding_between_routes_changes_nothing() -> None:
    assert settled(row("0.2500000004"), entry("0.25"), "gateway") is None
    assert settled(row("0.250000001"), entry("0.25"), "gateway") is not None


def test_zeros_of_a_row_replace_no_figures() -> None:
    nothing = row(None, Usage())
    assert settled(nothing, entry("0.25"), "gateway") is None
    assert settled(nothing, entry(None), "unpriced") is None


def test_tokens_move_with_the_cost_and_their_parts_alone_do_not() -> None:
    more = Usage(3000, 100, 500)
    assert settled(row("0.25", more), entry("0.25"), "gateway") == Settlement(
        pico("0.25"), GATEWAY, more
    )
    coarse = entry("0.25", Usage(1000, 100, 400))
    assert settled(row("0.25"), coarse, "gateway") is None
    assert settled(row("0.5"), coarse, "gateway") == Settlement(pico("0.5"), GATEWAY, None)


def test_tokens_of_an_unpriced_request_move_and_it_stays_unpriced() -> None:
    more = Usage(3000, 100)
    assert settled(row(None, more), entry(None), "unpriced") == Settlement(None, UNPRICED, more)


def test_a_cost_that_litellm_once_said_is_not_lost_when_a_row_says_none() -> None:
    assert settled(row(None, Usage(3000, 100)), entry("0.25"), "gateway") is None


def test_what_the_provider_said_comes_before_what_litellm_said() -> None:
    said = row("0.5", provider_said="0.4")
    assert settled(said, entry("0.25"), "gateway") == Settlement(pico("0.4"), PROVIDER, None)
    assert settled(said, entry("0.25"), "provider") == Settlement(pico("0.4"), PROVIDER, None)


def test_exact_figures_may_fall_to_nothing() -> None:
    nothing = row("0", Usage())
    assert settled(nothing, entry("0.25"), "gateway", exact=True) == Settlement(0, GATEWAY, Usage())
