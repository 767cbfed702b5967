"""How long questions about spend take over HTTP, from a ledger of some size.

A real `spendbeat web` with one process, one question at a time over one connection. The ledger has
a month: 1,000 mixes of who and what for (users that send much and users that send little, 37
projects, tags), of four models each; one request in 200 is unpriced, one in 100 failed. Its buckets
are about as many as they can be.

    ./run bench reports
    DATABASE_URL=... ./run bench reports --rows 20000000 --keep
    ./run bench reports --use postgresql://.../spendbeat_bench_1a2b3c4d
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any

import httpx
from sqlalchemy import Connection, text

from benchmarks.incremental import roll_up
from benchmarks.ledger import choices, made
from benchmarks.stack import autocommit, median, quantile, settle, show, timed
from spend import tokens
from spend.tenancy import Binding
from worker.database import transaction

MIXES = """
INSERT INTO attributions
  (digest, organization, project, sprint, agent, user_id, team, api_key, tags)
SELECT CAST(md5('bench' || n) AS uuid), 'org-' || n % 5,
  CASE WHEN n % 11 <> 0 THEN 'project-' || n % 37 END, '2026-S20',
  CASE WHEN n % 3 = 0 THEN 'agent-' || n % 8 END, 'user-' || n, 'team-' || n % 9, 'key-' || n % 60,
  CASE n % 4 WHEN 0 THEN ARRAY['batch', 'env\\:prod'] WHEN 1 THEN ARRAY['env\\:prod']
    WHEN 2 THEN ARRAY['env\\:staging'] ELSE '{}' END
FROM generate_series(1, 1000) AS n
"""
FILL = """
INSERT INTO cost_logs (provider, model, started_at, attribution_id, input_tokens, output_tokens,
  cache_read_tokens, cost_usd, status, request_id, trace_id, session_id, end_user)
SELECT 'provider-' || model % 5, 'model-' || model,
  TIMESTAMPTZ '2026-10-01 00\\:00\\:00+00' + n * make_interval(secs => 30 * 86400.0 / :rows),
  :first + mix, input, 10 + (n * 104729) % 900, input / 3,
  CASE WHEN n % 211 <> 0 THEN ((n * 15485863) % 1000000) / 100000000.0 END,
  CASE WHEN n % 97 = 0 THEN 'failure' ELSE 'success' END, 'chatcmpl-' || md5(CAST(n AS text)),
  'trace-' || n / 6, 'session-' || n / 40, 'cust-' || n % 4096
