"""Where the embedded servers keep their data and their sockets."""

import hashlib
from pathlib import Path
from urllib.parse import quote

# A Unix socket's path may have at most 107 bytes; the longest name used below it has 20.
_SOCKET_DIR_LIMIT = 80


def postgres_data(home: Path) -> Path:
    return home / "postgres"


def redis_data(home: Path) -> Path:
    return home / "redis"


def sockets(home: Path) -> Path:
    """The folder of both sockets: in the home, or in /tmp where the home's path is too long."""
    inside = home / "run"
    if len(str(inside).encode()) <= _SOCKET_DIR_LIMIT:
        return inside
    name = hashlib.blake2b(str(home).encode(), digest_size=6).hexdigest()
    return Path("/tmp") / f"spendbeat-{name}"  # noqa: S108 - created 0700 and checked for its owner


def postgres_url(home: Path, database: str = "spendbeat") -> str:
    return f"postgresql+psycopg2://postgres@/{database}?host={quote(str(sockets(home)), safe='')}"


def redis_socket(home: Path) -> Path:
    return sockets(home) / "redis.sock"


def redis_url(home: Path) -> str:
    return f"redis+socket://{redis_socket(home)}?virtual_host=0"
