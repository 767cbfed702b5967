"""A full rollup from nothing with 2 worker processes, beside three other ways to add up.

The shape is that of a published case (10 million rows, 5 providers, 25 models, 30 days; its
authors report 133.7 s on 8 cores). Each way uses two processes or sessions, in the same run, on
the same table:

- entities: that case's method, ledger entities streamed per provider through SQLAlchemy, summed in
  Python per provider and model;
- columns: the same, but only the two columns that are needed;
- cursor: the same two columns from a bare psycopg2 server-side cursor;
- ctas: CREATE TABLE AS with our grain and our sums by two sessions, no index, no upsert: what
  Postgres needs at the least;
- rollups: ours, from the tick to the last shard's commit, by a real Celery worker.

    ./run bench rollup --rows 10000000
    ./run bench rollup --rows 10000000 --attributions 1000
"""

import argparse
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from multiprocessing import get_context
from pathlib import Path

import psycopg2
from psycopg2.errors import DeadlockDetected
from sqlalchemy import Connection, create_engine, make_url, select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from benchmarks import memory
from benchmarks.stack import autocommit, database, fill, median, server, settle, show, timed
from models import CostLog
from spend import audit
from worker.database import transaction

PROVIDERS = [f"provider-{n}" for n in range(5)]
DERIVED = "shard_news, cursors, spend_buckets, daily_cost_summaries, spend_summary, series, ticks"
CTAS = """
CREATE TABLE ctas_{half} AS
SELECT date_bin('15 minutes', started_at, TIMESTAMPTZ '2000-01-01 00:00:00+00') AS bucket,
  provider, model, attribution_id, count(*) AS rows,
  count(*) FILTER (WHERE adjusts_id IS NULL) AS requests,
  sum(CASE WHEN adjusts_id IS NOT NULL THEN unpriced WHEN cost_usd IS NULL THEN 1 ELSE 0 END)
    AS unpriced,
  sum(input_tokens) AS input_tokens, sum(output_tokens) AS output_tokens,
  sum(cache_read_tokens) AS cache_read_tokens, sum(cache_write_tokens) AS cache_write_tokens,
  sum(cache_write_1h_tokens) AS cache_write_1h_tokens, sum(reasoning_tokens) AS reasoning_tokens,
  sum(audio_input_tokens) AS audio_input_tokens, sum(audio_output_tokens) AS audio_output_tokens,
  sum(cost_usd) AS total_cost
FROM cost_logs WHERE CAST(substr(model, 7) AS integer) {half_of} 12 GROUP BY 1, 2, 3, 4
"""


def entities(job: tuple[str, str]) -> dict[str, Decimal]:
    """Sum one provider in Python from the entities that SQLAlchemy streams."""
    url, provider = job
    sums: dict[str, Decimal] = defaultdict(Decimal)
    with Session(create_engine(url)) as session:
        found = session.scalars(
            select(CostLog).where(CostLog.provider == provider),
            execution_options={"yield_per": 10_000},
        )
        for row in found:
            sums[row.model] += row.cost_usd or 0
    return sums


def columns(job: tuple[str, str]) -> dict[str, Decimal]:
    """The same, of only two columns."""
    url, provider = job
    sums: dict[str, Decimal] = defaultdict(Decimal)
    with Session(create_engine(url)) as session:
        found = session.execute(
            select(CostLog.model, CostLog.cost_usd).where(CostLog.provider == provider),
            execution_options={"yield_per": 10_000},
        )
        for model, cost in found:
            sums[model] += cost
    return sums


def cursor(job: tuple[str, str]) -> dict[str, Decimal]:
    """The same from a bare server-side cursor."""
    url, provider = job
    sums: dict[str, Decimal] = defaultdict(Decimal)
    dsn = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg2.connect(dsn) as connection, connection.cursor("rows") as rows:
        rows.itersize = 10_000
        rows.execute("SELECT model, cost_usd FROM cost_logs WHERE provider = %s", (provider,))
        for model, cost in rows:
            sums[model] += cost
    return sums


def create_table(job: tuple[str, str]) -> None:
    """Half of the rollup as CREATE TABLE AS."""
    url, half = job
    with autocommit(url) as connection:
        comparison = {"low": "<", "high": ">="}[half]
        connection.execute(text(CTAS.format(half=half, half_of=comparison)))


def ready(_: int) -> None:
    """Makes a process import what the jobs need, before they are timed."""
    time.sleep(0.2)


def by_two(work: Callable[..., object], jobs: Sequence[tuple[str, str]]) -> float:
    """Seconds that two processes, already started, need for all jobs."""
    with get_context("spawn").Pool(2) as pool:
        pool.map(ready, range(4), chunksize=1)
        return timed(lambda: pool.map(work, jobs, chunksize=1))


@contextmanager
def celery(redis_url: str) -> Iterator[list[int]]:
    """Worker (two processes), beat and Flower; yields their pids."""
    environment = {
        **os.environ,
        "REDIS_URL": redis_url,
        "FLOWER_BASIC_AUTH": f"bench:{secrets.token_hex()}",
        "FLOWER_ADDRESS": "127.0.0.1",
        "FLOWER_PORT": "0",
        "PYTHONWARNINGS": "ignore",
    }
    running = [
        subprocess.Popen(
            [sys.executable, "-m", "celery", "--quiet", "-A", "worker", *arguments],
            env=environment,
            stdout=subprocess.DEVNULL,
        )
        for arguments in (
            ("worker", "-c", "2", "-E", "--loglevel", "warning"),
            ("beat", "--pidfile=", "--loglevel", "warning"),
            ("flower",),
        )
    ]
    try:
        yield [process.pid for process in running]
    finally:
        for process in running:
            process.send_signal(signal.SIGTERM)
        for process in running:
            process.wait(60)


