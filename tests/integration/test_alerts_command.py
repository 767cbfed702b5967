"""`spendbeat alerts`: what was crossed, and what people do with it."""

import json
from datetime import UTC, datetime
from typing import Any

import click
import pytest
from click.testing import CliRunner

from spend.errors import BadInputError
from tests.support import alerts, budgets, outboxes
from worker.cli.alerts import alerts as command

NOW = datetime.now(UTC)


def run(*arguments: str) -> str:
    found = CliRunner().invoke(command, arguments, catch_exceptions=False)
    assert found.exit_code == 0, found.output
    return found.output


def as_json(*arguments: str) -> Any:
    return json.loads(run(*arguments, "--json"))


@pytest.fixture
def two(database: str) -> tuple[int, int]:
    """Two alerts of one budget, a warning and a critical one."""
    outboxes.channel()
    budgets.add("[red]shop", period="total", thresholds=["50%", "100%,critical"])
    shop = budgets.attribution(project="shop")
    alerts.spend(60, NOW, attribution_id=shop)
    alerts.check(NOW)
    alerts.spend(50, NOW)
    first, second = alerts.told(NOW)
    return first.id, second.id


def test_alerts_are_listed_shown_and_worked_with(two: tuple[int, int]) -> None:
    first, second = two
    listed = run("list")
    assert "[red]shop" in listed
    assert "all of time" in listed
    assert [row["id"] for row in as_json("list", "--severity", "critical")] == [second]
    shown = as_json("show", str(first))
    assert (shown["threshold"], shown["spend"], shown["line"]) == ("50%", "60", "50")
    assert shown["contributors"]["project"] == [{"value": "shop", "spend": "60"}]
    assert [change["change"] for change in shown["history"]] == ["raised"]
    assert "most by project   shop $60.00" in run("show", str(first))

    assert {row["state"] for row in as_json("ack", str(first), str(second))} == {"acknowledged"}
    assert "snoozed until" in run("snooze", str(second), "--for", "4h", "--note", "later")
    assert [row["state"] for row in as_json("list", "--state", "snoozed")] == ["snoozed"]
    assert "resolved (by_hand)" in run("resolve", str(first), "--note", "stopped")
    assert [row["id"] for row in as_json("list", "--budget", "[red]shop")] == [second]
    assert len(as_json("list", "--all")) == 2
    assert "stopped" in run("show", str(first))
    assert as_json("replay", str(first)) == {"again": 0}


def test_two_alerts_are_acknowledged_both_or_neither(two: tuple[int, int]) -> None:
    with pytest.raises(BadInputError, match="There is no alert 99"):
        run("ack", str(two[0]), "99")
    assert {row["state"] for row in as_json("list")} == {"open"}


@pytest.mark.parametrize("duration", ["4", "h", "1.5h", "-4h", "4y", "123456d"])
def test_a_duration_that_is_none_is_refused(two: tuple[int, int], duration: str) -> None:
    with pytest.raises(BadInputError, match="is not a time such as 30m, 4h or 2d"):
        run("snooze", str(two[0]), f"--for={duration}")


def test_a_snooze_needs_one_end(two: tuple[int, int]) -> None:
    found = CliRunner().invoke(command, ["snooze", "1"])
    assert found.exit_code == click.UsageError.exit_code
    assert "either --for or --until" in found.output


def test_the_end_of_a_snooze_is_a_moment_of_the_zone_that_is_said(two: tuple[int, int]) -> None:
    day = f"{NOW.year + 1}-01-05" if NOW.month == 12 else f"{NOW:%Y}-{NOW.month + 1:02}-05"
    (found,) = as_json("snooze", str(two[0]), "--until", day, "--zone", "Asia/Kathmandu")
    assert found["due_at"][11:16] == "18:15"


def test_what_requests_say_of_themselves_does_nothing_to_a_terminal(database: str) -> None:
    budgets.add("shop", period="total", thresholds=["100%"])
    alerts.spend(100, NOW, attribution_id=budgets.attribution(project="a\x1b]0;b\n\x07c"))
    (alert,) = alerts.told(NOW)
    assert "most by project   a ]0;b c $100.00\n" in run("show", str(alert.id))


@pytest.mark.parametrize("limit", ["-1", "0", "9999999999999999999"])
def test_a_number_of_alerts_that_is_none_is_refused(database: str, limit: str) -> None:
    found = CliRunner().invoke(command, ["list", "--limit", limit])
    assert found.exit_code == click.UsageError.exit_code
