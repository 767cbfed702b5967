"""The long storm: writers out of order, workers killed, every message twice, for minutes.

    ./run storm --minutes 10
    ./run storm guard --help        (callers at one limit, killed)
    ./run storm guard-flush --help  (the guard's Redis loses everything)
    ./run storm gateway --help      (callers killed, the database away)
    ./run storm delivery --help     (receivers that fail, workers killed)
    ./run storm alerts --help       (the whole way from rows to webhooks, all of it killed)
    ./run storm api --help          (every route, asked in every way, with every kind of token)
    ./run storm hosts --help        (several hosts: one is cut off, comes back, and is lost)

Prints what was committed and what each way of counting made of it; exit code 1 if our totals are
not exactly what was committed, or if the naive ways were not caught (then nothing was proved).
"""

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module

from benchmarks.stack import database, server
from tests.support import ledger
from tests.support.storm import Outcome, storm

OTHERS = ("alerts", "api", "delivery", "gateway", "guard", "guard-flush", "hosts")


def report(outcome: Outcome) -> bool:
    """Print the outcome; whether ours is exact and the naive ways are not."""
    committed = outcome.committed
    print(f"{committed.rows:,} rows committed, ${committed.total}; {outcome.kills} workers killed")
    ours = sum(ledger.summary().values())
    result = ledger.verify()
    for name, found in (
        ("rollups", ours),
        ("id > max(id) seen", outcome.by_id),
        ("created_at > last run", outcome.by_arrival),
    ):
        lost = (committed.total - found) / committed.total * 100
        print(f"  {name:22} ${found:<22} {lost:6.2f} % lost")
    print(f"Audit: {result.rows:,} rows, {len(result.mismatches)} mismatches.")
    exact = ledger.summary() == dict(committed.dollars) and result.agrees
    caught = committed.total not in (outcome.by_id, outcome.by_arrival)
    print("Exact." if exact else "NOT EXACT.", "" if caught else "The naive ways were NOT caught.")
    return exact and caught


def main(argv: Sequence[str] | None = None) -> int:
    words = sys.argv[1:] if argv is None else list(argv)
    if words and words[0] in OTHERS:
        return int(import_module(f"tests.storm_{words[0].replace('-', '_')}").main(words[1:]))
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=5)
    parser.add_argument("--writers", type=int, default=8)
    parser.add_argument("--rollers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(words)
    with server() as server_url, database(server_url):
        outcome = storm(
            options.minutes * 60,
            writers=options.writers,
            rollers=options.rollers,
            seed=options.seed,
        )
        ledger.roll()
        return 0 if report(outcome) else 1


if __name__ == "__main__":
    sys.exit(main())
