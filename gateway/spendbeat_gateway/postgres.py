"""Straight into the ledger's database, as a role that may add events and nothing else."""

from contextlib import suppress
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

from spendbeat_gateway.answers import Answer, Bad, Later, Taken, scrubbed

if TYPE_CHECKING:
    import psycopg2.extensions

_CONNECT = 5  # seconds
_ROUTES = ("gateway", "litellm")
_INSERT = "INSERT INTO event_inbox (route, body) VALUES %s"


class Postgres:
    """Adds events to event_inbox; needs the extra `postgres`."""

    def __init__(self, url: str) -> None:
        self._url = url.replace("postgresql+psycopg2://", "postgresql://", 1)
        parts = _parts(self._url)
        self._secrets = (url, self._url, *([parts.password] if parts and parts.password else []))
        self._connection: psycopg2.extensions.connection | None = None

    @property
    def where(self) -> str:
        parts = _parts(self._url)
        return f"the database at {(parts and parts.hostname) or 'this machine'}"

    def send(
        self, route: str, bodies: list[str], *, state: dict[str, str], timeout: float
    ) -> Answer:
        del state  # the table has no place for it; the database's own figures say what waits
        if route not in _ROUTES:
            return Bad(f"no route is called {route!r:.40}")
        try:
            import psycopg2  # noqa: PLC0415 - an extra, and only for this way
            import psycopg2.extras  # noqa: PLC0415 - as above
        except ImportError:
            return Later(
                "SPENDBEAT_GATEWAY_DATABASE_URL needs psycopg2: pip install"
                " 'spendbeat-gateway[postgres]'",
                60.0,
                loud=True,
            )
        try:
            connection = self._connected(timeout)
            with connection, connection.cursor() as cursor:
                cursor.execute("SET LOCAL statement_timeout = %s", (int(timeout * 1000),))
                rows = [(route, body) for body in bodies]
                psycopg2.extras.execute_values(cursor, _INSERT, rows, page_size=len(rows))
        except psycopg2.Error as error:
            self._close()
            away = isinstance(error, psycopg2.OperationalError | psycopg2.InterfaceError)
            return Later(
                f"{self.where} did not take events: {scrubbed(str(error), self._secrets)}",
                loud=not away,
            )
        return Taken()

    def _connected(self, timeout: float) -> "psycopg2.extensions.connection":
        import psycopg2  # noqa: PLC0415 - see send()

        if self._connection is None or self._connection.closed:
            self._connection = psycopg2.connect(
                self._url,
                connect_timeout=max(1, min(_CONNECT, int(timeout))),
                options="-c role=spendbeat_sender",
                application_name="spendbeat-gateway",
                keepalives_idle=10,
                keepalives_interval=5,
                keepalives_count=3,
                tcp_user_timeout=30_000,
            )
        return self._connection

    def abandon(self) -> None:
        self._connection = None  # psycopg2 closes nothing that another process opened

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(Exception):  # it may be broken in any way
                connection.close()


def _parts(url: str) -> SplitResult | None:
    try:
        return urlsplit(url)
    except ValueError:
        return None
