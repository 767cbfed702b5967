"""How fast an import is beside COPY of the same rows.

Measures, each in a database of its own (on the server that DATABASE_URL names, if any):

- import: a CSV file of made-up traffic, read, checked, priced, identified and booked;
- copy: the rows that this made, as text, with COPY into the same two tables (cost_logs and
  request_keys) with the same indexes, one transaction, nothing else done;
- bare: COPY of the ledger rows alone into a plain table without indexes.

    ./run bench import_rate --rows 1000000
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, text

from benchmarks.stack import database, median, server, show
from spend.capture.files import opened
from spend.capture.pipeline import import_source
from spend.generate import requests
from worker.cli.generate import write_csv
from worker.database import make_engine

DAY = date(2026, 11, 2)
LEDGER = (
    "id, started_at, attribution_id, price_version_id, input_tokens, output_tokens,"
    " cache_read_tokens, cache_write_tokens, cache_write_1h_tokens, reasoning_tokens,"
    " audio_input_tokens, audio_output_tokens, provider, model, status, cost_usd, request_id,"
    " trace_id, session_id, end_user"
)
KEYS = "row_id, digest, started_at, key"


def copy(engine: Engine, statement: str, path: Path, mode: str) -> float:
    """Seconds that a COPY to or from a file takes, its commit included."""
    connection: Any = engine.raw_connection()
    began = time.perf_counter()
    with path.open(mode) as file, connection.cursor() as cursor:
        cursor.copy_expert(statement, file, size=1 << 18)
    connection.commit()
    seconds = time.perf_counter() - began
    connection.close()
    return seconds


def measure_import(url: str, source: Path, batch: int, folder: Path) -> float:
    """Seconds of one import; leaves the rows it made in the folder, for the other two."""
    engine = make_engine(url, "spendbeat_writer")
    began = time.perf_counter()
    with opened(str(source), maps={}, constants={}) as found:
        summary = import_source(engine, found.source, batch_rows=batch)
    seconds = time.perf_counter() - began
    assert summary.imported == summary.read
    copy(engine, f"COPY (SELECT {LEDGER} FROM cost_logs) TO STDOUT", folder / "ledger", "wb")
    copy(engine, f"COPY (SELECT {KEYS} FROM request_keys) TO STDOUT", folder / "keys", "wb")
    engine.dispose()
    return seconds


def measure_copy(url: str, folder: Path) -> tuple[float, float]:
    """Seconds of COPY into the ledger's two tables, and into a plain one."""
    engine = make_engine(url, "spendbeat_writer")
    both = copy(engine, f"COPY cost_logs ({LEDGER}) FROM STDIN", folder / "ledger", "rb")
    both += copy(engine, f"COPY request_keys ({KEYS}) FROM STDIN", folder / "keys", "rb")
    engine.dispose()
    owner = make_engine(url, None)
    with owner.begin() as connection:
        connection.execute(text(f"CREATE TABLE plain AS SELECT {LEDGER} FROM cost_logs LIMIT 0"))
    bare = copy(owner, f"COPY plain ({LEDGER}) FROM STDIN", folder / "ledger", "rb")
    owner.dispose()
    return both, bare


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--batch", type=int, default=25_000, help="rows per transaction")
    parser.add_argument("--rounds", type=int, default=3, help="the median counts")
    options = parser.parse_args(argv)
    times: dict[str, list[float]] = {"import": [], "copy": [], "bare": []}
    with tempfile.TemporaryDirectory() as name, server() as server_url:
        folder = Path(name)
        source = folder / "requests.csv"
        with source.open("wb") as file:
            write_csv(file, requests(options.rows, options.seed, DAY))
        for _ in range(options.rounds):
            with database(server_url) as url:
                times["import"].append(measure_import(url, source, options.batch, folder))
            with database(server_url) as url:
                both, bare = measure_copy(url, folder)
            times["copy"].append(both)
            times["bare"].append(bare)
    copied = median(times["copy"])
    show(
        f"{options.rows:,} rows, median of {options.rounds}",
        ["way", "seconds", "rows/s", "of copy"],
        [
            (
                what,
                f"{median(s):.2f}",
                f"{options.rows / median(s):,.0f}",
                f"{copied / median(s):.2f}",
            )
            for what, s in (
                ("import, end to end", times["import"]),
                ("COPY, same two tables", times["copy"]),
                ("COPY, one plain table", times["bare"]),
            )
        ],
    )
    print("Aim: an import at least at 0.50 of COPY.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
