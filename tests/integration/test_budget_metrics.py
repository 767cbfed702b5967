"""What a scrape says about budgets, their checks and their alerts."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest

from spend.alerts import states
from spend.budgets import standing
from tests.support import alerts, budgets, ledger
from tests.support.books import Books
from tests.support.metrics import Scrape, serving
from worker.database import transaction


@pytest.fixture
def scrape(database: str) -> Iterator[Callable[[], Scrape]]:
    with serving(database) as scrape:
        yield scrape


def test_a_budget_shows_what_is_used_and_left_of_its_limit_now(
    books: Books, scrape: Callable[[], Scrape]
) -> None:
    """As `budgets status` has it: the period that runs, the hard limit first, a raise included."""
    hard = budgets.add("hard", soft_limit=50)
    budgets.add("soft", hard_limit=None, soft_limit=50, scope={"provider": "azure"})
    budgets.add("raised", **{"raise": {"by": "25.5", "until": "2999-01-01"}})
    budgets.add("lowered again", **{"raise": {"by": 25, "until": "2020-01-01"}})
    budgets.add("boundless", hard_limit=None, thresholds=[])
    budgets.add("over", hard_limit="0.01")
    budgets.add("last year", period="range", **{"from": "2025-01-01", "to": "2026-01-01"})
    budgets.add("gone")
    budgets.set_state("gone", "removed")
    budgets.set_state("soft", "paused")
    books.spend("openai", rows=40)
    books.spend("azure", rows=3)
    ledger.roll()
    found = scrape()

    with transaction() as session:
        now = standing.status(session, datetime.now(UTC), with_forecast=False)
    assert len(now) == 7
    for budget in now:
        who = {"budget": budget.budget.name, "id": str(budget.budget.id)}
        limit, left = budget.limit, budget.left
        assert found.value("spendbeat_budget_used_dollars", **who) == float(budget.spend)
        assert found.value("spendbeat_budget_limit_dollars", **who) == (limit and float(limit))
        assert found.value("spendbeat_budget_left_dollars", **who) == (left and float(left))
    assert found.value("spendbeat_budget_limit_dollars", id=str(hard.id)) == 100
    assert found.value("spendbeat_budget_limit_dollars", budget="raised") == 125.5
    over = found.value("spendbeat_budget_left_dollars", budget="over")
    assert over is not None
    assert over < 0
    assert found.value("spendbeat_budget_used_dollars", budget="soft") != 0
    assert found.value("spendbeat_budgets", state="active") == 6
    assert found.value("spendbeat_budgets", state="paused") == 1
    assert found.value("spendbeat_budgets_left_out") == 0


@pytest.mark.parametrize(("most", "shown"), [(2, ["nearer", "over"]), (0, [])])
def test_only_the_budgets_nearest_to_their_limits_are_shown(
    books: Books, database: str, most: int, shown: list[str]
) -> None:
    """However many there are, and how many were left out is said; a range that is over is last."""
    for name, limit in (("far", 1000), ("nearer", 10), ("over", "0.01"), ("boundless", None)):
        budgets.add(name, hard_limit=limit, thresholds=[])
    long_ago = {"from": "2025-01-01", "to": "2026-01-01"}
    budgets.add("past and over", period="range", hard_limit="0.01", **long_ago)
    books.spend("openai", rows=40)
    with books.engine.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO budget_spend (budget_id, period_start, provider, spend)"
            " SELECT id, '2025-01-01', 'openai', 5 FROM budgets WHERE name = 'past and over'"
        )
    ledger.roll()
    with serving(database, budgets=most) as scrape:
        found = scrape()
    names = {dict(labels)["budget"] for labels in found.labels("spendbeat_budget_used_dollars")}
    assert sorted(names) == shown
    assert found.value("spendbeat_budgets_left_out") == 5 - most
    assert found.value("spendbeat_budgets") == 5


def test_alerts_are_counted_by_severity_and_state(
    books: Books, scrape: Callable[[], Scrape]
) -> None:
    """Each pair is there as zero; what was resolved long ago does not add up for ever."""
    name = "spendbeat_alerts"
    assert scrape().value(name) == 0
    assert len(scrape().labels(name)) == 3 * 5
    budgets.add("shop", thresholds=["10%,info", "20%", "30%", "100%,critical"])
    now = datetime.now(UTC)
    alerts.spend(50, now)
    info, warning, other = alerts.told(now)
    with transaction() as session:
        states.acknowledge(session, warning.id, by="ada", note="", now=now)
        for alert in (info, other):
            states.resolve(session, alert.id, by="ada", note="", now=now)
    found = scrape()
    assert found.value(name, severity="warning", state="acknowledged") == 1
    assert found.value(name, severity="warning", state="resolved") == 1
    assert found.value(name, severity="info", state="resolved") == 1
    assert found.value(name) == 3
    with books.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE budget_alerts SET state_at = now() - INTERVAL '2 days'")
    found = scrape()
    assert found.value(name, state="acknowledged") == 1
    assert found.value(name, state="resolved") == 0


def test_batches_that_no_check_has_looked_at_have_an_age(
    books: Books, scrape: Callable[[], Scrape]
) -> None:
    name = "spendbeat_budget_check_lag_seconds"
    budgets.add("shop")
    assert scrape().value(name) == 0
    now = datetime.now(UTC)
    alerts.spend(1, now)
    with books.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE budget_news SET at = at - INTERVAL '1 hour'")
    lag = scrape().value(name)
    assert lag is not None
    assert lag > 3600
    alerts.check(now)
    assert scrape().value(name) == 0


@pytest.mark.parametrize(
    "late",
    [
        "UPDATE budget_versions SET changed_at = changed_at - INTERVAL '2 minutes'",
        "UPDATE budget_checks SET due_at = now() - INTERVAL '2 minutes'",
    ],
    ids=["changed", "its time has come"],
)
def test_budgets_that_wait_for_a_check_for_too_long_are_counted(
    books: Books, scrape: Callable[[], Scrape], late: str
) -> None:
    """Not those that wait for the next look, nor those that are to tell nobody."""
    name = "spendbeat_budget_checks_overdue"
    now = datetime.now(UTC)
    for budget in ("shop", "other", "paused"):
        budgets.add(budget)
    if "budget_checks" in late:
        alerts.check(now)
    budgets.set_state("paused", "paused")
    assert scrape().value(name) == 0
    with books.engine.begin() as connection:
        connection.exec_driver_sql(late)
    assert scrape().value(name) == 2
    alerts.check(now)
    assert scrape().value(name) == 0
