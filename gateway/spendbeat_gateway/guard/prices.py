"""Prices in Redis: a guard reads them, the service publishes them.

Hash `prices`, a field per model as requests name it, "provider/model"; docs/guard.md has the form
of the values. A model that is not there is asked for through `wanted`, and waited for a little.
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from spendbeat_gateway.faults import guarded
from spendbeat_gateway.guard import keys
from spendbeat_gateway.guard.rates import Price, parse

if TYPE_CHECKING:
    from redis import Redis
    from redis.asyncio import Redis as AsyncRedis

PRICES = keys.PREFIX + "prices"
WANTED = "price:"  # before the name of a model among what is wanted
LONGEST_NAME = 512
_POLL = 0.02  # seconds
# After so many seconds a price that did not come, or a Redis that was away, is asked for again.
_AGAIN = 15.0
_MOST_KEPT = 10_000
_MOST_BELLS = 100
_CHUNK = 500


class _Kept(NamedTuple):
    text: str | bytes | None
    price: Price | None
    until: float  # by time.monotonic()


_NOTHING = _Kept(None, None, 0.0)


class _Cache:
    def __init__(self, fresh: float) -> None:
        self._fresh = fresh
        self._kept: dict[str, _Kept] = {}

    def fresh(self, name: str) -> _Kept | None:
        kept = self._kept.get(name)
        return kept if kept is not None and time.monotonic() < kept.until else None

    def keep(self, name: str, text: str | bytes | None) -> Price | None:
        """The price that Redis said; None: it said nothing, so what was known stays for a while."""
        before = self._kept.get(name, _NOTHING)
        seconds = self._fresh
        if text is None:
            text, seconds = before.text, _AGAIN
        price = before.price if text == before.text else _parsed(text)
        if len(self._kept) >= _MOST_KEPT:
            self._kept = {}
        self._kept[name] = _Kept(text, price, time.monotonic() + seconds)
        return price


@guarded(None)
def _parsed(text: str | bytes | None) -> Price | None:
    return None if text is None else parse(text)


class Prices:
    """Prices of models, each asked for once in `fresh` seconds; thread-safe.

    wait: seconds in which the service may publish a model that nobody has asked for before.
    """

    def __init__(self, client: "Callable[[], Redis]", *, wait: float, fresh: float) -> None:
        self._client = client
        self._wait = wait
        self._cache = _Cache(fresh)

    def find(self, provider: str, model: str) -> Price | None:
        """The price of a model; None where it is not known, or Redis is away and never told it."""
        name = f"{provider}/{model}"
        kept = self._cache.fresh(name)
        if kept is not None or len(name) > LONGEST_NAME:
            return kept.price if kept is not None else None
        try:
            return self._cache.keep(name, self._read(name))
        except Exception:  # noqa: BLE001 - Redis and sockets fail in many ways; reserve() tells of it
            return self._cache.keep(name, None)

    def _read(self, name: str) -> str | bytes | None:
        redis = self._client()
        text: str | bytes | None = redis.hget(PRICES, name)
        if text is None:
            _want(redis.pipeline(), name).execute()
        end = time.monotonic() + self._wait
        while text is None and time.monotonic() < end:
            time.sleep(_POLL)
            text = redis.hget(PRICES, name)
        return text


class AsyncPrices:
    """The same for asyncio."""

    def __init__(self, client: "Callable[[], AsyncRedis]", *, wait: float, fresh: float) -> None:
        self._client = client
        self._wait = wait
        self._cache = _Cache(fresh)

    async def find(self, provider: str, model: str) -> Price | None:
        """See Prices."""
        name = f"{provider}/{model}"
        kept = self._cache.fresh(name)
        if kept is not None or len(name) > LONGEST_NAME:
            return kept.price if kept is not None else None
        try:
            return self._cache.keep(name, await self._read(name))
        except Exception:  # noqa: BLE001 - as above
            return self._cache.keep(name, None)

    async def _read(self, name: str) -> str | bytes | None:
        redis = self._client()
        text: str | bytes | None = await redis.hget(PRICES, name)
        if text is None:
            await _want(redis.pipeline(), name).execute()
        end = time.monotonic() + self._wait
        while text is None and time.monotonic() < end:
            await asyncio.sleep(_POLL)
            text = await redis.hget(PRICES, name)
        return text


def _want(pipeline: Any, name: str) -> Any:  # noqa: ANN401 - redis' pipeline or the async one
    """Ask the service for a model, and ring for it."""
    pipeline.sadd(keys.WANTED, WANTED + name)
    pipeline.lpush(keys.BELL, WANTED + name)
    pipeline.ltrim(keys.BELL, 0, _MOST_BELLS - 1)
    return pipeline


def publish_prices(redis: "Redis", prices: Mapping[str, str]) -> int:
    """Put prices (by "provider/model") where guards read them; how many were new or changed."""
    names = sorted(prices)
    changed = 0
    for begin in range(0, len(names), _CHUNK):
        some = names[begin : begin + _CHUNK]
        known = redis.hmget(PRICES, some)
        different: dict[Any, Any] = {
            name: prices[name]
            for name, said in zip(some, known)  # noqa: B905 - one answer for each
            if (said.decode() if isinstance(said, bytes) else said) != prices[name]
        }
        if different:
            redis.hset(PRICES, mapping=different)
        changed += len(different)
    return changed


def published(redis: "Redis") -> set[str]:
    """The models whose prices are there."""
    return {name.decode() if isinstance(name, bytes) else name for name in redis.hkeys(PRICES)}


def withdraw(redis: "Redis", names: "set[str]") -> None:
    """Take prices away; a guard that needs one of them asks for it."""
    some = sorted(names)
    for begin in range(0, len(some), _CHUNK):
        redis.hdel(PRICES, *some[begin : begin + _CHUNK])
