"""Whether the process lives, and whether its database answers."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version

from fastapi import APIRouter
from sqlalchemy import Engine, text
from sqlalchemy.exc import SQLAlchemyError
from starlette.responses import JSONResponse, Response

from web.service import Service

_PATIENCE = 1.0
_REMEMBERED_SECONDS = 1.0


class Pulse:
    """Asks the database at most once a second, and never keeps anybody waiting for long."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._pool = ThreadPoolExecutor(1, "spendbeat-pulse")
        self._asked = float("-inf")
        self._answer: asyncio.Future[bool] | None = None

    async def beats(self) -> bool:
        """Whether Postgres answered within a second."""
        old = time.monotonic() - self._asked > _REMEMBERED_SECONDS
        if self._answer is None or (self._answer.done() and old):
            self._asked = time.monotonic()
            loop = asyncio.get_running_loop()
            self._answer = loop.run_in_executor(self._pool, self._ask)
        done, _ = await asyncio.wait({self._answer}, timeout=_PATIENCE)
        return bool(done) and self._answer.result()

    def _ask(self) -> bool:
        try:
            with self._engine.connect() as connection:
                connection.execute(text("SELECT 1"))
        except SQLAlchemyError:
            return False
        return True


def router(service: Service) -> APIRouter:
    """GET /."""
    pulse = Pulse(service.pings)
    said = {"status": "ok", "version": version("spendbeat")}

    async def health() -> Response:
        """200 while the process lives. Needs no token.

        `database` is false while Postgres does not answer; events are then refused with 503.
        """
        return JSONResponse({**said, "database": await pulse.beats()})

    found = APIRouter()
    _get(found, health)
    return found


def _get(routes: APIRouter, endpoint: Callable[[], Awaitable[Response]]) -> None:
    example = {"status": "ok", "version": "0.1.0", "database": True}
    answers = {200: {"content": {"application/json": {"example": example}}}}
    routes.get("/", summary="Health", responses=answers)(endpoint)  # type: ignore[arg-type]  # keys
    routes.head("/", include_in_schema=False)(endpoint)
