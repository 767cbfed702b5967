"""Deliver messages to a receiver that fails at random, while workers are killed with SIGKILL.

    ./run storm delivery --messages 1000

The real beat, Redis and workers; their processes die at random between any two steps of a
delivery, and now and then a whole worker does. Prints what was put and what came; exit code 1 if a
message is missing, came out of order, came again without a reason, or was marked early.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.stack import database, server
from tests.support.delivery_storm import Found, storm
from tests.support.moody import moody
from worker.embedded.redis import EmbeddedRedis


def report(found: Found) -> None:
    moods = ", ".join(f"{count:,} {mood}" for mood, count in found.shown.most_common())
    print(
        f"{found.put:,} messages put; {found.seconds:.0f} s; {found.kills} workers and"
        f" {found.deaths} of their processes killed"
    )
    print(f"The receiver: {moods}")
    print(f"{found.distinct:,} different ids came, {len(found.missing)} missing")
    print(f"{found.again:,} came again with their id ({found.unanswered:,} without an answer)")
    print(f"{len(found.disordered)} lanes out of order; {len(found.early)} marked early")
    print(f"The outbox: {found.states}")
    print("Right." if found.right else "WRONG.")


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--messages", type=int, default=1000)
    parser.add_argument("--lanes", type=int, default=50)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--kill-every", type=float, default=4, help="seconds, on average")
    parser.add_argument("--dying", type=float, default=0.002, help="probability at each step")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder, server() as server_url:
        Path(folder).chmod(0o711)  # the broker may run as nobody
        with (
            EmbeddedRedis(Path(folder) / "home") as broker,
            database(server_url) as database_url,
            moody(seed=options.seed) as receiver,
        ):
            found = storm(
                Path(folder),
                broker.url,
                database_url,
                receiver,
                messages=options.messages,
                lanes=options.lanes,
                workers=options.workers,
                kill_every=options.kill_every,
                dying=options.dying,
            )
    report(found)
    return 0 if found.right else 1


if __name__ == "__main__":
    sys.exit(main())
