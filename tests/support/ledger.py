"""Rows in, rollups on: what most tests of the ledger need."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from spend import audit, partitions, rollups, ticks
from spend.audit import AuditResult
from worker.database import transaction


def add(session: Session, rows: Iterable[Mapping[str, Any]] | None = None, **fields: Any) -> None:
    """Insert ledger rows as a writer; fields fill what a row does not say."""
    for row in [{}] if rows is None else rows:
        values = {"provider": "openai", "model": "gpt-4o", "cost_usd": Decimal(1), **fields, **row}
        if "started_at" in values:
            partitions.ensure(session, [values["started_at"]])
        columns = ", ".join(values)
        binds = ", ".join(f":{name}" for name in values)
        session.execute(text(f"INSERT INTO cost_logs ({columns}) VALUES ({binds})"), values)


def tick() -> ticks.TickResult:
    with transaction() as session:
        return ticks.take(session)


def advance(provider: str, batch_rows: int = 1_000_000) -> rollups.RollupResult:
    with transaction() as session:
        return rollups.advance(session, provider, batch_rows)


def roll(batch_rows: int = 1_000_000) -> int:
    """Take a tick and count everything up to it; returns the ledger rows counted."""
    counted = 0
    for provider in tick().shards:
        more = True
        while more:
            result = advance(provider, batch_rows)
            counted, more = counted + result.rows, result.more
    return counted


def verify() -> AuditResult:
    with transaction() as session:
        return audit.verify(session)


def summary() -> dict[tuple[str, str], Decimal]:
    """The all-time dollars per provider and model."""
    with transaction("spendbeat_reader") as session:
        rows = session.execute(text("SELECT provider, model, total_cost FROM spend_summary"))
        return {(provider, model): cost for provider, model, cost in rows}


def scalar(sql: str, **binds: Any) -> Any:
    with transaction("spendbeat_reader") as session:
        return session.scalar(text(sql), binds)


def run_as(role: Any, sql: str, **binds: Any) -> None:
    """One statement in a transaction of its own, as a role (None: the login itself)."""
    with transaction(role) as session:
        session.execute(text(sql), binds)


def execute(session: Session, sql: str, **binds: Any) -> Any:
    return session.execute(text(sql), binds)
