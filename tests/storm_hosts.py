"""Cut a host off, let it come back, then lose it for good, while rows come in.

    ./run storm hosts

Three hosts in network namespaces: Postgres, Redis and a receiver of webhooks on one, on its address
only; workers, a worker that delivers and a beat on each of the two others. One of those is cut off
in the middle of a transaction and comes back; later it is cut off again and its processes die with
it, so that nobody tells Postgres. Needs root and iproute2; what it makes is gone afterwards.

Prints what was committed, counted and told; exit code 1 if anything is missing, wrong or told
twice, 2 where this machine has no such namespaces.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.support.host_storm import Found, storm
from tests.support.hosts import NoHostsError, hosts


def report(found: Found) -> None:
    print(f"{found.rows:,} rows committed, ${found.dollars}; ${found.counted} counted")
    print(f"verify {'agrees' if found.agrees else 'DIFFERS'}")
    print(
        f"Cut off twice, {found.middle} times in the middle of a transaction. Meanwhile the other"
        f" host counted {found.alone:,} rows; the one that came back ended {found.rejoined:,} tasks"
    )
    print(
        f"Postgres gave the lost host's transactions up after {found.freed:.0f} s; all was counted"
        f" and told {found.lag:.1f} s after the last row"
    )
    print(
        f"{found.crossings:,} crossings by the model, {found.alerts:,} alerts, {found.came:,}"
        f" different webhook-ids came, {found.again:,} came again with their id"
    )
    print(f"{found.missing} missing, {found.surplus} too many. The outbox: {dict(found.states)}")
    print(f"{found.seconds:.0f} s in all. {'Right.' if found.right else 'WRONG.'}")


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=12_000)
    parser.add_argument("--budgets", type=int, default=60, help="with 5 or 6 lines each")
    parser.add_argument("--away", type=float, default=20, help="seconds without a cable")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o711)  # the servers run as nobody
        try:
            with hosts("hub", "one", "two") as machines:
                found = storm(
                    Path(folder),
                    machines,
                    budgets=options.budgets,
                    rows=options.rows,
                    away=options.away,
                    seed=options.seed,
                )
        except NoHostsError as error:
            print(error, file=sys.stderr)
            return 2
    report(found)
    return 0 if found.right else 1


if __name__ == "__main__":
    sys.exit(main())
