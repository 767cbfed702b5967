"""Loads what guards miss, while somebody waits for a call.

A thread of each web process. Guards ring a bell in Redis; one process hears each ring. What none
hears is served by the next reconciliation that beat sends.
"""

import logging
import threading
from datetime import UTC, datetime

from redis import Redis
from redis.exceptions import RedisError
from spendbeat_gateway.guard import publishing
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from spend.errors import SpendbeatError
from worker import broker, guard

log = logging.getLogger(__name__)

# How long one look at the bell takes, and so how long the end of the process may wait for it.
_LISTEN = 1.0
# Between two attempts while a server is away.
_PAUSE = 1.0
# More than a look at the bell, less than anybody's patience.
_TIMEOUT = 5.0


class Loader:
    """Runs from start() to stop()."""

    def __init__(self, engine: Engine, url: str) -> None:
        self._engine = engine
        self._redis: Redis = broker.client(url, _TIMEOUT)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="spendbeat-guard", daemon=True)
        self._said = ""

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Let what has begun be finished."""
        self._stopping.set()
        self._thread.join()
        self._redis.close()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                if publishing.wait(self._redis, _LISTEN):
                    self._serve()
            except (RedisError, SQLAlchemyError, SpendbeatError) as error:
                self._say_once(error)
                self._stopping.wait(_PAUSE)
            except Exception:
                log.exception("Loading what guards miss failed.")
                self._stopping.wait(_PAUSE)

    def _serve(self) -> None:
        with Session(self._engine) as session, session.begin():
            guard.serve(session, self._redis, datetime.now(UTC))
        self._said = ""

    def _say_once(self, error: Exception) -> None:
        if isinstance(error, SpendbeatError):
            text = str(error)
        else:  # a driver's words may hold a URL
            text = f"What guards miss cannot be loaded: {type(error).__name__}"
        if text != self._said:
            log.warning("%s", text)
        self._said = text
