"""What measurements share: a server, databases of their own, many rows, and a table of results."""

import os
import statistics
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.table import Table
from sqlalchemy import Connection, create_engine, make_url, text

from worker import schema
from worker.database import engine as cached_engine
from worker.database import make_engine
from worker.settings import settings

# A server for a machine with some gigabytes to spare; a ledger of ten million rows fits in memory
# for all contenders alike.
TUNING = {"shared_buffers": "8GB", "max_wal_size": "8GB", "maintenance_work_mem": "512MB"}

FIRST_DAY = "2026-10-01 00:00:00+00"
# The shape of the published case: 5 providers, 25 models, 30 days.
FILL = """
INSERT INTO cost_logs (provider, model, started_at, attribution_id, input_tokens, output_tokens,
  cost_usd)
SELECT 'provider-' || n % 5, 'model-' || n % 25,
  TIMESTAMPTZ '{day}' + (n - :skip) * make_interval(secs => :days * 86400.0 / :rows),
  CASE WHEN :attributions = 1 THEN 0 ELSE abs(hashint8(n) % CAST(:attributions AS integer)) END,
  100 + (n * 7919) % 4000, 10 + (n * 104729) % 900, ((n * 15485863) % 1000000) / 100000000.0
FROM generate_series(CAST(:skip AS bigint), CAST(:skip AS bigint) + :rows - 1) AS n
"""


@contextmanager
def server() -> Iterator[str]:
    """The URL of a server: that of DATABASE_URL, or an embedded one in a folder of its own."""
    given = os.environ.get("DATABASE_URL")
    if given:
        yield make_url(given).set(drivername="postgresql+psycopg2").render_as_string(False)
        return
    from worker.embedded.postgres import EmbeddedPostgres

    with tempfile.TemporaryDirectory(prefix="spendbeat-bench-") as folder:
        Path(folder).chmod(0o711)  # the server may run as nobody
        with EmbeddedPostgres(Path(folder) / "home", extra_settings=TUNING) as embedded:
            yield embedded.url("postgres")


@contextmanager
def database(server_url: str, *, keep: bool = False) -> Iterator[str]:
    """A migrated database of our own, which DATABASE_URL names meanwhile; dropped afterwards."""
    name = f"spendbeat_bench_{uuid.uuid4().hex[:8]}"
    admin = create_engine(server_url, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    url = make_url(server_url).set(database=name).render_as_string(False)
    try:
        with named(url):
            engine = make_engine(url, None)
            with engine.connect() as connection:
                schema.upgrade(connection)
                for month in ("2026-10-15Z", "2026-11-15Z"):
                    connection.execute(text("SELECT spendbeat_ensure_month(:at)"), {"at": month})
                connection.commit()
            engine.dispose()
            yield url
    finally:
        if not keep:
            with admin.connect() as connection:
                connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
        admin.dispose()


@contextmanager
def named(url: str) -> Iterator[None]:
    """DATABASE_URL is this one, for everything that reads it."""
    before = os.environ.get("DATABASE_URL")
    os.environ["DATABASE_URL"] = url
    _forget()
    try:
        yield
    finally:
        _forget()
        if before is None:
            del os.environ["DATABASE_URL"]
        else:
            os.environ["DATABASE_URL"] = before


def _forget() -> None:
    settings.cache_clear()
    cached_engine.cache_clear()


@contextmanager
def autocommit(url: str) -> Iterator[Connection]:
    """A connection as the login itself, each statement its own transaction."""
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        yield connection
    engine.dispose()


def fill(
    connection: Connection, rows: int, *, skip: int = 0, attributions: int = 1, days: float = 30
) -> None:
    """Insert rows of the published shape in one transaction, spread evenly over the days."""
    binds = {"rows": rows, "skip": skip, "attributions": attributions, "days": days}
    connection.execute(text(FILL.format(day=FIRST_DAY)), binds)


def settle(connection: Connection) -> None:
    """What time does to a server: statistics, hint bits and a checkpoint, before all contenders."""
    connection.execute(text("VACUUM (ANALYZE) cost_logs"))
    connection.execute(text("CHECKPOINT"))


def timed(work: Callable[[], object]) -> float:
    """Seconds of wall time."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def quantile(values: Sequence[float], part: float) -> float:
    """The value below which so much of them lies; the largest of a few."""
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


def median(seconds: Sequence[float]) -> float:
    return statistics.median(seconds)


def show(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print results; all columns but the first to the right."""
    table = Table(title=title, title_justify="left")
    for number, column in enumerate(columns):
        table.add_column(column, justify="right" if number else "left")
    for row in rows:
        table.add_row(*(str(cell) for cell in row))
    Console(width=120).print(table)
