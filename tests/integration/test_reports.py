"""Spend by anything, and every grouping of the same rows adds up to the same total."""

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from spend import attributions, reports
from spend.attribution.mix import Mix
from spend.errors import BadInputError
from tests.support import ledger
from tests.support.captured import spendbeat
from worker.database import transaction

NEW_YEAR_IN_KATHMANDU = datetime(2025, 12, 31, 18, 15, tzinfo=UTC)


@pytest.fixture
def traffic(database: str) -> None:
    with transaction() as session:
        ledger.execute(
            session,
            "INSERT INTO attributions (id, digest, organization, project) VALUES"
            " (1, '00000000-0000-0000-0000-000000000001', 'acme', 'alpha'),"
            " (2, '00000000-0000-0000-0000-000000000002', 'acme', NULL)",
        )
        ledger.add(
            session,
            [
                {"attribution_id": 1, "cost_usd": Decimal("1.5"), "input_tokens": 7},
                {"attribution_id": 2, "cost_usd": Decimal(2)},
                {"provider": "other", "cost_usd": None, "output_tokens": 3},
            ],
            started_at=NEW_YEAR_IN_KATHMANDU,
        )
        earlier = NEW_YEAR_IN_KATHMANDU.replace(minute=14)
        ledger.add(session, started_at=earlier, cost_usd=Decimal(10))
    ledger.roll()


def spend(*by: str, **options: object) -> dict[tuple[str | None, ...], Decimal]:
    with transaction("spendbeat_reader") as session:
        lines = reports.spend(session, by, **options)  # type: ignore[arg-type]
    return {line.group: line.total_cost for line in lines}


@pytest.mark.usefixtures("traffic")
def test_what_is_not_attributed_is_a_line_of_its_own() -> None:
    assert spend("organization", "project") == {
        (None, None): Decimal(10),
        ("acme", "alpha"): Decimal("1.5"),
        ("acme", None): Decimal(2),
    }


@pytest.mark.usefixtures("traffic")
@pytest.mark.parametrize("name", reports.DIMENSIONS)
def test_every_dimension_adds_up_to_the_same_total(name: str) -> None:
    assert sum(spend(name).values()) == Decimal("13.5")


@pytest.mark.usefixtures("traffic")
def test_days_are_those_of_the_zone_that_was_asked_for() -> None:
    assert spend("day") == {("2025-12-31",): Decimal("13.5")}
    assert spend("day", zone="Asia/Kathmandu") == {
        ("2025-12-31",): Decimal(10),
        ("2026-01-01",): Decimal("3.5"),
    }


@pytest.mark.usefixtures("traffic")
def test_a_range_begins_and_ends_where_it_says() -> None:
    assert spend("provider", until=NEW_YEAR_IN_KATHMANDU) == {("openai",): Decimal(10)}
    assert spend("provider", since=NEW_YEAR_IN_KATHMANDU) == {
        ("openai",): Decimal("3.5"),
        ("other",): Decimal(0),
    }


@pytest.mark.usefixtures("traffic")
def test_unpriced_requests_are_counted_and_in_no_cost() -> None:
    with transaction("spendbeat_reader") as session:
        other = {line.group: line for line in reports.spend(session)}["other", "gpt-4o"]
    assert (other.requests, other.unpriced, other.output_tokens, other.total_cost) == (1, 1, 3, 0)


@pytest.mark.usefixtures("database")
def test_what_cannot_be_answered_is_refused() -> None:
    with pytest.raises(BadInputError, match=r"colour.*choose from provider"):
        spend("colour")
    with pytest.raises(BadInputError, match="quarter of an hour"):
        spend("provider", since=NEW_YEAR_IN_KATHMANDU.replace(minute=1))


@pytest.fixture
def tagged(database: str) -> None:
    mixes = {
        Mix(tags=("batch", "env:prod", "env:test")): 1,
        Mix(tags=("env:prod",)): 2,
        Mix(team="core", tags=("env:(other)",)): 4,
        Mix(team="(other)"): 8,
    }
    with transaction() as session:
        ids = attributions.resolve(session, mixes)
        rows = [
            {"attribution_id": ids[mix], "cost_usd": Decimal(cost)} for mix, cost in mixes.items()
        ]
        ledger.add(session, [*rows, {"cost_usd": Decimal(16)}])
    ledger.roll()


@pytest.mark.usefixtures("tagged")
def test_a_request_is_in_a_line_for_each_of_its_tags_and_once_in_the_total() -> None:
    assert spend("tag") == {
        ("batch",): Decimal(1),
        ("env:prod",): Decimal(3),
        ("env:test",): Decimal(1),
        ("env:(other)",): Decimal(4),
        (None,): Decimal(24),
    }
    assert spend("tag:env", "team") == {
        ("prod", None): Decimal(3),
        ("test", None): Decimal(1),
        ("(other)", "core"): Decimal(4),
        (None, "(other)"): Decimal(8),
        (None, None): Decimal(16),
    }
    with transaction("spendbeat_reader") as session:
        whole = reports.total(session)
    assert (whole.total_cost, whole.requests) == (Decimal(31), 5)
    said = spendbeat("spend", "--by", "tag").stdout
    assert "Total: $31.00\n" in said
    assert "(other): values beyond the limit" in said
    assert "(other)" not in spendbeat("spend", "--by", "provider").stdout


def test_nothing_counted_yet_is_no_error(database: str) -> None:
    with transaction("spendbeat_reader") as session:
        assert reports.total(session).total_cost == 0
    assert "No spend" in spendbeat("spend", "--by", "tag:env").stdout
