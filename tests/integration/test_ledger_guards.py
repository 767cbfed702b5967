"""Nothing changes or removes a ledger row, whoever asks and wherever they aim."""

from decimal import Decimal

import pytest
from sqlalchemy.exc import DBAPIError

from tests.support import ledger
from worker.database import transaction

CHANGES = [
    "UPDATE {table} SET cost_usd = 0",
    "DELETE FROM {table}",
    "DELETE FROM {table} WHERE false",
    "TRUNCATE {table}",
]


def a_row() -> str:
    """Store a row and name the partition that it is in."""
    with transaction() as session:
        ledger.add(session)
    return str(ledger.scalar("SELECT tableoid::regclass::text FROM cost_logs"))


@pytest.mark.parametrize("role", ["spendbeat_writer", "spendbeat_owner", None])
@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("target", ["parent", "partition"])
def test_a_change_of_the_ledger_is_refused(
    database: str, role: str | None, change: str, target: str
) -> None:
    """By the workers' role, the owner and the superuser; in the parent and in each partition."""
    table = a_row() if target == "partition" else a_row() and "cost_logs"
    with pytest.raises(DBAPIError, match=r"append-only|permission denied"):
        ledger.run_as(role, change.format(table=table))
    assert ledger.scalar("SELECT sum(cost_usd) FROM cost_logs") == Decimal(1)


def test_replica_mode_does_not_open_the_guard(database: str) -> None:
    table = a_row()
    with transaction(None) as session:
        ledger.execute(session, "SET LOCAL session_replication_role = replica")
        with pytest.raises(DBAPIError, match="append-only"):
            ledger.execute(session, f"TRUNCATE {table}")
        session.rollback()


def test_a_month_made_later_is_guarded_too(database: str) -> None:
    ledger.run_as("spendbeat_writer", "SELECT spendbeat_ensure_month('2019-05-05Z')")
    with pytest.raises(DBAPIError, match="append-only"):
        ledger.run_as("spendbeat_owner", "TRUNCATE cost_logs_y2019m05")


def test_identity_is_append_only(database: str) -> None:
    with pytest.raises(DBAPIError, match="append-only"):
        ledger.run_as("spendbeat_owner", "DELETE FROM request_keys")


def test_the_writer_cannot_say_which_transaction_wrote_a_row(database: str) -> None:
    """A txid of one's own choice would hide the row from the rollups."""
    with pytest.raises(DBAPIError, match="permission denied"):
        ledger.run_as(
            "spendbeat_writer",
            "INSERT INTO cost_logs (txid, provider, model) VALUES (1, 'openai', 'gpt-4o')",
        )


def test_a_row_inserted_by_hand_is_counted(database: str) -> None:
    """Provider, model and cost are enough; all else has a default."""
    ledger.run_as(
        "spendbeat_writer",
        "INSERT INTO cost_logs (provider, model, cost_usd) VALUES ('openai', 'gpt-4o', 0.125)",
    )
    assert ledger.roll() == 1
    assert ledger.summary() == {("openai", "gpt-4o"): Decimal("0.125")}


def test_no_row_can_contradict_itself(database: str) -> None:
    """A row counts one request unless it adjusts another, whatever else it says."""
    with transaction() as session:
        ledger.add(session, unpriced=-1)
        ledger.add(session, adjusts_id=7, cost_usd=None)
    ledger.roll()
    assert ledger.scalar("SELECT requests || '/' || unpriced FROM spend_summary") == "1/0"
    assert ledger.verify().agrees


def test_one_adjustment_per_row_and_price_version(database: str) -> None:
    insert = (
        "INSERT INTO cost_logs (provider, model, cost_usd, adjusts_id, unpriced,"
        " price_version_id, started_at) VALUES ('openai', 'gpt-4o', 1, 7, -1, 3, '2026-11-01Z')"
    )
    ledger.run_as("spendbeat_writer", "SELECT spendbeat_ensure_month('2026-11-01Z')")
    ledger.run_as("spendbeat_writer", insert)
    with pytest.raises(DBAPIError, match="unique constraint"):
        ledger.run_as("spendbeat_writer", insert)


def test_token_usage_shows_a_request_with_its_net_cost(database: str) -> None:
    """An unpriced request settled later, and one refunded, are one row each."""
    with transaction() as session:
        ledger.add(session, id=901, cost_usd=None, input_tokens=10)
        ledger.add(session, id=902, cost_usd=Decimal(3))
        ledger.add(session, id=903, cost_usd=None)
        settle = {"unpriced": -1, "cost_usd": Decimal(2), "price_version_id": 5}
        ledger.add(session, adjusts_id=901, **settle)
        refund = {"cost_usd": Decimal(-1), "price_version_id": 5}
        ledger.add(session, adjusts_id=902, **refund)
    with transaction("spendbeat_reader") as session:
        rows = ledger.execute(
            session, "SELECT id, cost_usd, input_tokens, adjustments FROM token_usage ORDER BY id"
        ).all()
    assert rows == [(901, 2, 10, 1), (902, 2, 0, 1), (903, None, 0, 0)]
    ledger.roll()
    assert ledger.scalar("SELECT unpriced FROM spend_summary") == 1
    assert ledger.verify().agrees
