"""Commands to Redis on a connection per thread.

redis-py's pool looks at a connection before and after each command, which costs as much as the
command. Here it is the connection alone that does the work: URL, TLS, login, protocol, timeouts.
"""

import os
import threading
from typing import Any
from weakref import WeakSet

from redis import ConnectionPool
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as LostError
from redis.exceptions import ResponseError
from redis.retry import Retry


class Wire:
    """Thread-safe and fork-safe. A connection is closed when its thread ends."""

    def __init__(self, url: str, timeout: float) -> None:
        self._pool = ConnectionPool.from_url(
            url,
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            retry=Retry(NoBackoff(), 0),
        )
        self._mine = threading.local()
        self._all: WeakSet[Any] = WeakSet()

    def __call__(self, *command: object) -> Any:  # noqa: ANN401 - as Redis answers
        """Raises redis' errors. A command that may have run runs once more: all of ours may."""
        connection = self._connection()
        packed = [pack(command)]
        try:
            return self._ask(connection, packed)
        except LostError:
            # Often the server has begun anew since the last command.
            return self._ask(connection, packed)

    def close(self) -> None:
        for connection in list(self._all):
            connection.disconnect()

    def _connection(self) -> Any:  # noqa: ANN401 - redis-py does not say what its methods take
        mine = self._mine
        if getattr(mine, "process", None) != os.getpid():
            mine.connection = self._pool.connection_class(**self._pool.connection_kwargs)
            mine.process = os.getpid()
            self._all.add(mine.connection)
        return mine.connection

    @staticmethod
    def _ask(connection: Any, packed: list[bytes]) -> Any:  # noqa: ANN401 - as above
        try:
            connection.send_packed_command(packed)
            return connection.read_response()
        except ResponseError:  # an answer
            raise
        except BaseException:
            # An answer that comes later would be taken for that of the next command.
            connection.disconnect()
            raise


def pack(command: tuple[object, ...]) -> bytes:
    """A command as Redis reads it."""
    words = [word if isinstance(word, bytes) else str(word).encode() for word in command]
    return b"".join(
        (b"*%d\r\n" % len(words), *(b"$%d\r\n%b\r\n" % (len(word), word) for word in words))
    )
