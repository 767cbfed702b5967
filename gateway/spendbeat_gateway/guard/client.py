"""The guard for threads."""

import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any, TypeVar

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError
from redis.retry import Retry

from spendbeat_gateway.guard import keys
from spendbeat_gateway.guard.answers import Hold, Refusal
from spendbeat_gateway.guard.core import Asked, Away, Core, Step
from spendbeat_gateway.guard.estimate import Estimate, Estimator, Limits
from spendbeat_gateway.guard.scripts import script
from spendbeat_gateway.guard.settings import GuardSettings, from_environment, plain_url
from spendbeat_gateway.guard.wire import Wire

_T = TypeVar("_T")
MOST_CONNECTIONS = 10_000


class Guard:
    """Thread-safe and fork-safe; make one per process.

    redis_url: SPENDBEAT_GATEWAY_REDIS_URL unless given. lifetime: seconds after which a hold that
    nobody settles gives its room back. timeout: seconds until Redis counts as away; wait: seconds
    for which a call waits for a counter that Redis does not have yet. Raises ValueError without a
    URL.
    """

    def __init__(
        self,
        redis_url: str | None = None,
        *,
        lifetime: float = 900.0,
        timeout: float = 2.0,
        wait: float = 2.0,
    ) -> None:
        url, settings = chosen(redis_url)
        self._core = Core(settings, lifetime=lifetime, wait=wait)
        self._wire = Wire(url, timeout)
        self._client: Redis = Redis.from_url(
            url,
            socket_timeout=timeout,
            socket_connect_timeout=timeout,
            retry=Retry(NoBackoff(), 1),
            max_connections=MOST_CONNECTIONS,
        )
        self._estimator = Estimator(lambda: self._client)

    def reserve(
        self,
        attribution: Mapping[str, object],
        estimate: Estimate | Decimal | None,
        *,
        provider: str,
        model: str,
        id: str | None = None,  # noqa: A002 - the name that everybody expects
        lifetime: float | None = None,
    ) -> Hold | Refusal:
        """Room in every budget that the call is in, or in none and the reason.

        attribution: organization, project, sprint, agent, user_id, team, api_key and tags (a list).
        estimate: dollars that the call costs at most; None where that is not known. The same id
        again has the same answer and takes nothing. Raises AmountError.
        """
        asked = Asked(
            attribution, estimate, provider=provider, model=model, hold=id, lifetime=lifetime
        )
        return self._run(self._core.reserve(asked))

    def estimate(
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
        """The most that a call costs; content: text, messages, or the whole request.

        What else may be said: see Limits.
        """
        limits = Limits(max_tokens, choices, longest_output, service_tier, cache_ttl)
        return self._estimator.estimate(provider, model, content, limits)

    def settle(self, hold: Hold, actual: Decimal | None) -> None:
        """The call has cost `actual` dollars; None: not known, so what was held. Idempotent.

        Raises AmountError.
        """
        self._run(self._core.settle(hold, actual))

    def release(self, hold: Hold) -> None:
        """The call was not made, or cost nothing. Idempotent; a later settle still counts."""
        self._run(self._core.release(hold))

    def stats(self) -> dict[str, int]:
        """Decisions of this process: "allowed", "refused:budget", ..., "local:allowed", "cold"."""
        return self._core.stats()

    def close(self) -> None:
        """Tell Redis what it has not been told yet, and disconnect."""
        self._run(self._core.close())
        self._wire.close()
        self._client.close()

    def _run(self, steps: Generator[Step, Any, _T]) -> _T:
        try:
            step = next(steps)
            while True:
                try:
                    reply = self._do(*step)
                except (RedisError, OSError) as error:  # noqa: PERF203 - each step may fail
                    # Its text may name hosts and logins; its kind says enough.
                    step = steps.throw(Away(type(error).__name__))
                else:
                    step = steps.send(reply)
        except StopIteration as done:
            value: _T = done.value
            return value

    def _do(self, what: str, arguments: tuple[Any, ...]) -> Any:  # noqa: ANN401 - as Redis answers
        if what == "sleep":
            return time.sleep(*arguments)
        if what == "get":
            return self._wire("GET", *arguments)
        if what == "count":
            return count(self._client, *arguments)
        return run(self._wire, what, *arguments)


def chosen(redis_url: str | None) -> tuple[str, GuardSettings]:
    """The URL in redis-py's spelling, and the settings. Raises ValueError where there is none."""
    settings = from_environment()
    url = redis_url or settings.redis_url
    if not url:
        raise ValueError("a guard needs redis_url, or SPENDBEAT_GATEWAY_REDIS_URL")
    return plain_url(url), replace(settings, redis_url=url)


def run(command: Callable[..., Any], name: str, *arguments: object) -> Any:  # noqa: ANN401 - as Redis answers
    """Run a script by a client's execute_command; Redis forgets scripts when it starts anew."""
    text, sha = script(name)
    try:
        return command("EVALSHA", sha, 1, keys.VERSION, *arguments)
    except NoScriptError:
        return command("EVAL", text, 1, keys.VERSION, *arguments)


def count(client: Any, counts: Mapping[str, int]) -> None:  # noqa: ANN401 - any client of Redis
    pipeline = client.pipeline(transaction=False)
    for decision, n in counts.items():
        pipeline.hincrby(keys.COUNTS, decision, n)
    pipeline.execute()
