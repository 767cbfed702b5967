"""How often a token may ask: so many requests in any minute, counted for all processes together.

The counts are in Redis where it answers, and otherwise in this process, which then lets its own
share through and no more is known. A sliding window of two counters per token, so that neither
memory nor time grows with what is sent.
"""

import asyncio
import logging
import math
import time
from collections.abc import Mapping
from typing import Literal

from limits import RateLimitItem, RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage, RedisStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from redis import RedisError
from redis.asyncio import BlockingConnectionPool
from spendbeat_gateway.guard.settings import plain_url

from spend.tokens import Token
from web.refusals import Refusal
from worker.settings import Settings

log = logging.getLogger(__name__)

# What is asked for counts by itself: a report that is refused must not keep an event waiting.
What = Literal["ask", "ingest", "guard"]
_PATIENCE = 0.25  # seconds that Redis has for an answer
_CONNECTIONS = 16
_LATER = 5.0  # seconds without asking it again after it gave none
_PREFIX = "spendbeat:rates"


class Rates:
    """The limits of one web process."""

    def __init__(self, chosen: Settings) -> None:
        per_minute: Mapping[What, int] = {
            "ask": chosen.web_rate,
            "ingest": chosen.web_ingest_rate,
            "guard": chosen.web_guard_rate,
        }
        self._items: dict[What, RateLimitItem] = {
            what: RateLimitItemPerMinute(most, namespace=what)
            for what, most in per_minute.items()
            if most
        }
        self._url = plain_url(chosen.broker_url)
        self._here = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._pool: BlockingConnectionPool | None = None
        self._shared: SlidingWindowCounterRateLimiter | None = None
        # A wait for a connection says nothing of Redis: nobody asks the pool for more than it has.
        self._asking = asyncio.Semaphore(_CONNECTIONS)
        self._ask_again = 0.0
        self._away = False

    async def admit(self, token: Token, what: What) -> None:
        """Count a request. Raises Refusal: 429, with the seconds after which it may come again."""
        item = self._items.get(what)
        if item is not None and (wait := await self._counted(item, str(token.id))):
            raise _too_often(item, wait)

    async def _counted(self, item: RateLimitItem, key: str) -> int:
        """Count a request; 0, or the seconds after which one may be counted again."""
        async with self._asking:
            if time.monotonic() >= self._ask_again:
                try:
                    wait = await _hit(self._together(), item, key)
                except (RedisError, OSError) as error:
                    self._gone(error)
                else:
                    self._away = False
                    return wait
        return await _hit(self._here, item, key)

    def _gone(self, error: Exception) -> None:
        self._ask_again = time.monotonic() + _LATER
        if not self._away:
            log.warning(
                "Requests are counted in this process alone: Redis: %s", type(error).__name__
            )
        self._away = True

    def _together(self) -> SlidingWindowCounterRateLimiter:
        # Made when it is first needed, in the loop that will use it.
        if self._shared is None:
            self._pool = BlockingConnectionPool.from_url(
                self._url,
                max_connections=_CONNECTIONS,
                timeout=_PATIENCE,
                socket_timeout=_PATIENCE,
                socket_connect_timeout=_PATIENCE,
            )
            storage = RedisStorage(
                "async+redis://",
                implementation="redispy",
                key_prefix=_PREFIX,
                connection_pool=self._pool,  # type: ignore[arg-type]  # what its docs name
            )
            self._shared = SlidingWindowCounterRateLimiter(storage)
        return self._shared

    async def aclose(self) -> None:
        if self._pool is not None:
            await self._pool.disconnect()


async def _hit(limiter: SlidingWindowCounterRateLimiter, item: RateLimitItem, key: str) -> int:
    if await limiter.hit(item, key):
        return 0
    stats = await limiter.get_window_stats(item, key)
    return max(1, math.ceil(stats.reset_time - time.time()))


def _too_often(item: RateLimitItem, wait: int) -> Refusal:
    return Refusal(
        429,
        "limited",
        f"This token may send {item.amount} such requests a minute; send this one again in"
        f" {wait} s.",
        headers={
            "Retry-After": str(wait),
            "RateLimit-Limit": str(item.amount),
            "RateLimit-Remaining": "0",
            "RateLimit-Reset": str(wait),
        },
    )
