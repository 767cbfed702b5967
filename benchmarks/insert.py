"""What txid, block range index and guards cost a writer, beside a plain table.

The plain table has the ledger's columns without txid, one partition's worth of nothing else: no
index, no constraint, no trigger, no partitions. CPU is that of the server's process, from its own
/proc entry, since wall time also holds the disk and the client.

    ./run bench insert
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from sqlalchemy import Connection, text

from benchmarks.stack import autocommit, database, median, server, show

COLUMNS = (
    "provider, model, started_at, attribution_id, input_tokens, output_tokens, cost_usd, request_id"
)
ROW = "('openai', 'gpt-4o', TIMESTAMPTZ '2026-10-05 10:00:00Z', 7, 1234, 567, 0.00123, 'req-{n}')"
PLAIN = """
CREATE TABLE plain (
  id bigint NOT NULL DEFAULT nextval('cost_logs_id_seq'), provider text NOT NULL,
  model text NOT NULL, started_at timestamptz NOT NULL DEFAULT now(),
  created_at timestamptz NOT NULL DEFAULT now(), attribution_id integer NOT NULL DEFAULT 0,
  price_version_id integer NOT NULL DEFAULT 0,
  input_tokens bigint NOT NULL DEFAULT 0, output_tokens bigint NOT NULL DEFAULT 0,
  cache_read_tokens bigint NOT NULL DEFAULT 0, cache_write_tokens bigint NOT NULL DEFAULT 0,
  cache_write_1h_tokens bigint NOT NULL DEFAULT 0, reasoning_tokens bigint NOT NULL DEFAULT 0,
  audio_input_tokens bigint NOT NULL DEFAULT 0, audio_output_tokens bigint NOT NULL DEFAULT 0,
  unpriced smallint NOT NULL DEFAULT 0, status text NOT NULL DEFAULT 'success',
  cost_usd numeric(28, 12), adjusts_id bigint, request_id text, trace_id text,
  session_id text, end_user text)
"""


def cpu(pid: int) -> float:
    """Seconds that a process has spent on the CPU, from its own accounting in nanoseconds."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def writer(connection: Connection, table: str, per_statement: int) -> Callable[[], None]:
    """One statement, prepared, with `per_statement` rows."""
    rows = ", ".join(ROW.format(n=n) for n in range(per_statement))
    connection.execute(
        text(f"PREPARE write_{table} AS INSERT INTO {table} ({COLUMNS}) VALUES {rows}")
    )
    return lambda: connection.execute(text(f"EXECUTE write_{table}")) and None


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=40_000, help="rows per round and table")
    parser.add_argument("--repeat", type=int, default=9, help="rounds; the median counts")
    options = parser.parse_args(argv)
    lines = []
    with server() as server_url, database(server_url) as url, autocommit(url) as connection:
        pid = int(connection.scalar(text("SELECT pg_backend_pid()")) or 0)
        connection.execute(text(PLAIN))
        connection.execute(text("SET synchronous_commit = off"))
        for per_statement in (1, 20, 1000):
            spent: dict[str, list[float]] = {"plain": [], "cost_logs": []}
            connection.execute(text("DEALLOCATE ALL"))
            statements = {t: writer(connection, t, per_statement) for t in spent}
            for _ in range(options.repeat):
                for table, write in statements.items():
                    before = cpu(pid)
                    for _statement in range(max(options.rows // per_statement, 1)):
                        write()
                    spent[table].append((cpu(pid) - before) / options.rows * 1e6)
            plain, ledger = median(spent["plain"]), median(spent["cost_logs"])
            lines.append((per_statement, f"{plain:.2f}", f"{ledger:.2f}", f"{ledger / plain:.2f}"))
    show(
        f"CPU of the server per row, microseconds, median of {options.repeat}",
        ["rows per statement", "plain", "ledger", "ledger / plain"],
        lines,
    )
    print("Aim: at most 1.25.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
