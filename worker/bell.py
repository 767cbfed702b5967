"""A bell in Redis that says that the feed may have something new.

Whoever hears it looks into Postgres. It is rung after a commit, and nobody depends on it: where
Redis is away, listeners look by themselves a second later.
"""

import time
from functools import cache

from redis import Redis
from redis.exceptions import RedisError

from worker import broker
from worker.settings import settings

CHANNEL = "{spendbeat}:feed"
_PATIENCE = 0.5
# While Redis is away, only one in so many seconds waits for it.
_PAUSE = 5.0
_quiet_until = 0.0


def ring() -> None:
    """Tell every process that serves listeners to look; never an error."""
    global _quiet_until  # noqa: PLW0603 - of this process
    if time.monotonic() < _quiet_until:
        return
    try:
        _client(settings().broker_url).publish(CHANNEL, b"")
    except RedisError:
        _quiet_until = time.monotonic() + _PAUSE


@cache
def _client(url: str) -> Redis:
    return broker.client(url, _PATIENCE)
