"""Kill callers of a guard at random, and compare what they really spent with the limit.

    ./run storm guard
    ./run storm guard --callers 1,16,100,500 --seconds 30 --kills 3

Each round has one budget worth 1,300 calls, so many callers in eight processes, half of them
threads and half coroutines, and somebody who plays Postgres. Prints what the provider billed, and
what the same callers spend with get-then-add; exit code 1 if a nano-dollar was spent beyond the
limit, if room stayed kept for the dead, or if get-then-add was not caught (and nothing proved).
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.support.guard_storm import LIFETIME, NANO, Outcome, naive, storm
from tests.support.valkey import valkey


def right(found: Outcome) -> bool:
    return (
        found.billed <= found.limit
        and (found.held, found.used) == (0, found.billed)
        and found.back < LIFETIME + 3
    )


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--callers", default="1,16,100,500")
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--kills", type=float, default=2, help="a second")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(argv)
    good, caught = True, False
    print(
        f"{'callers':>8}{'calls':>8}{'killed':>8}{'abandoned':>11}{'left':>14}{'get-then-add':>15}"
    )
    for callers in map(int, options.callers.split(",")):
        with valkey() as server, tempfile.TemporaryDirectory() as folder:
            found = storm(
                server,
                Path(folder),
                callers=callers,
                seconds=options.seconds,
                kills=options.kills,
                seed=options.seed,
            )
            over = naive(server, Path(folder), callers=callers, seconds=options.seconds, seed=1)
        left = found.limit - found.billed
        beyond = f"{over / NANO:+.1f} calls" if over > 0 else "within"
        print(
            f"{callers:8}{found.calls:8,}{found.kills:8}{found.abandoned:11}"
            f"{left / NANO:8.3f} calls{beyond:>15}   nothing held {found.back:.1f} s after",
            flush=True,
        )
        good = good and right(found)
        caught = caught or over > 0
    print("Never beyond it." if good else "WRONG.", "" if caught else "get-then-add NOT caught.")
    return 0 if good and caught else 1


if __name__ == "__main__":
    sys.exit(main())
