"""Databases with an existing table of another application."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import create_engine

from tests.support.databases import made

TABLE = """
CREATE TABLE cost_logs (
  id serial PRIMARY KEY,
  provider text,
  model text,
  cost_usd numeric(18, 9),
  created_at timestamptz NOT NULL DEFAULT now()
)
"""
SUMMARY = """
CREATE TABLE spend_summary (
  provider text, model text, total_cost numeric, updated_at timestamptz DEFAULT now(),
  CONSTRAINT pk_spend_summary PRIMARY KEY (provider, model)
)
"""
# n is 1 to the number of rows.
ROWS = """
INSERT INTO cost_logs (provider, model, cost_usd, created_at)
SELECT CASE mod(n, 3) WHEN 0 THEN 'openai' ELSE 'anthropic' END, 'model-' || mod(n, 5),
  n * 0.000123457, TIMESTAMPTZ '2026-09-01 00:00:00Z' + n * INTERVAL '1 minute'
FROM generate_series(1, {rows}) AS n
"""


@contextmanager
def plain_database(server: str, *statements: str) -> Iterator[str]:
    """A database that holds what statements make; yields its URL."""
    with made(server, "spendbeat_plain") as url:
        run(url, *statements)
        yield url


def run(url: str, *statements: str) -> None:
    """Run statements there as the login."""
    engine = create_engine(url)
    with engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
    engine.dispose()
