"""What 100,000 new rows cost on top of 1, 5 and 20 million, and what an idle tick costs.

Cost should follow the new rows, not the history: time and buffers flat within 20 %.

    ./run bench incremental
    ./run bench incremental --history 1000000 5000000 --repeat 5
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, text

from benchmarks.stack import autocommit, database, fill, median, server, settle, show, timed
from spend import rollups, ticks
from worker.database import transaction

NEW = 100_000
# The extension counts every statement of this database, with planning.
SPENT = text(
    "SELECT coalesce(sum(total_exec_time + total_plan_time), 0),"
    " coalesce(sum(shared_blks_hit + shared_blks_read), 0), coalesce(sum(rows), 0)"
    " FROM pg_stat_statements WHERE dbid ="
    " (SELECT oid FROM pg_database WHERE datname = current_database())"
)


@dataclass(frozen=True)
class Cost:
    """Wall milliseconds, database milliseconds and shared buffers touched, medians."""

    wall: float
    database: float
    buffers: float


def roll_up() -> int:
    """A tick and all batches, as the tasks do it; returns the rows counted."""
    with transaction() as session:
        tick = ticks.take(session)
    counted = 0
    for provider in tick.shards:
        more = True
        while more:
            with transaction() as session:
                result = rollups.advance(session, provider)
            counted, more = counted + result.rows, result.more
    if tick.span:
        with transaction() as session:
            ticks.summarize(session, tick.span)
    return counted


def measured(connection: Connection, repeat: int, before: int) -> Cost:
    """Roll up `repeat` times after inserting `before` rows each time."""
    wall, spent, buffers = [], [], []
    for _ in range(repeat):
        if before:
            highest = connection.scalar(text("SELECT last_value FROM cost_logs_id_seq"))
            # A minute of traffic, at the end of what there is.
            fill(connection, before, skip=int(highest or 0), days=1 / 24)
        connection.execute(text("SELECT pg_stat_statements_reset()"))
        wall.append(timed(roll_up) * 1000)
        milliseconds, blocks, _rows = connection.execute(SPENT).one()
        spent.append(float(milliseconds))
        buffers.append(float(blocks))
    return Cost(median(wall), median(spent), median(buffers))


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--history", type=int, nargs="+", default=[1_000_000, 5_000_000, 20_000_000]
    )
    parser.add_argument("--repeat", type=int, default=9)
    options = parser.parse_args(argv)

    lines: list[tuple[object, ...]] = []
    first: Cost | None = None
    with server() as server_url:
        for history in options.history:
            with database(server_url) as url, autocommit(url) as connection:
                connection.execute(text("CREATE EXTENSION IF NOT EXISTS pg_stat_statements"))
                connection.execute(
                    text(
                        f'ALTER DATABASE "{connection.engine.url.database}"'
                        " SET pg_stat_statements.track_planning = on"
                    )
                )
                print(f"Filling the ledger with {history:,} rows ...", flush=True)
                fill(connection, history)
                settle(connection)
                roll_up()
                settle(connection)
                new = measured(connection, options.repeat, NEW)
                idle = measured(connection, options.repeat, 0)
            first = first or new
            lines.append(
                (
                    f"{history:,}",
                    f"{new.wall:.0f}",
                    f"{new.database:.0f}",
                    f"{new.buffers:,.0f}",
                    f"{new.database / first.database:.2f}",
                    f"{idle.database:.2f}",
                    f"{idle.buffers:,.0f}",
                )
            )
    show(
        f"{NEW:,} new rows on top of a history, median of {options.repeat}",
        [
            "history",
            "wall ms",
            "database ms",
            "buffers",
            "time / first",
            "idle tick database ms",
            "idle buffers",
        ],
        lines,
    )
    print("Aims: time within 20 % of the first line's; an idle tick below 10 ms.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
