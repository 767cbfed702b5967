"""The guard for asyncio; the same as Guard, awaited."""

from collections.abc import Mapping
from decimal import Decimal

from spendbeat_gateway.guard.answers import Hold, Refusal
from spendbeat_gateway.guard.estimate import Estimate


class AsyncGuard:
    """See Guard. May be used from several event loops; each has connections of its own."""

    def __init__(self, redis_url: str | None = None, *, lifetime: float = 900.0) -> None:
        raise NotImplementedError

    async def reserve(
        self,
        attribution: Mapping[str, object],
        estimate: Estimate | Decimal,
        *,
        provider: str,
        model: str,
        id: str | None = None,  # noqa: A002 - the name that everybody expects
        lifetime: float | None = None,
    ) -> Hold | Refusal:
        raise NotImplementedError

    async def settle(self, hold: Hold, actual: Decimal | None) -> None:
        raise NotImplementedError

    async def release(self, hold: Hold) -> None:
        raise NotImplementedError

    def stats(self) -> dict[str, int]:
        raise NotImplementedError

    async def aclose(self) -> None:
        raise NotImplementedError
