"""The guard for threads."""

from collections.abc import Mapping
from decimal import Decimal

from spendbeat_gateway.guard.answers import Hold, Refusal
from spendbeat_gateway.guard.estimate import Estimate


class Guard:
    """Thread-safe and fork-safe; make one per process.

    redis_url: SPENDBEAT_GATEWAY_REDIS_URL unless given. lifetime: seconds after which a hold that
    nobody settles gives its room back.
    """

    def __init__(self, redis_url: str | None = None, *, lifetime: float = 900.0) -> None:
        raise NotImplementedError

    def reserve(
        self,
        attribution: Mapping[str, object],
        estimate: Estimate | Decimal,
        *,
        provider: str,
        model: str,
        id: str | None = None,  # noqa: A002 - the name that everybody expects
        lifetime: float | None = None,
    ) -> Hold | Refusal:
        """Room in every budget that the call is in, or in none and the reason."""
        raise NotImplementedError

    def settle(self, hold: Hold, actual: Decimal | None) -> None:
        """The call has cost `actual` dollars; None: not known, so what was held. Idempotent."""
        raise NotImplementedError

    def release(self, hold: Hold) -> None:
        """The call was not made, or cost nothing. Idempotent; a later settle still counts."""
        raise NotImplementedError

    def stats(self) -> dict[str, int]:
        """Decisions of this process: "allowed", "refused:budget", ..., "local:allowed", "cold"."""
        raise NotImplementedError

    def close(self) -> None:
        raise NotImplementedError
