"""Kill processes that record calls at random moments, and compare what they noted with what came.

    python -m tests.storm_gateway --kills 50

Prints what was noted, what arrived and what was lost; exit code 1 if anything was.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.support.gateway_kills import storm


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        found = storm(Path(folder), options.kills, seed=options.seed)
    print(f"{found.kills} processes killed; {found.noted:,} calls noted by them")
    print(f"{found.arrived:,} arrived, {found.unknown:,} of them not noted before the kill")
    print(f"{found.sent_again:,} were sent twice, and count once by their id")
    print(f"{len(found.lost):,} lost")
    return 1 if found.lost else 0


if __name__ == "__main__":
    sys.exit(main())
