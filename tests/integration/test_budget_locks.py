"""An edit of budgets and a check of them wait for each other in one order."""

from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import text

from spend.budgets import files
from spend.sql import query
from tests.support import budgets, waiting
from worker.database import transaction


def test_a_file_that_edits_and_pauses_locks_budgets_as_a_check_does(database: str) -> None:
    low, high = budgets.add("low").id, budgets.add("high").id
    source = "budgets: [{name: low, hard_limit: 100, state: paused}, {name: high, hard_limit: 200}]"

    def apply() -> int:
        with transaction() as session:
            return len(files.apply(session, files.parse(source), "test").changes)

    def waits() -> bool:
        with transaction() as session:
            found = text(
                "SELECT count(*) FROM pg_locks WHERE NOT granted AND pid IN"
                " (SELECT pid FROM pg_stat_activity WHERE datname = current_database())"
            )
            return bool(session.scalar(found))

    with ThreadPoolExecutor(1) as pool:
        with transaction() as check:
            check.execute(query("alerts", "hold"), {"ids": [low]})
            applied = pool.submit(apply)
            waiting.wait_for(waits, "the file to wait for the check", 10)
            check.execute(query("alerts", "hold"), {"ids": [high]})
        assert applied.result() == 2
