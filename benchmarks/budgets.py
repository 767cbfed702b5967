"""What 1,000 new rows and the check after them cost with no budgets, with 10 and with 10,000.

Cost should follow what the new rows touch, not how many budgets there are, nor how long the ledger
is. Each budget is of one project, after the first thousand or so also of one model, by month, week
or day, in one of four zones; the rows are of as many projects as there are attributions, so with
many budgets each row moves one or two of its own. Limits lie close ahead of what was spent by then,
so that every batch crosses some of their lines. "check" looks at what all shards of a batch moved,
and tells a channel; "first look" is at all budgets; "edit" adds a budget to those there are,
"apply" all of them at once; "scrape" is what budgets add to one of the exporter's.

    ./run bench budgets
    ./run bench budgets --history 10000000 20000000 --attributions 1000 --repeat 9
"""

import argparse
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime

from sqlalchemy import Connection, text
from sqlalchemy.orm import Session

from benchmarks.incremental import SPENT, roll_up
from benchmarks.stack import (
    FILL,
    autocommit,
    database,
    fill,
    median,
    server,
    settle,
    show,
    timed,
)
from spend import attributions, audit
from spend.alerts import checks
from spend.alerts.checks import Checked
from spend.attribution.mix import Mix
from spend.budgets import reading, standing, store
from spend.budgets.store import Change
from worker import budget_figures
from worker.database import transaction
from worker.metrics import MOST_BUDGETS

NEW = 1_000
ZONES = ("UTC", "Asia/Kathmandu", "Europe/Berlin", "America/New_York")
# A Saturday. The filled ledger ends half a day later; new rows are of the hour before.
NOW = datetime(2026, 10, 31, 12, tzinfo=UTC)
NEW_SINCE = "2026-10-31 11:00:00+00"
MODELS = 25
# So many dollars, at most, are left before a budget's line; a new row costs half a cent on average.
AHEAD = 0.1
# Not an edit, which would be armed in the present. Budgets that nobody has looked at only.
_AIM = text(
    "UPDATE budget_versions AS v SET hard_limit = s.spend"
    " + round(CAST(:ahead * (1 + mod(s.id * 7919, 1000)) / 1000 AS numeric), 6)"
    " FROM (SELECT b.id, sum(f.spend) AS spend FROM budgets AS b"
    "  JOIN budget_queries AS q ON q.id = b.query_id"
    "  JOIN budget_spend AS f ON f.budget_id = b.id AND f.period_start ="
    "   spendbeat_period_start(:now, q.period, q.zone, q.week_start, q.starts_on, q.ends_on)"
    "  WHERE NOT EXISTS (SELECT FROM budget_checks AS c WHERE c.budget_id = b.id)"
    "  GROUP BY 1 HAVING sum(f.spend) > 0) AS s"
    " WHERE v.budget_id = s.id"
)
_ARMED = "ALTER TABLE budgets ALTER armed_at SET DEFAULT '2026-09-01 00:00:00+00'"
_CHANNEL = "INSERT INTO channels (name, kind, address) VALUES ('bench', 'webhook', 'http://x/')"
_MOVED = text("SELECT coalesce(sum(cardinality(budget_ids)), 0) FROM budget_news")


@dataclass
class Costs:
    """Wall and database milliseconds, buffers, of each repetition; counts of a check."""

    wall: list[float] = field(default_factory=list)
    database: list[float] = field(default_factory=list)
    buffers: list[float] = field(default_factory=list)
    moved: list[float] = field(default_factory=list)
    judged: list[float] = field(default_factory=list)
    raised: list[float] = field(default_factory=list)

    def add(self, connection: Connection, seconds: float) -> None:
        """What was counted since the last reset."""
        milliseconds, blocks, _rows = connection.execute(SPENT).one()
        self.wall.append(seconds * 1000)
        self.database.append(float(milliseconds))
        self.buffers.append(float(blocks))

    def columns(self) -> list[str]:
        wall, milliseconds, buffers = map(median, (self.wall, self.database, self.buffers))
        return [f"{wall:.1f}", f"{milliseconds:.1f}", f"{buffers:,.0f}"]


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
            | ({} if number < projects else {"model": f"model-{number % MODELS}"}),
            "period": ("month", "week", "day")[number % 3],
            "zone": ZONES[number % 4],
            "hard_limit": 100,
            "thresholds": ["100%"],
        }
    )
    return Change("added", None, definition)


def make(first: int, end: int, projects: int) -> None:
    changes = [wanted(number, projects) for number in range(first, end)]
    if changes:
        with transaction() as session:
            store.save(session, changes, "benchmark")


def look() -> list[Checked]:
    """What beat and rollups ring for, until nothing is left."""
    done = []
    with transaction() as session:
        shards = checks.shards(session)
    for provider in shards:
        more = True
        while more:
            with transaction() as session:
                done.append(checks.check(session, provider, NOW))
            more = done[-1].more
    return done


