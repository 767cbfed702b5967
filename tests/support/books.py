"""Rows into the ledger as a stranger would write them, and totals as a stranger would add them."""

from decimal import Decimal

from sqlalchemy import Connection, Engine, create_engine, text

Totals = dict[tuple[str, str], tuple[Decimal, int, int]]

_SPEND = text(
    "INSERT INTO cost_logs (provider, model, cost_usd, input_tokens, started_at)"
    " SELECT :provider, 'model-' || n % 3, CASE WHEN n % 10 = 0 THEN NULL ELSE n * 0.000137 END,"
    " n, now() - n * interval '7 minutes' FROM generate_series(1, :rows) AS n"
)
_RAW = text(
    "SELECT provider, model, coalesce(sum(cost_usd), 0), count(*),"
    " count(*) FILTER (WHERE cost_usd IS NULL) FROM cost_logs GROUP BY 1, 2"
)
_ROLLED = text("SELECT provider, model, total_cost, requests, unpriced FROM spend_summary")


class Books:
    """A database's ledger and its totals, seen through a connection of the test's own."""

    def __init__(self, url: str) -> None:
        self.engine: Engine = create_engine(url)

    def spend(self, provider: str, rows: int = 100) -> None:
        """One transaction with that many requests."""
        with self.engine.begin() as connection:
            self.spend_in(connection, provider, rows)

    @staticmethod
    def spend_in(connection: Connection, provider: str, rows: int = 100) -> None:
        connection.execute(_SPEND, {"provider": provider, "rows": rows})

    def raw(self) -> Totals:
        return self._totals(_RAW)

    def rolled(self) -> Totals:
        return self._totals(_ROLLED)

    def agree(self) -> bool:
        """Whether everything written is in the totals, to the last digit."""
        return self.raw() == self.rolled()

    def scalar(self, sql: str) -> object:
        with self.engine.connect() as connection:
            return connection.scalar(text(sql))

    def close(self) -> None:
        self.engine.dispose()

    def _totals(self, sql: object) -> Totals:
        with self.engine.connect() as connection:
            rows = connection.execute(sql).all()  # type: ignore[call-overload]  # a TextClause
        return {(r[0], r[1]): (r[2], r[3], r[4]) for r in rows}
