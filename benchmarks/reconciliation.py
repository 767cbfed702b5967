"""What one reconciliation of guards with Postgres costs.

./run bench reconciliation --budgets 10,1000,10000 --pending 0,1000,20000
"""

import argparse
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal

from redis import Redis
from rich.console import Console
from rich.table import Table
from spendbeat_gateway.guard import keys
from sqlalchemy import text

from benchmarks.stack import database, server
from spend.budgets import reading, store
from spend.budgets.store import Change
from spend.capture.identity import key_of_id
from tests.support import ledger
from tests.support.valkey import valkey
from worker import guard
from worker.database import transaction

# So many rows of the ledger stand around those that settlements wait for.
_AROUND = 200_000
_FILL = text(
    "INSERT INTO cost_logs (provider, model, cost_usd, started_at)"
    " SELECT 'openai', 'gpt-4o', 0.01, now() - interval '1 hour' * random()"
    " FROM generate_series(1, :rows)"
)
_BOOK = text(
    "WITH row AS (INSERT INTO cost_logs (provider, model, cost_usd) SELECT 'openai', 'gpt-4o', 0.01"
    " FROM generate_series(1, :rows) RETURNING id, started_at),"
    " numbered AS (SELECT id, started_at, row_number() OVER (ORDER BY id) AS n FROM row)"
    " INSERT INTO request_keys (key, row_id, digest, started_at)"
    " SELECT (CAST(:keys AS uuid[]))[n], id, 0, started_at FROM numbered"
)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--budgets", default="10,1000,10000")
    parser.add_argument("--pending", default="0,1000,20000")
    options = parser.parse_args(argv)
    table = Table("budgets", "settlements", "none counted", "all counted", "again", box=None)
    for budgets in map(int, options.budgets.split(",")):
        for pending in map(int, options.pending.split(",")):
            with server() as url, database(url), valkey() as redis:
                table.add_row(
                    f"{budgets:,}", f"{pending:,}", *_measure(redis.client, budgets, pending)
                )
    Console().print(table)
    return 0


def _measure(redis: Redis, budgets: int, pending: int) -> list[str]:
    said = [
        {"name": f"b{n}", "scope": {"project": f"p{n}"}, "hard_limit": 10, "enforce": "block"}
        for n in range(1, budgets)
    ]
    with transaction() as session:
        every = [{"name": "all", "hard_limit": 10**6, "enforce": "block"}, *said]
        store.save(session, [Change("added", None, reading.read(one)) for one in every], "bench")
    ledger.run_as("spendbeat_writer", str(_FILL), rows=_AROUND)
    ledger.roll()
    _reconcile(redis)
    ids = [f"guard:{n}" for n in range(pending)]
    if ids:
        book = {"rows": pending, "keys": "{" + ",".join(key_of_id(id_).hex() for id_ in ids) + "}"}
        with transaction() as session:
            session.execute(_BOOK, book)
        name = next(
            key
            for key in redis.scan_iter(keys.counter("*"))
            if redis.hget(key, "limit") == str(10**15)
        )
        settled = keys.settled(str(name).removeprefix(keys.counter("")))
        redis.hset(settled, mapping=dict.fromkeys(ids, "10000000"))
        redis.hincrby(name, "room", -pending * 10_000_000)
    waiting = _reconcile(redis)
    ledger.roll()
    return [
        f"{seconds * 1000:,.0f} ms" for seconds in (waiting, _reconcile(redis), _reconcile(redis))
    ]


def _reconcile(redis: Redis) -> float:
    started = time.perf_counter()
    with transaction() as session:
        done = guard.reconcile(session, redis, datetime.now(UTC))
    assert done.outcome == "read"
    assert done.drift == Decimal(0) or done.reading == 1 or done.pending == 0, done
    return time.perf_counter() - started
