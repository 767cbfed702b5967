"""Filters choose exactly the requests that they name, from wherever the figures are read."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import product
from random import Random
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from spend import attributions, rebuild, reports
from spend.attribution.mix import Mix
from spend.errors import BadInputError
from spend.filters import Only
from tests.support import ledger
from worker.database import transaction

BEGIN = datetime(2026, 10, 24, 3, 0, tzinfo=UTC)  # clocks change the night after in Berlin
MIXES = (
    Mix(),
    Mix(organization="acme"),
    Mix(organization="acme", project="alpha", tags=("env:prod", "batch")),
    Mix(organization="acme", project="beta", team="core", tags=("env:test", "env:prod")),
    Mix(project="alpha", user_id="ann", api_key="k1", tags=("environment",)),
)
CHOICES: Mapping[str, Sequence[str | None]] = {
    "provider": ("openai", "anthropic", "nobody"),
    "model": ("m0", "m1"),
    "organization": ("acme", None, "globex"),
    "project": ("alpha", "beta", None),
    "team": ("core", None),
    "user_id": ("ann", None),
    "tag": ("batch", "env:prod", "env:test", None),
    "tag:env": ("prod", "test", None),
}
GROUPS = (["provider", "model"], ["day", "project"], ["organization"], ["day"], ["user_id", "team"])


@pytest.fixture
def traffic(database: str) -> None:
    random = Random(4)
    with transaction() as session:
        resolved = attributions.resolve(session, dict.fromkeys(MIXES, 1))
        ids = [resolved[mix] for mix in MIXES]
        ledger.add(session, [
            {
                "started_at": BEGIN + timedelta(minutes=15 * n),
                "provider": random.choice(("openai", "anthropic")),
                "model": f"m{n % 3}",
                # One that no attribution explains: a row by hand may say anything.
                "attribution_id": random.choice([*ids, 4_000_000]),
                "cost_usd": None if n % 9 == 4 else Decimal(n + 1) / 7**6,
                "input_tokens": n,
            }
            for n in range(300)
        ])  # fmt: skip
    ledger.roll()


def by_hand(
    session: Session, only: Only, since: datetime | None, until: datetime | None
) -> tuple[Any, ...]:
    """What the ledger itself says, row by row in Python."""
    rows = session.execute(
        text(
            "SELECT l.provider, l.model, l.started_at, l.cost_usd, l.input_tokens, a.*"
            " FROM cost_logs AS l LEFT JOIN attributions AS a ON a.id = l.attribution_id"
        )
    ).mappings()
    found = [
        row
        for row in rows
        if (since is None or row["started_at"] >= since)
        and (until is None or row["started_at"] < until)
        and all(_fits(row, name, values) for name, values in only.items())
    ]
    return (
        len(found),
        sum(row["input_tokens"] for row in found),
        sum(row["cost_usd"] is None for row in found),
        sum((row["cost_usd"] or Decimal(0) for row in found), Decimal(0)),
    )


def _fits(row: Any, name: str, values: Sequence[str | None]) -> bool:
    tags = row["tags"] or []
    if name == "tag":
        return any((value in tags) if value else not tags for value in values)
    if name == "tag:env":
        env = [tag.removeprefix("env:") for tag in tags if tag.startswith("env:")]
        return any((value in env) if value else not env for value in values)
    return row[name] in values


def figures(line: reports.SpendLine) -> tuple[Any, ...]:
    return line.requests, line.input_tokens, line.unpriced, line.total_cost


def chances(seed: int) -> list[tuple[Only, datetime | None, datetime | None]]:
    random = Random(seed)
    found: list[Any] = []
    for _ in range(60):
        names = random.sample(list(CHOICES), random.randint(0, 3))
        only = {
            name: random.sample(CHOICES[name], random.randint(1, len(CHOICES[name])))
            for name in names
        }
        quarters = sorted(random.sample(range(-20, 330), 2))
        times = [BEGIN + timedelta(minutes=15 * quarter) for quarter in quarters]
        since, until = (random.choice((moment, None)) for moment in times)
        found.append((only, since, until))
    return found


@pytest.mark.usefixtures("traffic")
@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "America/St_Johns"])
def test_lines_and_totals_of_any_filter_are_the_ledgers(zone: str) -> None:
    with transaction() as session:
        rebuild.set_zone(session, zone)
    for number, (only, since, until) in enumerate(chances(len(zone))):
        by = GROUPS[number % len(GROUPS)]
        named: dict[str, Any] = {"since": since, "until": until, "only": only}
        # Days of the zone that is summed up, and of one that only buckets know.
        for days in (zone, "Asia/Kathmandu"):
            with transaction("spendbeat_reader") as session:
                expected = by_hand(session, only, since, until)
                whole = reports.total(session, **named)
                lines = reports.spend(session, by, zone=days, **named)
            assert figures(whole) == expected, named
            assert figures(reports.added(lines)) == expected, (by, named)


@pytest.mark.usefixtures("traffic")
def test_days_are_the_same_from_their_summaries_and_from_buckets() -> None:
    """The reader sees both, the rollups' days and the buckets; the answer is one."""
    for since, until in product((None, BEGIN + timedelta(hours=7)), (None, BEGIN + timedelta(2))):
        named: dict[str, Any] = {"since": since, "until": until}
        with transaction("spendbeat_reader") as session:
            quick = reports.spend(session, ["day", "project"], zone="UTC", **named)
        with transaction() as session:
            rebuild.set_zone(session, "Asia/Tokyo")
        with transaction("spendbeat_reader") as session:
            slow = reports.spend(session, ["day", "project"], zone="UTC", **named)
        with transaction() as session:
            rebuild.set_zone(session, "UTC")
        assert quick == slow


@pytest.mark.usefixtures("database")
@pytest.mark.parametrize(
    ("only", "words"),
    [
        ({"day": ["2026-10-24"]}, "Cannot choose by 'day'"),
        ({"tag:": ["x"]}, "Cannot choose by 'tag:'"),
        ({"project": ["x"] * 101}, "project has 101 values"),
        ({"project": ["a\0b"]}, "no text"),
    ],
)
def test_a_filter_that_means_nothing_is_refused(only: Only, words: str) -> None:
    with transaction("spendbeat_reader") as session, pytest.raises(BadInputError, match=words):
        reports.spend(session, only=only)
