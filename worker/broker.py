"""The broker beside Celery: whether it is there, and how long its queues are."""

import socket
import sys
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from redis import Redis

from spend.errors import SpendbeatError, UnavailableError
from worker.embedded import paths
from worker.settings import settings


def client(url: str, timeout: float = 2.0) -> Redis:
    """A client for a broker URL in kombu's spelling; each command fails after `timeout` seconds."""
    parts = urlsplit(url)
    if parts.scheme == "redis+socket":
        database = parse_qs(parts.query).get("virtual_host", ["0"])[0]
        url = f"unix://{parts.path}?db={database}"
    return Redis.from_url(url, socket_timeout=timeout, socket_connect_timeout=timeout)


def require_servers() -> None:
    """Raise UnavailableError where an embedded server that is needed does not run.

    Servers given by a URL are not checked: they may well start after the worker, which waits.
    """
    chosen = settings()
    missing = []
    postgres = paths.sockets(chosen.home) / ".s.PGSQL.5432"
    if chosen.embedded_postgres and not _listens(postgres):
        missing.append(("Postgres", "DATABASE_URL"))
    if chosen.embedded_redis and not _listens(paths.redis_socket(chosen.home)):
        missing.append(("Redis", "REDIS_URL"))
    if missing:
        names = " and ".join(name for name, _ in missing)
        variables = " and ".join(variable for _, variable in missing)
        raise UnavailableError(
            f"The embedded {names} of {chosen.home} {'does' if len(missing) == 1 else 'do'} not"
            " run. Start everything with 'spendbeat up' or the servers alone with 'spendbeat"
            f" servers', or set {variables} to a server of your own."
        )


def require_servers_or_exit() -> None:
    """The same for a process of Celery's, which would answer with a page of traceback."""
    try:
        require_servers()
    except SpendbeatError as error:
        sys.exit(f"Error: {error}")


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client_socket:
        client_socket.settimeout(2)
        try:
            client_socket.connect(str(path))
        except OSError:
            return False
    return True