def first_look() -> None:
    look()
    more = True
    while more:
        with transaction() as session:
            more = checks.check_due(session, NOW).more


def prove(session: Session) -> None:
    """The audit, which must agree."""
    if not audit.verify(session).agrees:
        raise SystemExit("The audit differs: these figures mean nothing.")


def batches(connection: Connection, repeat: int, projects: int) -> tuple[Costs, Costs]:
    """Of rolling up NEW rows, and of the check after that."""
    rolled, checked = Costs(), Costs()
    for _ in range(repeat):
        highest = connection.scalar(text("SELECT last_value FROM cost_logs_id_seq"))
        binds = {"rows": NEW, "skip": int(highest or 0), "attributions": projects, "days": 1 / 24}
        connection.execute(text(FILL.format(day=NEW_SINCE)), binds)
        connection.execute(text("SELECT pg_stat_statements_reset()"))
        rolled.add(connection, timed(roll_up))
        checked.moved.append(float(connection.scalar(_MOVED) or 0))
        connection.execute(text("SELECT pg_stat_statements_reset()"))
        done: list[Checked] = []
        checked.add(connection, timed(lambda: done.extend(look())))  # noqa: B023 - called at once
        checked.judged.append(sum(one.judged.budgets for one in done))
        checked.raised.append(sum(one.judged.raised for one in done))
    return rolled, checked


def measured(
    connection: Connection, options: argparse.Namespace, history: int, before: int, budgets: int
) -> tuple[list[str], list[str]]:
    """One line of each table: `budgets` of them, `before` of which are there."""
    projects = options.attributions
    apply = timed(lambda: make(before, budgets, projects))
    connection.execute(
        text("ANALYZE budget_queries, budgets, budget_spend, attributions, series, spend_buckets")
    )
    roll_up()
    connection.execute(_AIM, {"ahead": AHEAD, "now": NOW})
    first = timed(first_look)
    connection.execute(text("ANALYZE budget_checks, budget_alerts, outbox, outbox_lanes"))
    rolled, checked = batches(connection, options.repeat, projects)
    alone = 1_000_000 + budgets
    edit = timed(lambda: make(alone, alone + 1, projects))
    first_look()
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
    place = [f"{history:,}", f"{budgets:,}"]
    counts = [f"{median(x):,.0f}" for x in (checked.moved, checked.judged, checked.raised)]
    others = (f"{edit:.2f}", f"{apply:.1f}", f"{status:.2f}", f"{scrape * 1000:.1f}")
    return (
        [*place, *rolled.columns(), *others, f"{verify:.2f}"],
        [*place, *checked.columns(), *counts, f"{first:.2f}"],
    )


def fill_quickly(url: str, rows: int, projects: int) -> None:
    """The ledger, over two connections."""

    def half(start: int) -> None:
        with autocommit(url) as connection:
            fill(connection, rows // 2, skip=start, attributions=projects)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(half, (1, 1 + rows // 2)))


def over(
    server_url: str, options: argparse.Namespace, history: int
) -> list[tuple[list[str], list[str]]]:
    """Lines of both tables for a ledger of so many rows."""
    with database(server_url) as url, autocommit(url) as connection:
        connection.execute(text("CREATE EXTENSION IF NOT EXISTS pg_stat_statements"))
        name = connection.engine.url.database
        connection.execute(
            text(f'ALTER DATABASE "{name}" SET pg_stat_statements.track_planning = on')
        )
        connection.execute(text(_ARMED))
        connection.execute(text(_CHANNEL))
        attribute(options.attributions)
        print(f"Filling the ledger with {history:,} rows ...", flush=True)
        fill_quickly(url, history, options.attributions)
        settle(connection)
        roll_up()
        settle(connection)
        lines = []
        before = 0
        for budgets in options.budgets:
            lines.append(measured(connection, options, history, before, budgets))
            before = budgets
    return lines


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--history", type=int, nargs="+", default=[1_000_000])
    parser.add_argument("--attributions", type=int, default=1_000)
    parser.add_argument("--budgets", type=int, nargs="+", default=[0, 10, 10_000])
    parser.add_argument("--repeat", type=int, default=9)
    options = parser.parse_args(argv)
    lines = []
    with server() as server_url:
        for history in options.history:
            lines += over(server_url, options, history)
    of = f"{NEW:,} new rows of {options.attributions:,} attributions, median of {options.repeat}"
    show(
        f"Counting {of}",
        ["history", "budgets", "batch ms", "database ms", "buffers", "edit s", "apply s",
         "status s", "scrape ms", "verify s"],
        [line for line, _ in lines],
    )  # fmt: skip
    show(
        f"The check after {of}",
        ["history", "budgets", "check ms", "database ms", "buffers", "moved", "judged", "raised",
         "first look s"],
        [line for _, line in lines],
    )  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
