"""Whether the process lives, and whether what it needs is there. Nobody is asked for a token."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from typing import Generic, NamedTuple, TypeVar

from fastapi import APIRouter
from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

from spend.sql import query
from web.described import health as openapi
from web.service import Service
from worker import broker, schema_version
from worker.settings import Settings

PATIENCE = 1.0
REMEMBERED_SECONDS = 1.0
# Ticks are a few seconds apart; whoever is this late by default is not coming.
_LATE = 60.0
_TICKS_MISSED = 3
_DASHBOARD = "/dashboard"

T = TypeVar("T")


class Pulse(Generic[T]):
    """Asks somebody at most once a second, and never keeps anybody waiting for long."""

    def __init__(self, name: str, ask: Callable[[], T | None]) -> None:
        """ask: None where there is no answer; raises nothing."""
        self._ask = ask
        self._pool = ThreadPoolExecutor(1, f"spendbeat-{name}")
        self._asked = float("-inf")
        self._answer: asyncio.Future[T | None] | None = None

    async def beats(self) -> T | None:
        """What was answered within a second; None otherwise."""
        old = time.monotonic() - self._asked > REMEMBERED_SECONDS
        if self._answer is None or (self._answer.done() and old):
            self._asked = time.monotonic()
            loop = asyncio.get_running_loop()
            self._answer = loop.run_in_executor(self._pool, self._ask)
        done, _ = await asyncio.wait({self._answer}, timeout=PATIENCE)
        return self._answer.result() if done else None


class Seen(NamedTuple):
    """What a database that answers says. tick_age: seconds; None where there is no tick."""

    tick_age: float | None
    schema: str | None


def look(engine: Engine) -> Seen | None:
    """None where it does not answer."""
    try:
        with engine.connect() as connection:
            found = schema_version.current(connection)
            if found is None:
                return Seen(None, None)
            tick = connection.execute(query("metrics", "tick")).first()
            return Seen(float(tick.age) if tick else None, found)
    except SQLAlchemyError:
        return None


def answers(client: Redis) -> bool | None:
    """None where it does not."""
    try:
        return bool(client.ping())
    except RedisError:
        return None


def at_most(tick_seconds: float) -> float:
    """How old the newest tick may be, with so many seconds between two."""
    return max(_LATE, _TICKS_MISSED * tick_seconds)


class Health:
    """Answers GET / and GET /ready."""

    def __init__(self, service: Service, chosen: Settings) -> None:
        redis = broker.client(chosen.broker_url, PATIENCE)
        self._database = Pulse("database", lambda: look(service.pings))
        self._broker = Pulse("broker", lambda: answers(redis))
        self._at_most = at_most(chosen.tick_seconds)
        self._wanted = schema_version.wanted()
        self._alive = {"status": "ok", "version": version("spendbeat")}

    async def alive(self, request: Request) -> Response:
        """200 while the process lives. Needs no token.

        `database` is false while Postgres does not answer; events are then refused with 503.
        Whoever would rather have a page, as browsers say, is sent to the dashboard.
        """
        headers = {"Vary": "Accept"}
        if _wants_a_page(request.headers.get("accept", "")):
            return RedirectResponse(_DASHBOARD, 303, headers)
        there = await self._database.beats() is not None
        return JSONResponse({**self._alive, "database": there}, headers=headers)

    async def ready(self) -> Response:
        """200 where all that this installation needs is there, otherwise 503; `lacks` says what is
        missing. Needs no token.
        """
        seen, there = await asyncio.gather(self._database.beats(), self._broker.beats())
        age = seen.tick_age if seen else None
        found = seen.schema if seen else None
        well = {
            "database": seen is not None,
            "broker": bool(there),
            "schema": found == self._wanted,
            "tick": age is not None and age <= self._at_most,
        }
        lacks = [name for name in openapi.LACKS if not well[name]]
        said = {
            "status": "not ready" if lacks else "ready",
            "lacks": lacks,
            "database": well["database"],
            "broker": well["broker"],
            "schema": found,
            "schema_wanted": self._wanted,
            "tick_seconds_ago": None if age is None else round(age, 3),
            "tick_at_most": self._at_most,
        }
        return JSONResponse(said, 503 if lacks else 200, {"Cache-Control": "no-store"})


def router(service: Service, chosen: Settings) -> APIRouter:
    """GET / and GET /ready."""
    health = Health(service, chosen)
    found = APIRouter()
    _get(found, "/", health.alive, "Health", openapi.HEALTH)
    _get(found, "/ready", health.ready, "Readiness", openapi.READY)
    return found


def _get(
    routes: APIRouter,
    path: str,
    endpoint: Callable[..., Awaitable[Response]],
    summary: str,
    responses: dict[int | str, dict[str, object]],
) -> None:
    routes.get(path, summary=summary, responses=responses)(endpoint)
    routes.head(path, include_in_schema=False)(endpoint)


def _wants_a_page(accept: str) -> bool:
    """Whether the first kind that is asked for is HTML, as in all browsers."""
    first = accept.partition(",")[0].partition(";")[0]
    return first.strip().lower() == "text/html"
