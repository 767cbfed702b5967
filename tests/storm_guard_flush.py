"""Let Redis lose everything at random while callers stand at a limit and the ledger lags.

    ./run storm guard-flush
    ./run storm guard-flush --rounds 10 --flush-every 1
    ./run storm guard-flush --flush-every 0

Each round has one budget, so many callers, eight loaders (as with eight processes of the web
service), a reconciliation three times a second, and rollups and records that come late. Prints what
each flush took with it and what was spent beyond the limit; exit code 1 if that is more, if the
counter is not what Postgres says after one reconciliation, or if the control was not caught: there
a missing counter is taken for 0.
"""

import argparse
import sys
from collections.abc import Sequence

from benchmarks.stack import database, server
from tests.support.flush_storm import NANO, Outcome, storm
from tests.support.valkey import valkey


def right(found: Outcome) -> bool:
    return (
        found.over <= found.allowed_over
        and found.left_over == 0
        and found.used == found.postgres == found.billed
    )


def report(name: str, found: Outcome) -> None:
    print(
        f"{name}: {found.calls:,} calls, {found.refused:,} refused, {found.died} died;"
        f" {len(found.flushes)} flushes"
    )
    for flush in found.flushes:
        print(
            f"  at {flush.used / found.limit:7.2%} of the limit: held {_dollars(flush.held)},"
            f" settled and not rolled up {_dollars(flush.unrolled)};"
            f" there again after {flush.cold * 1000:.0f} ms"
        )
    print(
        f"  billed {_dollars(found.billed)} of {_dollars(found.limit)}:"
        f" {_dollars(found.over)} beyond it, of at most {_dollars(found.allowed_over)}"
    )
    print(
        f"  after one reconciliation ({found.reconciled * 1000:.0f} ms): counter"
        f" {_dollars(found.used)}, Postgres {_dollars(found.postgres)},"
        f" settled and held {_dollars(found.left_over)}",
        flush=True,
    )


def _dollars(nano: int) -> str:
    return f"${nano / NANO:,.9f}"


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--callers", type=int, default=8)
    parser.add_argument("--calls", type=int, default=1300, help="what the limit is worth")
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument(
        "--flush-every", type=float, default=3, help="seconds, on average; 0: never"
    )
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(argv)
    good = caught = True
    with server() as server_url:
        # Where nothing is lost, there is nothing for the control to get wrong.
        for number in range(options.rounds + bool(options.flush_every)):
            blind = number == options.rounds
            with database(server_url), valkey() as redis:
                found = storm(
                    redis,
                    callers=options.callers,
                    # The control soon stands at its limit, again and again.
                    calls=options.calls // 10 if blind else options.calls,
                    seconds=options.seconds,
                    flushes=options.flush_every,
                    seed=options.seed + number,
                    blind=blind,
                )
            report("Taken for 0" if blind else f"Round {number + 1}", found)
            if blind:
                caught = found.over > found.allowed_over
            else:
                good = good and right(found)
    print("Right." if good else "WRONG.", "" if caught else "The control was NOT caught.")
    return 0 if good and caught else 1


if __name__ == "__main__":
    sys.exit(main())
