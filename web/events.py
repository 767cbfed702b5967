"""GET /events: the feed as server-sent events."""

import asyncio
import logging
import random
from collections.abc import Mapping

from fastapi import APIRouter
from fastapi.sse import KEEPALIVE_COMMENT, format_sse_event
from sqlalchemy.exc import SQLAlchemyError
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from models import FEED_KINDS
from web import refusals
from web.described import events as described
from web.guarding import refused
from web.refusals import Refusal
from web.service import Service
from web.stream.cutting import cut
from web.stream.hub import Hub
from web.stream.listeners import End, Listener, Place, parse
from web.stream.looking import reset

log = logging.getLogger(__name__)

SCOPE = "read"
# An idle connection is dropped by proxies after half a minute or more.
HEARTBEAT = 15.0
# Who takes nothing for so long is gone, or will be told again what it missed.
STUCK = 30.0
_GOODBYE = 1.0
_USUAL = frozenset({"gone", "stopping"})
# Milliseconds until a client comes again; by chance, so that not all come at once.
_RETRY = (1000, 3000)
KINDS = tuple(kind for kind in FEED_KINDS if kind != "reset")
_HEADERS = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-store, no-transform",
    # A proxy that collects what comes before it passes it on would deliver nothing.
    "X-Accel-Buffering": "no",
}


class Stream(Response):
    """One listener's answer, which ends with the listener."""

    def __init__(self, service: Service, listener: Listener, last_id: str | None) -> None:
        super().__init__()
        self._service = service
        self._hub: Hub = service.hub
        self._listener = listener
        self._last_id = last_id
        self._begun = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        listener = self._listener
        try:
            try:
                self._hub.admit(listener)
                place = await self._hub.looked()
            except Refusal as refusal:
                await refused(refusal)(scope, receive, send)
                if refusal.result == "full":
                    self._service.metrics.sse_closed("full")
                return
            with self._service.metrics.sse_client():
                why = await self._until_over(place, receive, send)
            if not self._begun:
                await refused(_instead(why))(scope, receive, send)
            elif not await _bade_farewell(send):
                cut(scope)
        finally:
            self._hub.leave(listener)

    async def _until_over(self, place: Place, receive: Receive, send: Send) -> End:
        """Both tasks end the listener; it may also be ended from elsewhere."""
        listener = self._listener
        tasks = [
            asyncio.create_task(self._talk(place, send)),
            asyncio.create_task(_hung_up(receive, listener)),
        ]
        try:
            why = await listener.over
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        self._service.metrics.sse_closed(why)
        level = logging.DEBUG if why in _USUAL else logging.INFO
        log.log(level, "/events of %s ended: %s", listener.token.name, why)
        return why

    async def _talk(self, newest: Place, send: Send) -> None:
        try:
            await self._say_all(newest, send)
        except TimeoutError:
            self._listener.end("slow")
        except (Refusal, SQLAlchemyError):
            self._listener.end("failed")
        except Exception:
            log.exception("A stream of events failed")
            self._listener.end("failed")

    async def _say_all(self, newest: Place, send: Send) -> None:
        headers = Headers(_HEADERS)
        self._begun = True
        await send({"type": "http.response.start", "status": 200, "headers": headers.raw})
        asked = self._last_id
        begin = parse(asked) if asked is not None else newest
        opening = format_sse_event(
            retry=random.randint(*_RETRY),  # noqa: S311 - spreads load, no secret
            id=str(newest) if asked is None else None,
        )
        await self._say(send, opening)
        await self._catch_up(begin, newest, send)
        while True:
            item = await self._listener.next(HEARTBEAT)
            if item is None:
                # With the id, so that a client goes on from here though nothing was for it.
                here = format_sse_event(id=str(self._listener.place))
                await self._say(send, KEEPALIVE_COMMENT.removesuffix(b"\n") + here)
                continue
            place, kind, told = item
            await self._say(send, told)
            self._listener.place = place
            self._service.metrics.sse_sent(kind)

    async def _catch_up(self, place: Place | None, newest: Place, send: Send) -> None:
        """Send what was missed since a place, page by page, until the reader is reached."""
        hub, listener = self._hub, self._listener
        # An id that a client brings may be ahead of our reader, or of everything.
        known = place == newest
        while place is None or not (known and hub.joined(listener, place)):
            part = await hub.missed(listener, place) if place is not None else None
            known = True
            if part is not None and not part.live:
                listener.end("revoked")
                return
            if part is None or part.place is None:
                place = await hub.looked()
                await self._say(send, reset(place))
                self._service.metrics.sse_sent("reset")
                continue
            for kind, told in part.events:
                await self._say(send, told)
                self._service.metrics.sse_sent(kind)
            if part.place == place:
                await hub.looked()  # it is ahead of our reader
            place = part.place

    async def _say(self, send: Send, told: bytes) -> None:
        message: Message = {"type": "http.response.body", "body": told, "more_body": True}
        async with asyncio.timeout(STUCK):
            await send(message)


def _instead(why: End) -> Refusal:
    """Of a stream that ended before it began."""
    if why == "revoked":
        return refusals.unauthorized("This token was revoked.")
    return refusals.stopping()


async def _bade_farewell(send: Send) -> bool:
    """End the answer; False where the other side does not take what it was sent before."""
    try:
        async with asyncio.timeout(_GOODBYE):
            await send({"type": "http.response.body", "body": b"", "more_body": False})
    except TimeoutError:
        return False
    return True


async def _hung_up(receive: Receive, listener: Listener) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    listener.end("gone")


def router(service: Service) -> APIRouter:
    """GET /events."""
    routes = APIRouter()

    @routes.get("/events", summary="Listen", response_class=Response, **described.LISTEN)
    async def events(request: Request) -> Response:
        """What happens, as server-sent events, until somebody hangs up: spend that was counted,
        alerts that changed. It begins now, or after Last-Event-ID without a hole.
        """
        try:
            token = await service.tokens.require(request, SCOPE, tenants=True)
            await service.admit(request, token, "ask")
            kinds = _kinds(request)
        except Refusal as refusal:
            return refused(refusal)
        service.notes.used(token.id)
        last_id = request.headers.get("last-event-id") or request.query_params.get("last_event_id")
        return Stream(service, Listener(token, kinds), last_id)

    return routes


def _kinds(request: Request) -> list[str]:
    asked: Mapping[str, str] = request.query_params
    if unknown := sorted(asked.keys() - {"kinds", "last_event_id"}):
        raise refusals.invalid(
            f"There is no parameter {unknown[0]!r:.60}; it can be kinds, last_event_id."
        )
    kinds = asked.get("kinds", ",".join(KINDS)).split(",")
    for kind in kinds:
        if kind not in KINDS:
            raise refusals.invalid(f"kinds are {', '.join(KINDS)}, not {kind!r:.60}.")
    return kinds
