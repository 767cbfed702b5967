"""`spendbeat reprice`, its list and undo, and `spendbeat prices disagreements`."""

import json
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from spend.pricing import Origin
from spend.pricing.booking import Booked
from spend.pricing.disagreements import Seen, record
from spend.pricing.money import PICO
from tests.support import ledger
from tests.support.captured import spendbeat
from tests.support.repricing import BEGIN, book, net, price, total
from worker.database import engine

MODEL = ("--model", "large", "--from", "2026-11-01", "--to", "2026-12-01")


@pytest.fixture
def requests(database: str) -> None:
    price("1")
    book(
        {"id": f"r{n}", "input_tokens": 1_000_000, "started_at": BEGIN + timedelta(hours=15 * n)}
        for n in range(4)
    )
    ledger.roll()
    price("0.75")


def said(*arguments: str) -> Any:
    result = spendbeat(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_it_shows_days_and_then_writes(requests: None) -> None:
    """Without a terminal nobody is asked; the amounts add up."""
    result = spendbeat("reprice", *MODEL, "--by", "ann")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["day", "requests", "changed", "before", "after", "delta"]
    assert lines[1].split() == ["2026-11-01", "2", "2", "2.00", "1.50", "-0.50"]
    assert lines[2].split() == ["2026-11-02", "2", "2", "2.00", "1.50", "-0.50"]
    assert lines[3].split() == ["total", "4", "4", "4.00", "3.00", "-1.00"]
    assert "Repricing 1: 4 adjustments, -1.00 dollars" in lines[4]
    assert total() == 3
    again = spendbeat("reprice", *MODEL)
    assert "Nothing to do: 4 requests cost what they should" in again.stdout
    listed = said("reprice", "list")
    assert [(run["id"], run["by"], run["rows"], run["state"]) for run in listed] == [
        (1, "ann", 4, "done")
    ]


def test_a_dry_run_says_the_same_and_writes_nothing(requests: None) -> None:
    dry = said("reprice", *MODEL, "--dry-run")
    assert (dry["requests"], dry["changed"], Decimal(dry["delta"]), dry["run"]) == (4, 4, -1, None)
    assert total() == 4
    real = said("reprice", *MODEL)
    assert real["days"] == dry["days"]
    assert Decimal(real["run"]["delta"]) == Decimal(dry["delta"])


def test_days_and_dates_are_those_of_a_zone(requests: None) -> None:
    """5:30 ahead of UTC, the day begins earlier: the first request of November is in it."""
    dry = said("reprice", *MODEL, "--timezone", "Asia/Kolkata", "--dry-run")
    assert dry["from"] == "2026-10-31T18:30:00+00:00"
    assert [(day["day"], day["requests"]) for day in dry["days"]] == [
        ("2026-11-01", 2),
        ("2026-11-02", 1),
        ("2026-11-03", 1),
    ]


def test_undo_by_its_number(requests: None) -> None:
    before = net()
    said("reprice", *MODEL)
    result = spendbeat("reprice", "undo", "1")
    assert "4 adjustments taken back, +1.00" in result.stdout
    assert net() == before
    assert "undone already" in spendbeat("reprice", "undo", "1").stdout
    assert "undone" in spendbeat("reprice", "list").stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("reprice",), "--model and --from are needed"),
        (("reprice", "--model", "large"), "--model and --from are needed"),
        (("reprice", *MODEL[:4], "--to", "2026-10-01"), "--to lies before --from"),
        (("reprice", *MODEL[:4], "--timezone", "Mars"), "not a time zone"),
        (("reprice", *MODEL, "undo", "1"), "not for 'undo'"),
        (("reprice", "undo", "7"), "no repricing 7"),
    ],
)
def test_mistakes_are_named(requests: None, arguments: tuple[str, ...], message: str) -> None:
    result = spendbeat(*arguments)
    assert result.exit_code != 0
    assert message in f"{result.output} {result.exception}"


def test_a_model_without_requests_is_said(requests: None) -> None:
    result = spendbeat("reprice", "--model", "lrage", "--from", "2026-11-01")
    assert result.exit_code == 0
    assert "no row of this model in this time" in result.stdout


def test_disagreements_are_listed(database: str) -> None:
    assert "There are none" in spendbeat("prices", "disagreements").stdout
    booked = Booked(2 * PICO, Origin("provider"), computed=PICO)
    with engine().begin() as connection:
        record(connection, [Seen(5, "acme", "large", 1_700_000_000_000_000, booked)])
    line = spendbeat("prices", "disagreements").stdout.splitlines()[1].split()
    assert line == [
        *("2023-11-14", "acme", "large", "provider", "computed"),
        *("1", "2.00", "1.00", "1.00", "5"),
    ]
    assert said("prices", "disagreements", "--model", "large")[0]["difference_usd"] == (
        "1.000000000000"
    )
    assert said("prices", "disagreements", "--since", "2024-01-01") == []
