"""A connection to LiteLLM's database: read-only by its own settings, and what is in its tables.

Prisma's URLs carry options that libpq refuses; those are left out, but for the schema.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg2.extensions
from sqlalchemy import URL, Connection, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError

from spend.litellm.errors import LitellmError, explained, no_columns, no_right, no_table

SPEND_LOGS = "LiteLLM_SpendLogs"
# What the oldest version has, and without which no row says anything.
NEEDED = ("request_id", "startTime", "spend", "prompt_tokens", "completion_tokens", "model")
_LIBPQ = {
    "sslmode", "sslrootcert", "sslcert", "sslkey", "sslcrl", "sslpassword", "host", "port",
    "connect_timeout", "target_session_attrs", "channel_binding", "gssencmode", "keepalives",
    "keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout",
}  # fmt: skip
_PLACES = text(
    "SELECT n.nspname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace"
    " WHERE c.relname = :table AND c.relkind IN ('r', 'p', 'v', 'm')"
    " ORDER BY n.nspname <> :schema, n.nspname"
)
# Only columns that the login may read are listed there.
_COLUMNS = text(
    "SELECT column_name FROM information_schema.columns"
    " WHERE table_schema = :schema AND table_name = :table"
)


class Source:
    """One database of LiteLLM's. Use connect() for each short look into it.

    seconds: how long one statement may take there.
    """

    def __init__(self, url: str, *, seconds: float = 60.0) -> None:
        parsed = _parsed(url)
        schema = parsed.query.get("schema")
        self.schema = schema if isinstance(schema, str) else "public"
        self.user = parsed.username or "this login"
        self.name = _name(parsed, self.schema)
        self._limits = text(
            f"SET LOCAL statement_timeout = {int(seconds * 1000)}; SET LOCAL lock_timeout = 2000;"
            " SET LOCAL idle_in_transaction_session_timeout = 300000; SET LOCAL timezone = 'UTC';"
            " SET LOCAL extra_float_digits = 1; SET LOCAL jit = off"
        )
        # PgBouncer refuses startup options. BEGIN READ ONLY holds there as well.
        pooled = parsed.query.get("pgbouncer") == "true"
        options = {} if pooled else {"options": "-c default_transaction_read_only=on"}
        kept = {name: value for name, value in parsed.query.items() if name in _LIBPQ}
        self._engine = create_engine(
            parsed.set(drivername="postgresql+psycopg2", query=kept),
            pool_size=1,
            pool_pre_ping=True,
            hide_parameters=True,
            connect_args={"connect_timeout": 10, "application_name": "spendbeat", **options},
        )
        event.listen(self._engine, "connect", _read_only)
        self._tables: dict[str, frozenset[str]] = {}

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        """A read-only transaction there. Raises LitellmError for whatever goes wrong in it."""
        try:
            with self._engine.connect() as connection, connection.begin():
                connection.execute(self._limits)
                yield connection
        except DBAPIError as error:
            raise explained(error, self.name) from error

    def close(self) -> None:
        """Let go of the connection."""
        self._engine.dispose()

    def table(self, name: str) -> str:
        """A table of LiteLLM's as it is written in SQL."""
        return f'"{self.schema}"."{name}"'

    def columns(self, connection: Connection, table: str) -> frozenset[str]:
        """The columns that can be read; empty where the table is not there or may not be read."""
        if table not in self._tables:
            found = connection.execute(_COLUMNS, {"schema": self.schema, "table": table})
            self._tables[table] = frozenset(found.scalars())
        return self._tables[table]

    def check(self) -> frozenset[str]:
        """The columns of the spend logs. Raises LitellmError where they cannot be read."""
        with self.connect() as connection:
            binds = {"table": SPEND_LOGS, "schema": self.schema}
            places = connection.execute(_PLACES, binds).scalars().all()
            if not places:
                raise no_table(self.name, SPEND_LOGS)
            if self.schema not in places:
                raise LitellmError(
                    f"{SPEND_LOGS} is in schema {places[0]!r} of {self.name}, not in"
                    f" {self.schema!r}. Add ?schema={places[0]} to the URL."
                )
            columns = self.columns(connection, SPEND_LOGS)
            usage = connection.scalar(
                text("SELECT has_schema_privilege(:schema, 'USAGE')"), {"schema": self.schema}
            )
        if not columns or not usage:
            raise no_right(self.name, self.schema, self.table(SPEND_LOGS), self.user)
        if missing := [name for name in NEEDED if name not in columns]:
            raise no_columns(self.name, SPEND_LOGS, missing)
        return columns


def _read_only(connection: psycopg2.extensions.connection, _record: object) -> None:
    connection.set_session(readonly=True)


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise LitellmError(
            "LITELLM_DATABASE_URL is not a URL such as postgresql://user@host/litellm."
        ) from None
    if parsed.get_backend_name() not in {"postgresql", "postgres"}:
        raise LitellmError(
            f"LITELLM_DATABASE_URL must start with postgresql://, not {parsed.drivername}://."
        )
    return parsed


def _name(url: URL, schema: str) -> str:
    """What the source is called: where it is, without who reads it."""
    host = url.host or url.query.get("host") or "localhost"
    port = f":{url.port}" if url.port not in {None, 5432} else ""
    suffix = "" if schema == "public" else f"?schema={schema}"
    return f"{host}{port}/{url.database or ''}{suffix}"
