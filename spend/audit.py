"""The proof: the ledger and everything derived from it, compared to the last digit."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any

from sqlalchemy.orm import Session

from models import MEASURES
from spend.budgets import sums
from spend.sql import query

# Shared by audits, exclusive to sealing.
LOCK = 0x5BEA70004

Totals = Mapping[tuple[str, str], Mapping[str, Any]]


@dataclass(frozen=True)
class Mismatch:
    """One figure that is not what the ledger says it should be.

    Of a budget, model is which one and which of its periods; what is expected are its buckets.
    """

    table: str
    provider: str
    model: str
    measure: str
    expected: Decimal
    found: Decimal


@dataclass(frozen=True)
class AuditResult:
    """rows: ledger rows compared. difference: the largest difference in dollars of any figure.

    shards: providers compared. total_cost: dollars in the ledger as far as it is counted.
    budgets: how many were compared with their buckets, in every period.
    """

    rows: int
    difference: Decimal
    mismatches: tuple[Mismatch, ...]
    shards: int
    total_cost: Decimal
    unpriced: int
    budgets: int

    @property
    def agrees(self) -> bool:
        return not self.mismatches


def verify(session: Session, provider: str | None = None) -> AuditResult:
    """Compare every derived table with the ledger, of one shard or of all; reads the ledger.

    Exact at any moment: what writers add meanwhile lies after the shards' ticks.
    """
    session.execute(query("audit", "lock"), {"lock": LOCK})
    tables: dict[str, dict[tuple[str, str], Any]] = {
        name: {} for name in ("ledger", "buckets", "days", "all-time")
    }
    found = session.execute(query("audit", "totals"), {"provider": provider})
    for row in found.mappings():
        tables[row["source"]][row["provider"], row["model"]] = row
    ledger = tables.pop("ledger")
    mismatches = (
        *(m for name, table in tables.items() for m in compare(name, ledger, table)),
        *(m for wrong in sums.wrong(session, provider) for m in _of_budget(wrong)),
    )
    return AuditResult(
        rows=int(sum(r["ledger_rows"] for r in ledger.values())),
        difference=max((_dollars(m) for m in mismatches), default=Decimal(0)),
        mismatches=mismatches,
        shards=len({name for name, _ in ledger}),
        total_cost=sum((r["total_cost"] for r in ledger.values()), Decimal(0)),
        unpriced=int(sum(r["unpriced"] for r in ledger.values())),
        budgets=sums.count(session),
    )


def compare(table: str, expected: Totals, found: Totals) -> list[Mismatch]:
    """Every measure of every provider and model that differs; a missing row is all zeros."""
    zeros = dict.fromkeys(MEASURES, 0)
    return [
        Mismatch(table, *key, measure, Decimal(want[measure]), Decimal(have[measure]))
        for key in sorted(expected.keys() | found.keys())
        for want, have in [(expected.get(key, zeros), found.get(key, zeros))]
        for measure in MEASURES
        if want[measure] != have[measure]
    ]


def _of_budget(wrong: sums.Wrong) -> list[Mismatch]:
    where = f"budget {wrong.budget_id}, {wrong.period_start}"
    return [
        Mismatch("budgets", wrong.provider, where, measure, expected, wrong.found[measure])
        for measure, expected in wrong.expected.items()
        if expected != wrong.found[measure]
    ]


def _dollars(mismatch: Mismatch) -> Decimal:
    if mismatch.measure not in {"total_cost", "spend"}:
        return Decimal(0)
    return abs(mismatch.expected - mismatch.found)


def record(session: Session, result: AuditResult, kind: str = "verify") -> None:
    """Keep the result in `audits`, where the exporter finds it; kind is verify or rebuild."""
    mismatches = [{k: str(v) for k, v in asdict(m).items()} for m in result.mismatches]
    session.execute(
        query("audit", "record"),
        {
            "kind": kind,
            "rows": result.rows,
            "difference": result.difference,
            "mismatches": json.dumps(mismatches),
        },
    )