def wait_until_ready(redis_url: str) -> None:
    from worker.celery import app

    os.environ["REDIS_URL"] = redis_url
    app.conf.broker_url = redis_url
    end = time.monotonic() + 60
    while not app.control.ping(timeout=0.5):
        if time.monotonic() > end:
            raise SystemExit("The worker did not start.")


def empty(connection: Connection) -> None:
    """As if nothing had been counted. Tasks of beat go on, and hold some of the tables at times."""
    for _ in range(20):
        try:
            connection.execute(text(f"TRUNCATE {DERIVED}"))
        except OperationalError as error:
            if not isinstance(error.orig, DeadlockDetected):
                raise
        else:
            return
    raise SystemExit("The tables of totals are in use without a pause.")


def roll_up(url: str) -> float:
    """Seconds from sending the tick until every shard is current."""
    from worker.celery import app

    done = text(
        "SELECT (SELECT sum(rows) FROM shard_news) = (SELECT sum(rows_total) FROM cursors)"
        " AND (SELECT count(*) FROM cursors WHERE cut_id IS NOT NULL) = 0"
    )
    with autocommit(url) as connection:
        empty(connection)
        start = time.perf_counter()
        app.send_task("tasks.ticks.take")
        while not connection.scalar(done):
            time.sleep(0.02)
        return time.perf_counter() - start


class Watch(threading.Thread):
    """The largest memory of worker, beat and Flower while something runs, in MB of PSS."""

    def __init__(self, pids: list[int]) -> None:
        super().__init__(daemon=True)
        self._pids = pids
        self.highest = 0.0
        self._done = threading.Event()

    def run(self) -> None:
        while not self._done.wait(0.5):
            now = sum(memory.measure(pid)["all"] for pid in self._pids)
            self.highest = max(self.highest, now)

    def stop(self) -> float:
        self._done.set()
        self.join()
        return self.highest


def contenders(url: str, repeat: int, *, streaming: bool) -> dict[str, list[float]]:
    """Seconds of the other ways."""
    jobs = [(url, provider) for provider in PROVIDERS]
    found: dict[str, list[float]] = {}
    if streaming:
        for way in (entities, columns, cursor):
            found[way.__name__] = [by_two(way, jobs)]
    found["ctas"] = []
    for _ in range(repeat):
        with autocommit(url) as connection:
            connection.execute(text("DROP TABLE IF EXISTS ctas_low, ctas_high"))
        found["ctas"].append(by_two(create_table, [(url, "low"), (url, "high")]))
    with autocommit(url) as connection:
        connection.execute(text("DROP TABLE ctas_low, ctas_high"))
    return found


def sizes(url: str) -> str:
    """Bytes of the ledger and of the buckets, and buckets per ledger row."""
    with autocommit(url) as connection:
        ledger, buckets, count, rows = connection.execute(
            text(
                "SELECT (SELECT sum(pg_total_relation_size(relid))"
                " FROM pg_partition_tree('cost_logs')),"
                " pg_total_relation_size('spend_buckets'),"
                " (SELECT count(*) FROM spend_buckets), (SELECT count(*) FROM cost_logs)"
            )
        ).one()
    return (
        f"Ledger {ledger / 2**20:,.0f} MiB, buckets {buckets / 2**20:,.0f} MiB;"
        f" {count:,} buckets, {count / rows:.4f} per ledger row."
    )


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--attributions", type=int, default=1)
    parser.add_argument("--repeat", type=int, default=3, help="of ctas and rollups; the median")
    parser.add_argument("--only-sql", action="store_true", help="leave out what sums in Python")
    options = parser.parse_args(argv)

    from worker.embedded.redis import EmbeddedRedis

    with (
        server() as server_url,
        database(server_url) as url,
        tempfile.TemporaryDirectory(prefix="spendbeat-bench-") as folder,
    ):
        Path(folder).chmod(0o711)
        with autocommit(url) as connection:
            print(f"Filling the ledger with {options.rows:,} rows ...", flush=True)
            fill(connection, options.rows, attributions=options.attributions)
            settle(connection)
        found = contenders(url, options.repeat, streaming=not options.only_sql)
        with EmbeddedRedis(Path(folder) / "home") as redis:
            os.environ["SPENDBEAT_HOME"] = str(Path(folder) / "home")
            with celery(redis.url) as pids:
                wait_until_ready(redis.url)
                watch = Watch(pids)
                watch.start()
                found["rollups"] = [roll_up(url) for _ in range(options.repeat)]
                highest = watch.stop()
        ours = median(found["rollups"])
        show(
            f"{options.rows:,} rows, 5 providers, 25 models, 30 days,"
            f" {options.attributions:,} attributions",
            ["way", "seconds", "rows/s", "time / rollups"],
            [
                (
                    way,
                    f"{median(s):.2f}",
                    f"{options.rows / median(s):,.0f}",
                    f"{median(s) / ours:.2f}",
                )
                for way, s in found.items()
            ],
        )
        print(f"rollups / ctas = {ours / median(found['ctas']):.2f} (aim: at most 1.5)")
        if "entities" in found:
            ratio = median(found["entities"]) / ours
            print(f"entities / rollups = {ratio:.1f} (aim: at least 5)")
        print(sizes(url))
        print(
            f"Worker (2 processes), beat and Flower at their largest: {highest:.0f} MB PSS"
            " (aim: below 300)."
        )
        with transaction() as session:
            result = audit.verify(session)
        print(f"Audit: {result.rows:,} rows, {len(result.mismatches)} mismatches.")
    return 0 if result.agrees else 1


if __name__ == "__main__":
    sys.exit(main())
