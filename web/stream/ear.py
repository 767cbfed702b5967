"""Hears the bell in Redis that says that the feed has something new."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable

from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.exceptions import RedisError
from spendbeat_gateway.guard.settings import plain_url

from worker.bell import CHANNEL

log = logging.getLogger(__name__)

# While nothing is heard, this is how often the connection is tried; one that broke without a word,
# and has no answer for so long, is made anew.
_TRIED = 15
_PAUSE = 1.0


async def listen(url: str, heard: Callable[[], None]) -> None:
    """Until it is cancelled; a subscription counts as heard, since the bell may have rung before.

    Where Redis is away there is only nothing to hear.
    """
    said = False
    while True:
        redis = Redis.from_url(plain_url(url), socket_connect_timeout=2)
        try:
            async with redis.pubsub() as bell:
                await bell.subscribe(CHANNEL)
                async for type_ in _messages(bell):
                    said = False
                    if type_ != "pong":
                        heard()
        except (RedisError, OSError) as error:
            if not said:  # once, not every second
                log.warning("Events wait for the next look: %s", type(error).__name__)
            said = True
        finally:
            await redis.aclose()
        await asyncio.sleep(_PAUSE)


async def _messages(bell: PubSub) -> AsyncIterator[str]:
    """The types of what comes. redis-py's own health check sends and waits for nothing."""
    asked = False
    while True:
        message = await bell.get_message(timeout=_TRIED)
        if message is not None:
            asked = False
            yield message["type"]
        elif asked:
            raise TimeoutError
        else:
            await bell.ping()
            asked = True
