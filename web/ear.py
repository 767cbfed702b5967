"""Hears the bell in Redis that says that the feed has something new."""

import asyncio
import logging
from collections.abc import Callable

from redis.asyncio import Redis
from redis.exceptions import RedisError
from spendbeat_gateway.guard.settings import plain_url

from worker.bell import CHANNEL

log = logging.getLogger(__name__)

# While nothing is heard, this is how often the connection is tried, so that one that broke without
# a word is noticed.
_TRIED = 15
_PAUSE = 1.0


async def listen(url: str, heard: Callable[[], None]) -> None:
    """Until it is cancelled; a subscription counts as heard, since the bell may have rung before.

    Where Redis is away there is only nothing to hear.
    """
    said = False
    while True:
        redis = Redis.from_url(
            plain_url(url),
            socket_connect_timeout=2,
            health_check_interval=_TRIED,
        )
        try:
            async with redis.pubsub() as bell:
                await bell.subscribe(CHANNEL)
                while True:
                    if await bell.get_message(timeout=_TRIED) is not None:
                        heard()
                        said = False
        except (RedisError, OSError) as error:
            if not said:  # once, not every second
                log.warning("Events wait for the next look: %s", type(error).__name__)
            said = True
        finally:
            await redis.aclose()
        await asyncio.sleep(_PAUSE)
