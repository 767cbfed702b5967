"""`spendbeat budgets`: made, changed, shown, and brought to what a file says."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from spend.budgets import status
from spend.errors import BadInputError
from tests.support import budgets as support
from tests.support import ledger
from worker.cli.budgets import budgets
from worker.database import transaction

FILE = """
budgets:
  - name: shop
    scope: {project: shop}
    zone: Europe/Berlin
    hard_limit: 100
    raise: {by: 300, until: 2026-12-01}
  - name: all
    soft_limit: 99.5
    thresholds: [80%]
    state: paused
"""


def run(*arguments: str, stdin: str | None = None) -> str:
    result = CliRunner().invoke(budgets, arguments, input=stdin, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def as_json(*arguments: str, stdin: str | None = None) -> Any:
    return json.loads(run(*arguments, "--json", stdin=stdin))


def test_a_budget_is_made_changed_shown_and_removed(database: str) -> None:
    made = as_json("add", "shop", "--scope", "project=shop", "--hard-limit", "100")
    assert (made["version"], made["scope"], made["hard_limit"]) == (1, {"project": "shop"}, "100")
    assert made["created_by"]
    run(
        "edit", "shop", "--soft-limit", "80", "--threshold", "50,forecast", "--week-start", "sunday"
    )
    assert "says that already" in run("edit", "shop", "--soft-limit", "80")
    shown = run("show", str(made["id"]))
    assert "50,forecast,warning" in shown
    assert "version 2" in shown
    assert "paused" in run("pause", "shop")
    assert "active" in run("resume", "shop")
    assert run("list").count("project=shop") == 1
    assert "removed" in run("remove", "shop")
    assert "none" in run("list")
    assert [one["state"] for one in as_json("list", "--removed")] == ["removed"]
    history = run("history", "shop")
    assert "soft_limit: none -> 80" in history
    assert "none -> none" not in history
    assert [v["change"] for v in as_json("history", "shop")] == [
        "added",
        "edited",
        "paused",
        "resumed",
        "removed",
    ]


def test_a_raise_needs_its_end_and_none_takes_it_back(database: str) -> None:
    run("add", "shop", "--hard-limit", "100")
    result = CliRunner().invoke(budgets, ["edit", "shop", "--raise", "5"])
    assert "--raise-until" in result.output
    run("edit", "shop", "--raise", "5", "--raise-until", "2099-12-01")
    assert as_json("status", "shop")[0]["limit"] == "105"
    run("edit", "shop", "--raise", "none")
    assert as_json("status", "shop")[0]["limit"] == "100"


def test_a_file_is_applied_once_and_says_what_changes(database: str, tmp_path: Path) -> None:
    file = tmp_path / "budgets.yaml"
    file.write_text(FILE)
    assert "2 to change" not in run("apply", str(file), "--dry-run").splitlines()[0]
    assert as_json("list") == []
    assert "3 changed" in run("apply", str(file))
    first = as_json("list")
    assert [(b["name"], b["state"], b["soft_limit"]) for b in first] == [
        ("all", "paused", "99.5"),
        ("shop", "active", None),
    ]
    again = as_json("apply", str(file))
    assert (again["changes"], again["same"]) == ([], ["shop", "all"])
    assert as_json("list") == first


def test_a_changed_file_changes_only_that(database: str) -> None:
    run("apply", "-", stdin=FILE)
    run("add", "mine", "--hard-limit", "5")
    changed = FILE.replace("hard_limit: 100", "hard_limit: 120").replace("state: paused", "")
    planned = as_json("apply", "-", "--dry-run", stdin=changed)
    assert planned["changes"] == [
        {
            "change": "edited",
            "name": "shop",
            "fields": {"hard_limit": {"before": "100", "after": "120"}},
        },
        {"change": "resumed", "name": "all", "fields": {}},
    ]
    assert planned["left"] == ["mine"]
    assert as_json("apply", "-", stdin=changed)["changes"] == planned["changes"]
    assert "~ shop" not in run("apply", "-", stdin=changed)
    run("apply", "-", "--remove-others", stdin=changed)
    assert {b["name"] for b in as_json("list")} == {"all", "shop"}


def test_a_file_with_one_bad_budget_changes_nothing(database: str) -> None:
    bad = FILE + "  - {name: bad, hard_limit: 5, soft_limit: 6}\n"
    with pytest.raises(BadInputError, match="'bad'"):
        run("apply", "-", stdin=bad)
    assert as_json("list", "--removed") == []


def test_status_says_what_is_spent_and_left(database: str) -> None:
    now = datetime.now(UTC)
    support.add("shop", zone="Asia/Kathmandu", hard_limit=10, soft_limit=8)
    support.add("lifetime", period="total", thresholds=[], hard_limit=None)
    with transaction() as session:
        ledger.add(session, started_at=now, cost_usd=Decimal("2.5"))
        ledger.add(session, started_at=now, cost_usd=None, provider="other")
    ledger.roll()
    lifetime, shop = as_json("status")
    assert (shop["spend"], shop["left"], shop["percent"]) == ("2.5", "7.5", "25")
    assert (shop["requests"], shop["unpriced"], shop["soft"]) == (2, 1, "8")
    assert shop["days_left"] >= 1
    assert shop["forecast"] is None
    assert shop["no_forecast_because"]
    assert (lifetime["limit"], lifetime["days_left"], lifetime["ends"]) == (None, None, None)
    shown = run("status", "shop")
    assert "at least $2.50, 1 unpriced" in shown
    assert "█████░" in shown


def test_status_forecasts_from_a_past(database: str) -> None:
    support.add("shop", hard_limit=100)
    with transaction() as session:
        for day in range(1, 22):
            ledger.add(session, started_at=datetime(2026, 11, day, 12, tzinfo=UTC))
    ledger.roll()
    with transaction("spendbeat_reader") as session:
        [shop] = status(session, datetime(2026, 11, 22, tzinfo=UTC))
    assert shop.spend == 21
    assert shop.days_left == 9
    assert shop.forecast is not None
    assert abs(shop.forecast.expected - 30) < 3


def test_a_range_says_where_it_is(database: str) -> None:
    support.add("launch", period="range", **{"from": "2026-11-20", "to": "2026-12-01"})
    moments = [datetime(2026, month, 25, tzinfo=UTC) for month in (10, 11, 12)]
    with transaction("spendbeat_reader") as session:
        found = [status(session, moment)[0] for moment in moments]
    assert [(one.phase, one.days_left) for one in found] == [
        ("before", 11),
        ("current", 6),
        ("after", 0),
    ]
