"""The way of a request to the guard: token, body, guard, answer; never through a thread."""

import logging
import traceback
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from spendbeat_gateway.guard import AsyncGuard
from starlette.requests import Request
from starlette.responses import Response

from web import bodies, refusals
from web.arrivals import Arrivals
from web.refusals import Refusal
from web.service import Service

log = logging.getLogger(__name__)

# Each waits for Redis, at most two seconds for what is cold; a body of its own at most.
_IN_FLIGHT = 512
_BODY = 8 << 20

Act = Callable[["Guarding", dict[str, Any]], Awaitable[Response]]


class Guarding:
    """The guard of this process, and who may ask it."""

    def __init__(self, service: Service, redis_url: str) -> None:
        self.service = service
        self.arrivals = Arrivals(redis_url)
        self._redis_url = redis_url
        self._guard: AsyncGuard | None = None
        self._in_flight = 0
        service.closing.append(self.aclose)

    @property
    def guard(self) -> AsyncGuard:
        if self._guard is None:
            self._guard = AsyncGuard(self._redis_url)
        return self._guard

    async def answer(self, request: Request, act: Act) -> Response:
        """Every outcome is an answer."""
        if self._in_flight >= _IN_FLIGHT:
            return refused(refusals.busy(_IN_FLIGHT))
        self._in_flight += 1
        try:
            token = await self.service.tokens.require(request, "guard")
            self.service.notes.used(token.id)
            await self.service.admit(request, token, "guard")
            return await act(self, await self._said(request))
        except Refusal as refusal:
            return refused(refusal)
        except Exception as error:  # noqa: BLE001 - an error of ours ends this request, not others
            # Without its message, which may quote what was sent.
            where = "".join(traceback.format_tb(error.__traceback__))
            log.error("The guard failed with %s:\n%s", type(error).__name__, where.rstrip())  # noqa: TRY400 - see above
            return refused(refusals.failed())
        finally:
            self._in_flight -= 1

    async def _said(self, request: Request) -> dict[str, Any]:
        kind = bodies.content_type(request)
        if kind != bodies.JSON:
            raise refusals.unsupported(f"Content-Type must be {bodies.JSON}, not {kind!r:.80}.")
        body = await bodies.received(request, min(_BODY, self.service.limits.body))
        plain = bodies.unpacked(body, request.headers.get("content-encoding", ""), _BODY)
        try:
            said = orjson.loads(plain)
        except orjson.JSONDecodeError as error:
            raise refusals.invalid(f"The body is not JSON: {error}.") from None
        if not isinstance(said, dict):
            raise refusals.invalid("The body must be a JSON object.")
        return said

    async def aclose(self) -> None:
        await self.arrivals.aclose()
        if self._guard is not None:
            await self._guard.aclose()


def refused(refusal: Refusal) -> Response:
    return Response(orjson.dumps(refusal.as_json()), refusal.status, refusal.headers, bodies.JSON)
