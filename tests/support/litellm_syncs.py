"""A sync in this process, and what the ledger says after it."""

from decimal import Decimal
from typing import Any

from sqlalchemy import text

from spend.capture.desk import Desk
from spend.litellm.source import Source
from spend.litellm.sync import Options, SyncResult, sync
from tests.support.litellm_tables import LitellmTables
from worker.database import engine, transaction


def synced(litellm: LitellmTables, desk: Desk, **options: Any) -> SyncResult:
    """One run to the end."""
    source = Source(litellm.url)
    try:
        return sync(engine(), desk, source, Options(**options))
    finally:
        source.close()


def net() -> list[tuple[str, Decimal | None, int]]:
    """Every request with its net cost and how many corrections it had."""
    with transaction("spendbeat_reader") as session:
        rows = session.execute(
            text("SELECT request_id, cost_usd, adjustments FROM token_usage ORDER BY request_id")
        )
        return [(id_.split("@")[0], cost, changes) for id_, cost, changes in rows]


def conflicts() -> int:
    """How many requests were noted as being in conflict."""
    with transaction("spendbeat_reader") as session:
        return int(session.scalar(text("SELECT count(*) FROM request_conflicts")) or 0)
