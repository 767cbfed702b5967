"""What 1,000 new rows cost with no budgets, with 10 and with 10,000; and what an edit costs.

Cost should follow what the new rows touch, not how many budgets there are. Each budget is of one
project, after the first thousand or so also of one model, by month, week or day, in one of four
zones; the rows are of as many projects as there are attributions, so with many budgets each row
moves one or two of its own. "edit" adds a budget to those there are, "apply" all of them at once;
"scrape" is what budgets add to one of the exporter's.

    ./run bench budgets
    ./run bench budgets --history 1000000 --attributions 1000 --repeat 9
"""

import argparse
import sys
from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy import Connection, text
from sqlalchemy.orm import Session

from benchmarks.incremental import SPENT, roll_up
from benchmarks.stack import autocommit, database, fill, median, server, settle, show, timed
from spend import attributions, audit
from spend.attribution.mix import Mix
from spend.budgets import reading, standing, store
from spend.budgets.store import Change
from worker import budget_figures
from worker.database import transaction
from worker.metrics import MOST_BUDGETS

NEW = 1_000
ZONES = ("UTC", "Asia/Kathmandu", "Europe/Berlin", "America/New_York")
NOW = datetime(2026, 10, 31, 12, tzinfo=UTC)


def attribute(projects: int) -> None:
    """Attributions 0 to projects - 1 are those of the filled ledger; 0 is there."""
    for start in range(1, projects, 500):
        with transaction() as session:
            attributions.resolve(
                session,
                [Mix("acme", f"p{n}", user_id=f"u{n % 97}") for n in range(start, start + 500)],
            )


def wanted(number: int, projects: int) -> Change:
    definition = reading.read(
        {
            "name": f"b{number}",
            "scope": {"organization": "acme", "project": f"p{number % projects}"}
            | ({} if number < projects else {"model": f"model-{number % 25}"}),
            "period": ("month", "week", "day")[number % 3],
            "zone": ZONES[number % 4],
            "hard_limit": 100,
        }
    )
    return Change("added", None, definition)


def make(first: int, end: int, projects: int) -> None:
    changes = [wanted(number, projects) for number in range(first, end)]
    if changes:
        with transaction() as session:
            store.save(session, changes, "benchmark")


def prove(session: Session) -> None:
    """The audit, which must agree."""
    if not audit.verify(session).agrees:
        raise SystemExit("The audit differs: these figures mean nothing.")


def batches(connection: Connection, repeat: int, projects: int) -> tuple[float, float, float]:
    """Wall and database milliseconds, and buffers, of rolling up NEW rows; medians."""
    wall, spent, buffers = [], [], []
    for _ in range(repeat):
        highest = connection.scalar(text("SELECT last_value FROM cost_logs_id_seq"))
        fill(connection, NEW, skip=int(highest or 0), attributions=projects, days=1 / 24)
        connection.execute(text("SELECT pg_stat_statements_reset()"))
        wall.append(timed(roll_up) * 1000)
        milliseconds, blocks, _rows = connection.execute(SPENT).one()
        spent.append(float(milliseconds))
        buffers.append(float(blocks))
    return median(wall), median(spent), median(buffers)


def measured(
    connection: Connection, options: argparse.Namespace, before: int, budgets: int
) -> tuple[object, ...]:
    """One line of the table: `budgets` of them, `before` of which are there."""
    apply = timed(lambda: make(before, budgets, options.attributions))
    connection.execute(text("ANALYZE budget_queries, budgets, budget_spend, attributions, series"))
    roll_up()
    wall, milliseconds, buffers = batches(connection, options.repeat, options.attributions)
    edit = timed(lambda: make(1_000_000 + budgets, 1_000_001 + budgets, options.attributions))
    with transaction() as session:
        status = timed(lambda: standing.status(session, NOW))
    with transaction("spendbeat_reader") as session:
        scrape = median(
            [
                timed(lambda: list(budget_figures.collect(session.connection(), MOST_BUDGETS)))
                for _ in range(options.repeat)
            ]
        )
    with transaction() as session:
        verify = timed(lambda: prove(session))
    return (
        f"{budgets:,}",
        f"{wall:.1f}",
        f"{milliseconds:.1f}",
        f"{buffers:,.0f}",
        f"{edit:.2f}",
        f"{apply:.1f}",
        f"{status:.2f}",
        f"{scrape * 1000:.1f}",
        f"{verify:.2f}",
    )


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--history", type=int, default=1_000_000)
    parser.add_argument("--attributions", type=int, default=1_000)
    parser.add_argument("--budgets", type=int, nargs="+", default=[0, 10, 10_000])
    parser.add_argument("--repeat", type=int, default=9)
    options = parser.parse_args(argv)
    with (
        server() as server_url,
        database(server_url) as url,
        autocommit(url) as connection,
    ):
        connection.execute(text("CREATE EXTENSION IF NOT EXISTS pg_stat_statements"))
        name = connection.engine.url.database
        connection.execute(
            text(f'ALTER DATABASE "{name}" SET pg_stat_statements.track_planning = on')
        )
        attribute(options.attributions)
        fill(connection, options.history, attributions=options.attributions)
        settle(connection)
        roll_up()
        settle(connection)
        lines = []
        before = 0
        for budgets in options.budgets:
            lines.append(measured(connection, options, before, budgets))
            before = budgets
    show(
        f"{NEW:,} new rows on {options.history:,} of {options.attributions:,} attributions,"
        f" median of {options.repeat}",
        ["budgets", "batch ms", "database ms", "buffers", "edit s", "apply s", "status s",
         "scrape ms", "verify s"],
        lines,
    )  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
