"""What a request costs in bytes and in processor time, for docs/operations.md.

    ./run bench sizing
    ./run bench sizing --rows 200000 --budgets 500

Made-up traffic of a month is imported and rolled up in a database of its own; then the sizes are
asked, per request. Log is what Postgres writes ahead, which backups and replicas carry. Memory of
Redis is asked of one of its own, with budgets that are enforced and with holds. Times are of the
processor, so that a busy machine changes them little.
"""

import argparse
import resource
import sys
import tempfile
from collections.abc import Callable, Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

import psutil
from redis import Redis
from spendbeat_gateway.guard import Guard
from sqlalchemy import Connection, text

from benchmarks.guard import publish
from benchmarks.incremental import roll_up
from benchmarks.stack import autocommit, database, server, show
from spend.capture.files import opened
from spend.capture.pipeline import import_source
from spend.generate import requests
from tests.support.valkey import valkey
from worker.cli.generate import write_csv
from worker.database import make_engine

DAY = date(2026, 11, 2)
_SIZES = text(
    """
SELECT kind, sum(heap) AS heap, sum(indexes) AS indexes, sum(rows) AS rows FROM (
  SELECT CASE WHEN starts_with(relname, 'cost_logs') THEN 'cost_logs' ELSE relname END AS kind,
    pg_table_size(oid) AS heap, pg_indexes_size(oid) AS indexes, reltuples AS rows
  FROM pg_class
  WHERE relkind = 'r' AND reltuples > 0 AND relnamespace = CAST('public' AS regnamespace)
) AS each
GROUP BY 1 HAVING sum(heap + indexes) > 1000000 ORDER BY sum(heap + indexes) DESC
"""
)
_WAL = text("SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')")


class Cost(NamedTuple):
    """Seconds of the client's and of the server's processor. log: bytes written ahead."""

    client: float
    server: float
    log: float


def cost(connection: Connection, work: Callable[[], object]) -> Cost:
    log, server, client = connection.scalar(_WAL), _server(connection), _client()
    work()
    after = connection.scalar(_WAL)
    return Cost(_client() - client, _server(connection) - server, float(after) - float(log))


def _client() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _server(connection: Connection) -> float:
    """Of Postgres with all its processes, those that have ended included; it runs here."""
    told = connection.scalar(text("SELECT pg_read_file('postmaster.pid')"))
    postmaster = psutil.Process(int(str(told).partition("\n")[0]))
    ended = postmaster.cpu_times()
    times = [process.cpu_times() for process in postmaster.children()]
    return ended.children_user + ended.children_system + sum(t.user + t.system for t in times)


def measure(rows: int, seed: int, folder: Path) -> None:
    source = folder / "requests.csv"
    with source.open("wb") as file:
        write_csv(file, requests(rows, seed, DAY))
    with server() as server_url, database(server_url) as url, autocommit(url) as connection:
        engine = make_engine(url, "spendbeat_writer")

        def take() -> None:
            with opened(str(source), maps={}, constants={}) as found:
                summary = import_source(engine, found.source)
            assert summary.imported == rows

        imported, rolled = cost(connection, take), cost(connection, roll_up)
        connection.execute(text("VACUUM (ANALYZE)"))
        sizes = connection.execute(_SIZES).all()
        engine.dispose()
    show(
        f"Bytes of {rows:,} requests",
        ["table", "rows", "heap per request", "indexes per request"],
        [
            (s.kind, f"{s.rows:,.0f}", f"{s.heap / rows:.0f}", f"{s.indexes / rows:.0f}")
            for s in sizes
        ],
    )
    total = sum(float(s.heap + s.indexes) for s in sizes)
    print(f"In all {total / rows:,.0f} bytes per request.")
    for name, found in (("import", imported), ("rollup", rolled)):
        print(
            f"{name}, per million requests: {found.client / rows * 1e6:,.1f} s of the client's"
            f" processor, {found.server / rows * 1e6:,.1f} s of the server's,"
            f" {found.log / rows:,.0f} MB of log"
        )


def memory(budgets: int, holds: int) -> None:
    with valkey() as found:
        client = Redis.from_url(found.url)
        publish(client, 1)
        at_rest = _used(client)
        publish(client, budgets)
        with_budgets = _used(client)
        publish(client, 1)
        before = _used(client)
        guard = Guard(found.url)
        for _ in range(holds):
            guard.reserve({"project": "shop"}, Decimal("0.0001"), provider="openai", model="gpt-4o")
        held = _used(client)
    print(
        f"Redis: {(with_budgets - at_rest) / budgets:,.0f} bytes per enforced budget,"
        f" {(held - before) / holds:,.0f} per open hold; {at_rest / 2**20:.1f} MiB when empty"
    )


def _used(client: "Redis") -> int:
    return int(client.info("memory")["used_memory"])  # type: ignore[index]  # redis' own union


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--budgets", type=int, default=2_000)
    parser.add_argument("--holds", type=int, default=5_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o711)  # the server runs as nobody
        memory(options.budgets, options.holds)
        measure(options.rows, options.seed, Path(name))
    return 0


if __name__ == "__main__":
    sys.exit(main())
