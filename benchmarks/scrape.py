"""How long one scrape of the exporter takes, and how many statements it is.

It should not depend on how long the ledger is: it reads sums, never rows. Nothing else runs here;
there is a Redis that does not answer where none is given, so its part is left out.

    ./run bench scrape
    ./run bench scrape --rows 20000000 --keep
"""

import argparse
import sys
from collections.abc import Sequence

from sqlalchemy import Connection, event

from benchmarks.ledger import arguments, ledger
from benchmarks.stack import median, show, timed
from worker.exporter import PostgresCollector, reader


def quantile(values: Sequence[float], part: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    arguments(parser)
    parser.add_argument("--repeat", type=int, default=200)
    options = parser.parse_args(argv)
    with ledger(options) as url:
        engine = reader(url)
        asked: list[str] = []

        @event.listens_for(engine, "before_cursor_execute")
        def _note(_c: Connection, _cursor: object, statement: str, *_more: object) -> None:
            asked.append(statement)

        collector = PostgresCollector(engine)
        samples = sum(len(metric.samples) for metric in collector.collect())
        count = len(asked)
        took = [timed(lambda: list(collector.collect())) * 1000 for _ in range(options.repeat)]
        engine.dispose()
    show(
        f"A scrape, {options.repeat} times",
        ["rows", "attributions", "budgets", "statements", "samples", "median ms", "p99 ms"],
        [
            [
                f"{options.rows:,}",
                f"{options.attributions:,}",
                f"{options.budgets:,}",
                count,
                f"{samples:,}",
                f"{median(took):.1f}",
                f"{quantile(took, 0.99):.1f}",
            ]
        ],
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
