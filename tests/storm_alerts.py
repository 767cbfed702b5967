"""Cross 1,000 lines of budgets while receivers fail and everything is killed with SIGKILL.

    ./run storm alerts

Writers, the real beat, Redis and workers; their processes die at random between any two steps of a
rollup, a check, a ring and a delivery, whole workers and beat now and then; messages of the broker
come twice. Prints what crossed by a plain model of what was committed, and what arrived; exit code
1 if a crossing is missing, came with two ids, came again without a reason, or came out of order.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.stack import database, server
from tests.support.alert_storm import Found, Heard, storm
from tests.support.moody import moody
from worker.embedded.redis import EmbeddedRedis


def report(found: Found) -> None:
    moods = ", ".join(f"{count:,} {mood}" for mood, count in found.shown.most_common())
    deaths = ", ".join(f"{count:,} in {task}" for task, count in found.deaths.most_common())
    print(
        f"{found.committed:,} rows committed; {found.seconds:.0f} s; {found.repeated:,} messages"
        f" of the broker sent on top, {found.kills} programs killed"
    )
    print(f"{found.deaths.total():,} processes died, at {found.steps} different steps: {deaths}")
    print(f"The receivers: {moods}")
    print(
        f"{found.expected:,} crossings by the model, {found.rows:,} alerts,"
        f" {found.distinct:,} different webhook-ids came"
    )
    print(
        f"{len(found.missing)} missing, {len(found.surplus)} too many, {len(found.twice)} with two"
        f" ids, {len(found.untold)} differ from the table"
    )
    print(f"{found.again:,} came again with their id ({found.excused:,} losses excuse that)")
    print(f"{len(found.disordered)} out of order. The outbox: {found.states}")
    print(f"verify {'agrees' if found.agrees else 'DIFFERS'}")
    print("Right." if found.right else "WRONG.")


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--budgets", type=int, default=250, help="with 5 or 6 lines each")
    parser.add_argument("--rows", type=int, default=8000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--kill-every", type=float, default=5, help="seconds, on average")
    parser.add_argument("--dying", type=float, default=0.003, help="probability at each step")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(argv)
    heard = Heard()
    with tempfile.TemporaryDirectory() as folder, server() as server_url:
        Path(folder).chmod(0o711)  # the broker may run as nobody
        with (
            EmbeddedRedis(Path(folder) / "home") as broker,
            database(server_url) as database_url,
            moody(seed=options.seed, read=heard.read) as one,
            moody(seed=options.seed + 1, read=heard.read) as other,
        ):
            found = storm(
                Path(folder),
                broker.url,
                database_url,
                (one, other),
                heard,
                budgets=options.budgets,
                rows=options.rows,
                workers=options.workers,
                kill_every=options.kill_every,
                dying=options.dying,
                seed=options.seed,
            )
    report(found)
    return 0 if found.right else 1


if __name__ == "__main__":
    sys.exit(main())
