"""How long one scrape of the exporter takes, and how many statements it is.

It should not depend on how long the ledger is: it reads sums, never rows. Nothing else runs here;
what is read from Redis, three round trips, is left out.

    ./run bench scrape
    DATABASE_URL=... ./run bench scrape --rows 20000000 --keep
"""

import argparse
import sys
from collections.abc import Sequence

from sqlalchemy import Connection, Engine, event, text

from benchmarks.ledger import arguments, ledger
from benchmarks.stack import median, quantile, show, timed
from worker.exporter import PostgresCollector, reader

_SIZE = text(
    "SELECT (SELECT sum(requests) FROM spend_summary), (SELECT count(*) FROM attributions),"
    " (SELECT count(*) FROM budgets WHERE state <> 'removed')"
)


def size(engine: Engine) -> list[str]:
    """Requests that are counted, attributions, budgets."""
    with engine.connect() as connection:
        return [f"{count:,}" for count in connection.execute(_SIZE).one()]


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
        around = size(engine)
        engine.dispose()
    show(
        f"A scrape, {options.repeat} times",
        ["requests", "attributions", "budgets", "statements", "samples", "median ms", "p99 ms"],
        [
            [
                *around,
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
