"""A large ledger with what stands around it, made once for several measurements.

    with ledger(options) as url: ...

DATABASE_URL names it meanwhile. `--keep` leaves it and says its URL, `--use URL` takes it again.
"""

import argparse
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

from sqlalchemy import Connection, make_url, text

from benchmarks import stack
from benchmarks.budgets import attribute, make
from benchmarks.incremental import roll_up
from benchmarks.stack import autocommit, fill, settle

# What a ledger of this age has beside its rows, in proportion to them: alerts that are resolved and
# their messages, costs that disagree, audits.
_AROUND = """
INSERT INTO channels (name, kind, address)
SELECT 'channel-' || n, 'webhook', 'http://x/' FROM generate_series(1, 20) AS n;

INSERT INTO budget_alerts (budget_id, version, arming, period_start, basis, threshold, line,
  severity, spend, unpriced, together, state, state_at, resolution)
SELECT first.id, 1, 1, DATE '2020-01-01', 'actual', n || '%', n, 'warning', n, 0,
  ARRAY[n || '%'], 'resolved', now() - make_interval(mins => n * 30), 'period_over'
FROM (SELECT min(id) AS id FROM budgets) AS first
JOIN generate_series(1, :rows / 1000) AS n ON first.id IS NOT NULL;

INSERT INTO outbox_lanes (lane) SELECT 'bench-' || n FROM generate_series(1, 20) AS n;
INSERT INTO outbox (id, lane, position, channel_id, type, at, body, state, reason, ended_at)
SELECT 'bench-' || n, 'bench-' || (1 + n % 20), n, c.id, 'budget.crossed', now(), '{}',
  CASE WHEN n % 100 = 0 THEN 'dead' ELSE 'delivered' END, 'accepted', now()
FROM generate_series(1, :rows / 500) AS n
JOIN channels AS c ON c.name = 'channel-' || (1 + n % 20);

INSERT INTO price_disagreements (day, provider, model, booked_source, other_source, requests,
  booked_usd, other_usd, difference_usd, example_row_id, found_at)
SELECT CURRENT_DATE - n / 50, 'provider-' || n % 5, 'model-' || n % 25, 'computed', 'gateway',
  10, 1, 2, 1, 1, now() - make_interval(days => n / 50)
FROM generate_series(1, :rows / 500) AS n;

INSERT INTO audits (kind, rows, difference, mismatches)
SELECT 'verify', n, 0, '[]' FROM generate_series(1, :rows / 1000) AS n;
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of what is measured in this ledger."""
    choices(parser)
    parser.add_argument("--attributions", type=int, default=10_000)
    parser.add_argument("--budgets", type=int, default=10_000)


def choices(parser: argparse.ArgumentParser) -> None:
    """The options of made()."""
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--use", metavar="URL", help="a database that --keep left")
    parser.add_argument(
        "--keep",
        action="store_true",
        help="leave the database, on the server of DATABASE_URL, and say its URL",
    )


@contextmanager
def ledger(options: argparse.Namespace) -> Iterator[str]:
    """The URL of a database with so many rows, all counted."""
    with made(options, lambda connection, url: _fill(connection, url, options)) as url:
        yield url


@contextmanager
def made(options: argparse.Namespace, filled: Callable[[Connection, str], None]) -> Iterator[str]:
    """The URL of the database that `--use` names, or of a new one that `filled` has filled."""
    with ExitStack() as around:
        if options.use:
            url = make_url(options.use).set(drivername="postgresql+psycopg2")
            around.enter_context(stack.named(url.render_as_string(False)))
            yield os.environ["DATABASE_URL"]
            return
        if options.keep and "DATABASE_URL" not in os.environ:
            raise SystemExit("--keep needs a server that stays: name one by DATABASE_URL.")
        server = around.enter_context(stack.server())
        url = around.enter_context(stack.database(server, keep=options.keep))
        with autocommit(url) as connection:
            print(f"Filling a ledger with {options.rows:,} rows ...", flush=True)
            filled(connection, url)
        if options.keep:
            print(f"The database stays: --use '{url}'", flush=True)
        yield url


def _fill(connection: Connection, url: str, options: argparse.Namespace) -> None:
    attribute(options.attributions)
    half = options.rows // 2

    def one(start: int) -> None:
        with autocommit(url) as own:
            fill(own, half, skip=start, attributions=options.attributions)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(one, (1, 1 + half)))
    settle(connection)
    roll_up()
    make(0, options.budgets, options.attributions)
    connection.execute(text(_AROUND), {"rows": options.rows})
    connection.execute(text("VACUUM (ANALYZE)"))
    connection.execute(text("CHECKPOINT"))
