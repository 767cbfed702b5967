"""The audit says 'difference 0' only when every figure agrees, and names each that does not."""

from decimal import Decimal

import pytest

from spend import audit
from tests.support import ledger
from worker.database import engine, transaction

FIGURES = ["requests", "unpriced", "input_tokens", "audio_output_tokens", "total_cost"]
TABLES = {
    "spend_buckets": "buckets",
    "daily_cost_summaries": "days",
    "spend_summary": "all-time",
}


def some_rows() -> None:
    with transaction() as session:
        ledger.add(session, input_tokens=3)
        ledger.add(session, provider="other", cost_usd=None)
    ledger.roll()


@pytest.mark.parametrize("figure", FIGURES)
@pytest.mark.parametrize("table", TABLES)
def test_a_changed_figure_is_found_and_named(database: str, table: str, figure: str) -> None:
    some_rows()
    where = "ctid = (SELECT min(ctid) FROM " + table + ")"
    ledger.run_as("spendbeat_writer", f"UPDATE {table} SET {figure} = {figure} + 1 WHERE {where}")
    result = ledger.verify()
    assert [(m.table, m.measure, m.found - m.expected) for m in result.mismatches] == [
        (TABLES[table], figure, 1)
    ]
    assert result.difference == (1 if figure == "total_cost" else 0)


@pytest.mark.parametrize("table", TABLES)
def test_a_row_that_is_missing_or_too_many_is_found(database: str, table: str) -> None:
    some_rows()
    ledger.run_as("spendbeat_writer", f"DELETE FROM {table}")
    assert {m.table for m in ledger.verify().mismatches} == {TABLES[table]}


def test_errors_that_cancel_out_between_models_are_found(database: str) -> None:
    some_rows()
    ledger.run_as(
        "spendbeat_writer",
        "UPDATE spend_summary SET requests = CASE provider WHEN 'other' THEN 0 ELSE 2 END",
    )
    assert len(ledger.verify().mismatches) == 2


def test_it_agrees_while_rows_wait_to_be_counted_or_to_be_committed(database: str) -> None:
    some_rows()
    with engine().connect() as connection, transaction() as session:
        ledger.add(session)
        ledger.execute(connection, "INSERT INTO cost_logs (provider, model) VALUES ('a', 'b')")
        session.commit()
        ledger.tick()
        result = ledger.verify()
    assert (result.agrees, result.rows) == (True, 2)


def test_it_reports_what_it_compared(database: str) -> None:
    some_rows()
    result = ledger.verify()
    assert (result.rows, result.shards, result.unpriced) == (2, 2, 1)
    assert result.total_cost == Decimal(1)
    with transaction() as session:
        audit.record(session, result)
    assert ledger.scalar("SELECT kind || rows || difference::int || mismatches FROM audits") == (
        "verify20[]"
    )
