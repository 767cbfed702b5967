"""What a call will cost at most, before it is made."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING

from spendbeat_gateway.faults import guarded
from spendbeat_gateway.guard import asking, encodings
from spendbeat_gateway.guard.prices import AsyncPrices, Prices
from spendbeat_gateway.guard.rates import Price, Use
from spendbeat_gateway.guard.tokens import Counter

if TYPE_CHECKING:
    from redis import Redis
    from redis.asyncio import Redis as AsyncRedis

# Output of a request that does not limit it, of a model whose own limit is not known. No bound.
DEFAULT_OUTPUT = 16_384
# Input of a request that is not understood. No bound, but not for nothing either.
_UNREADABLE = 200_000
# Texts beyond so many characters are counted beside the event loop: below, it takes a millisecond.
_LARGE = 10_000
_ASSUMED = "assumed"


@dataclass(frozen=True)
class Estimate:
    """dollars: None where the price is not known. upper_bound: whether it cannot cost more.

    tokens: of input and output together, as far as they are in the bound. how: in words.
    """

    dollars: Decimal | None
    tokens: int
    upper_bound: bool
    how: str


@dataclass(frozen=True)
class Limits:
    """What is known of a call beside its content; what is None is read from there.

    longest_output: the longest answer that the model can give. service_tier: as asked for.
    cache_ttl: for how long the prompt will be cached, "1h" or "5m"; by default what it says itself.
    """

    max_tokens: int | None = None
    choices: int | None = None
    longest_output: int | None = None
    service_tier: str | None = None
    cache_ttl: str | None = None


@dataclass(frozen=True)
class _Counted:
    """What a request uses at most; counter, limit: how that is known."""

    use: Use
    counter: str
    limit: str
    unbounded: tuple[str, ...]

    def how(self, price: str) -> str:
        words = f"{self.use.input} input tokens ({self.counter}), {self.use.output} output tokens"
        without = f", no bound for {', '.join(self.unbounded)}" if self.unbounded else ""
        return f"{words} ({self.limit}){without}; {price}"


_NOT_UNDERSTOOD = _Counted(
    Use(_UNREADABLE, DEFAULT_OUTPUT), _ASSUMED, _ASSUMED, ("a request that is not understood",)
)


class Estimator:
    """Estimates at the prices in Redis, which is asked once a minute for each model.

    client: gives the connection. Neither a strange request nor a Redis that is away raises.
    """

    def __init__(
        self, client: "Callable[[], Redis]", *, wait: float = 2.0, fresh: float = 60.0
    ) -> None:
        self._prices = Prices(client, wait=wait, fresh=fresh)

    def estimate(
        self, provider: str, model: str, content: object, limits: Limits = Limits()
    ) -> Estimate:
        """The most that a call costs; content: text, messages, or the whole request."""
        price = self._prices.find(provider, model)
        return estimate(price, provider, model, content, limits)


class AsyncEstimator:
    """The same for asyncio; one for all event loops."""

    def __init__(
        self, client: "Callable[[], AsyncRedis]", *, wait: float = 2.0, fresh: float = 60.0
    ) -> None:
        self._prices = AsyncPrices(client, wait=wait, fresh=fresh)

    async def estimate(
        self, provider: str, model: str, content: object, limits: Limits = Limits()
    ) -> Estimate:
        """See Estimator."""
        price = await self._prices.find(provider, model)
        if _size(content) > _LARGE:
            return await asyncio.to_thread(estimate, price, provider, model, content, limits)
        return estimate(price, provider, model, content, limits)


def estimate(
    price: Price | None,
    provider: str,
    model: str,
    content: object,
    limits: Limits = Limits(),
    *,
    now: float | None = None,
) -> Estimate:
    """The most that a call costs at a price (None: not known). Needs no connection.

    now: seconds since 1970.
    """
    moment = time.time() if now is None else now
    counted = _count(provider, model, content, limits) or _NOT_UNDERSTOOD
    if price is not None and counted.limit == _ASSUMED and price.without_output(moment):
        use = replace(counted.use, output=0)
        counted = replace(counted, use=use, limit="the price has none")
    use = counted.use
    bounded = not counted.unbounded and counted.limit != _ASSUMED
    dollars = None if price is None else price.most(use, moment)
    source = "no price" if price is None else price.source(moment)
    return Estimate(dollars, use.input + use.output, bounded, counted.how(source))


@guarded(None)
def _count(provider: str, model: str, content: object, limits: Limits) -> _Counted:
    counter = Counter(encodings.encoding_of(provider, model))
    ask = asking.read(content, counter)
    output, limit = _output(ask, limits)
    choices = ask.choices if limits.choices is None else max(1, limits.choices)
    hour = limits.cache_ttl is not None and limits.cache_ttl != "5m"
    use = Use(
        ask.input,
        output * choices + ask.more_output,
        limits.service_tier or ask.tier,
        hour or (ask.long_writes and limits.cache_ttl is None),
        ask.audio_input,
    )
    return _Counted(use, counter.how, limit, tuple(sorted(ask.unbounded)))


def _output(ask: asking.Ask, limits: Limits) -> tuple[int, str]:
    said = asking.whole(limits.max_tokens)
    asked = ask.output if said is None else said
    longest = asking.whole(limits.longest_output)
    if asked is not None:
        # Not the least of both: a provider may know a longer limit than whoever told us.
        return asked, "max_tokens"
    if longest is not None:
        return longest, "the model's limit"
    return DEFAULT_OUTPUT, _ASSUMED


def _size(content: object, depth: int = 0) -> int:
    """About how many characters are in a request; stops where that is enough to know."""
    if isinstance(content, str):
        return len(content)
    if depth > 4:  # noqa: PLR2004 - messages, message, parts, part
        return 0
    if isinstance(content, dict):
        content = list(content.values())
    if not isinstance(content, list | tuple):
        return 0
    total = 0
    for inner in content:
        total += _size(inner, depth + 1)
        if total > _LARGE:
            break
    return total
