"""Every named query is valid against the migrated schema, and says what it is for."""

from importlib.resources import files

from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from spend.sql import queries, query, subjects
from worker.database import transaction

# Locks, switches and copies have no plan; they are run by the tests of what they are part of.
UTILITY = ("LOCK ", "ALTER ", "TRUNCATE ", "COPY ", "CREATE ")
VALUES: dict[str, object] = {
    "at": "2026-11-01Z",
    "body": "{}",
    "snapshot": "1:1:",
    "ended": [],
    "fields": [],
    "mixes": "[]",
    "digests": [],
    "names": [],
    "prefix": "adopted:",
    "values": [],
    "added": [],
    "times": [],
    "examples": [],
    "counts": "[]",
    "said": "[]",
    "bodies": [],
    "booked": [],
    "refused": [],
    "reasons": [],
    "conflicts": "[]",
    "ids": "{}",
    "now": "2026-11-01Z",
    "versions": [],
    "undo_versions": [],
    "buckets": [],
    "series": [],
    "request_counts": [],
    "unpriced_counts": [],
    "prices": "00000000-0000-0000-0000-000000000000",
    "known_at": "2026-11-01Z",
    "model": "gpt-4o",
    "keys": [],
    "hashes": [],
    "oldest": "2026-11-01Z",
    "mine": "litellm-daily:here:",
    "lows": "{}",
    "highs": "{}",
    "firsts": "{}",
    "lasts": "{}",
    "provider": "openai",
    "kind": "verify",
    "mismatches": "[]",
    "zone": "UTC",
    "month": "2026-11-01",
    "start": "2026-11-01Z",
    "stop": "2026-12-01Z",
    "starts": [],
    "begins": [],
    "finishes": [],
    "states": [],
    "severities": [],
    "from_states": [],
    "period_start": "2026-11-01",
    "basis": "actual",
    "severity": "info",
    "resolution": None,
    "due_at": None,
    "forecast": None,
    "forecast_before": "2026-11-01Z",
    "contributors": "{}",
    "together": [],
    "escalate_to": [],
    "before": None,
    "since": "2026-11-01Z",
    "until": "2026-12-01Z",
    "budget_ids": [],
    "requests": "{}",
    "txids": "{}",
    "providers": [],
    "first": "2026-11-01Z",
    "last": "2026-11-01Z",
}


def test_every_named_query_can_be_planned(database: str) -> None:
    failures = {}
    planned = 0
    with transaction("spendbeat_owner") as session:
        session.execute(query("capture", "create_staging"))
        for subject in subjects():
            for name, sql in queries(subject).items():
                if sql.startswith(UTILITY):
                    continue
                statement = text("EXPLAIN " + sql.replace("{part}", "cost_logs"))
                binds = {bind: VALUES.get(bind, 1) for bind in statement._bindparams}
                savepoint = session.begin_nested()
                try:
                    session.execute(statement, binds)
                    planned += 1
                except DBAPIError as error:
                    failures[subject, name] = str(error.orig)
                savepoint.rollback()
    assert failures == {}
    assert planned > 40


def test_every_query_says_what_it_is_for() -> None:
    for subject in subjects():
        source = files("spend.sql").joinpath(f"{subject}.sql").read_text(encoding="utf-8")
        for chunk in source.split("-- name: ")[1:]:
            name, purpose = chunk.splitlines()[:2]
            assert purpose.startswith("-- "), f"{subject}.{name} has no purpose line"
