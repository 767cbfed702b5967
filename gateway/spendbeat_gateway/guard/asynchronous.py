"""The guard for asyncio; the same as Guard, awaited."""

import asyncio
from collections.abc import Generator, Mapping
from decimal import Decimal
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError

from spendbeat_gateway.guard import keys
from spendbeat_gateway.guard.answers import Hold, Refusal
from spendbeat_gateway.guard.client import chosen
from spendbeat_gateway.guard.core import Asked, Away, Core, Step
from spendbeat_gateway.guard.estimate import AsyncEstimator, Estimate, Limits
from spendbeat_gateway.guard.scripts import script

_T = TypeVar("_T")
# Of one event loop: Redis runs one script at a time, so more of them only wait elsewhere.
MOST_CONNECTIONS = 32


class AsyncGuard:
    """See Guard. May be used from several event loops; each has connections of its own."""

    def __init__(
        self,
        redis_url: str | None = None,
        *,
        lifetime: float = 900.0,
        timeout: float = 2.0,
        wait: float = 2.0,
    ) -> None:
        self._url, settings = chosen(redis_url)
        self._timeout = timeout
        self._core = Core(settings, lifetime=lifetime, wait=wait)
        self._clients: WeakKeyDictionary[asyncio.AbstractEventLoop, Redis] = WeakKeyDictionary()
        self._estimator = AsyncEstimator(self._client)
        self._cleaning: set[asyncio.Task[None]] = set()

    async def reserve(
        self,
        attribution: Mapping[str, object],
        estimate: Estimate | Decimal | None,
        *,
        provider: str,
        model: str,
        id: str | None = None,  # noqa: A002 - the name that everybody expects
        lifetime: float | None = None,
    ) -> Hold | Refusal:
        asked = Asked(
            attribution, estimate, provider=provider, model=model, hold=id, lifetime=lifetime
        )
        try:
            return await self._run(self._core.reserve(asked))
        except asyncio.CancelledError:
            # Redis may have given the room, and nobody will ever settle it.
            self._clean_up(Hold(asked.id, 0, enforced=True))
            raise

    async def estimate(
        self,
        provider: str,
        model: str,
        content: object,
        *,
        max_tokens: int | None = None,
        choices: int | None = None,
        longest_output: int | None = None,
        service_tier: str | None = None,
        cache_ttl: str | None = None,
    ) -> Estimate:
        limits = Limits(max_tokens, choices, longest_output, service_tier, cache_ttl)
        return await self._estimator.estimate(provider, model, content, limits)

    async def settle(self, hold: Hold, actual: Decimal | None) -> None:
        await self._run(self._core.settle(hold, actual))

    async def release(self, hold: Hold) -> None:
        await self._run(self._core.release(hold))

    def stats(self) -> dict[str, int]:
        return self._core.stats()

    async def aclose(self) -> None:
        """Tell Redis what it has not been told yet; close the connections of this event loop."""
        await self._run(self._core.close())
        client = self._clients.pop(asyncio.get_running_loop(), None)
        if client is not None:
            await client.aclose()
            await client.connection_pool.disconnect()

    def _clean_up(self, hold: Hold) -> None:
        task = asyncio.ensure_future(self.release(hold))
        self._cleaning.add(task)
        task.add_done_callback(self._cleaning.discard)

    async def _run(self, steps: Generator[Step, Any, _T]) -> _T:
        try:
            step = next(steps)
            while True:
                try:
                    reply = await self._do(*step)
                except (RedisError, OSError, asyncio.TimeoutError) as error:  # noqa: PERF203 - each step may fail
                    # Its text may name hosts and logins; its kind says enough.
                    step = steps.throw(Away(type(error).__name__))
                else:
                    step = steps.send(reply)
        except StopIteration as done:
            value: _T = done.value
            return value

    async def _do(self, what: str, arguments: tuple[Any, ...]) -> Any:  # noqa: ANN401 - as Redis answers
        if what == "sleep":
            return await asyncio.sleep(*arguments)
        client = self._client()
        if what == "get":
            return await client.get(*arguments)
        if what == "count":
            pipeline = client.pipeline(transaction=False)
            for decision, n in arguments[0].items():
                pipeline.hincrby(keys.COUNTS, decision, n)
            return await pipeline.execute()
        text, sha = script(what)
        try:
            return await client.evalsha(sha, 1, keys.VERSION, *arguments)
        except NoScriptError:
            return await client.eval(text, 1, keys.VERSION, *arguments)

    def _client(self) -> Redis:
        loop = asyncio.get_running_loop()
        client = self._clients.get(loop)
        if client is None:
            pool = BlockingConnectionPool.from_url(
                self._url,
                max_connections=MOST_CONNECTIONS,
                timeout=self._timeout,
                socket_timeout=self._timeout,
                socket_connect_timeout=self._timeout,
                retry=Retry(NoBackoff(), 1),
            )
            client = self._clients[loop] = Redis(connection_pool=pool)
        return client