FROM (
  SELECT n, mix, (mix * 7 + (hashint8(n + 77) & 3)) % 25 AS model,
    100 + (n * 7919) % 4000 AS input
  FROM (
    SELECT n,
      CAST(floor(999 * power((hashint8(n) + 2147483648) / 4294967296.0, 2)) AS integer) AS mix
    FROM generate_series(CAST(:skip AS bigint), CAST(:skip AS bigint) + :part - 1) AS n
  ) AS drawn
) AS made
"""
_ACTIVITY = "start_date=2026-10-01&end_date=2026-10-30"
_DAY = "from=2026-10-20&to=2026-10-21"
QUESTIONS = (
    ("aggregate", "/aggregate"),
    ("spend by day,project", "/spend?by=day,project"),
    ("spend by user_id", "/spend?by=user_id"),
    ("spend by tag", "/spend?by=tag"),
    ("spend by day, one project", "/spend?by=day&project=project-3"),
    ("spend by model, odd hours", "/spend?by=model&from=2026-10-03T07:15&to=2026-10-20T05:30"),
    ("spend of one day by user_id", f"/spend?by=user_id&{_DAY}"),
    ("a month of days in Kathmandu", "/spend?by=day&zone=Asia/Kathmandu"),
    ("the same by project", "/spend?by=day,project&zone=Asia/Kathmandu"),
    ("requests, the newest", "/requests?from=2026-10-01"),
    ("requests, two weeks deep", "/requests?from=2026-10-01&to=2026-10-16"),
    ("requests of a project", "/requests?from=2026-10-01&project=project-3"),
    ("requests of a user with few", "/requests?from=2026-10-01&user_id=user-998"),
    ("requests that are unpriced", "/requests?from=2026-10-01&unpriced=true"),
    ("LiteLLM: a month of users", f"/user/daily/activity/aggregated?{_ACTIVITY}"),
    ("LiteLLM: report by key", f"/global/spend/report?group_by=api_key&{_ACTIVITY}"),
)
BOUND = (
    ("bound: aggregate", "/aggregate"),
    ("bound: spend by day,project", "/spend?by=day,project"),
    ("bound: requests, the newest", "/requests?from=2026-10-01"),
)


def _fill(connection: Connection, url: str, rows: int) -> None:
    first = connection.execute(text(MIXES + " RETURNING id")).scalars().first()
    half = -(-rows // 2)

    def one(skip: int) -> None:
        binds = {"rows": rows, "skip": skip, "part": min(half, rows - skip), "first": first}
        with autocommit(url) as own:
            own.execute(text(FILL), binds)

    # One after the other would be in the order of time; two at once are as two gateways are.
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(one, (0, half)))
    settle(connection)
    roll_up()
    connection.execute(text("VACUUM (ANALYZE)"))
    connection.execute(text("CHECKPOINT"))


@contextmanager
def web() -> Iterator[str]:
    """The address of a web process."""
    # Nothing answers there: guards and counts of requests do without it.
    nowhere = {"REDIS_URL": "redis://127.0.0.1:1/0", "SPENDBEAT_WEB_RATE": "0"}
    command = [sys.executable, "-m", "worker.cli", "web", "--port", "0"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env={**os.environ, **nowhere},
        stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        try:
            for line in process.stdout:
                if "http://" in line:
                    yield "http://" + line.partition("http://")[2].split()[0].rstrip("/.")
                    return
            raise SystemExit("The web process did not start.")
        finally:
            process.terminate()


def ask(client: httpx.Client, path: str, repeat: int) -> list[str]:
    """Median and p99 in ms, and the bytes of the answer."""
    answer = client.get(path)
    answer.raise_for_status()

    def once() -> None:
        client.get(path).raise_for_status()

    took = [timed(once) * 1000 for _ in range(repeat)]
    return [f"{median(took):.1f}", f"{quantile(took, 0.99):.1f}", f"{len(answer.content):,}"]


def deep(client: httpx.Client, pages: int) -> str:
    """Where /requests goes on after some pages."""
    path = "/requests?from=2026-10-01&limit=1000"
    following = ""
    for _ in range(pages):
        following = client.get(path + following).json()["next"]
        following = f"&after={following}"
    return path.replace("1000", "100") + following


def secret(binding: Binding | None, name: str) -> dict[str, str]:
    with transaction() as session:
        _, found = tokens.create(session, f"{name}-{os.getpid()}", ["read"], binding)
    return {"Authorization": f"Bearer {found}"}


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    choices(parser)
    parser.add_argument("--repeat", type=int, default=30)
    options = parser.parse_args(argv)
    rows: list[list[Any]] = []
    filled = partial(_fill, rows=options.rows)
    with made(options, filled) as url, web() as address:
        with autocommit(url) as connection:
            counts = connection.execute(
                text(
                    "SELECT (SELECT count(*) FROM cost_logs), (SELECT count(*) FROM spend_buckets),"
                    " (SELECT count(*) FROM series), (SELECT count(*) FROM daily_cost_summaries)"
                )
            ).one()
        everybody, own = secret(None, "bench"), secret(Binding(organization="org-3"), "bound")
        named: dict[str, Any] = {"base_url": address, "timeout": 60, "trust_env": False}
        with httpx.Client(headers=everybody, **named) as client:
            for what, path in (*QUESTIONS, ("requests, page 11", deep(client, 1))):
                rows.append([what, *ask(client, path, options.repeat)])
        with httpx.Client(headers=own, **named) as client:
            rows += [[what, *ask(client, path, options.repeat)] for what, path in BOUND]
    ledger_rows, buckets, series, days = counts
    show(
        f"{ledger_rows:,} ledger rows, {buckets:,} buckets, {series:,} series, {days:,} daily sums;"
        f" each {options.repeat} times",
        ["question", "median ms", "p99 ms", "bytes"],
        rows,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
