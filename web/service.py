"""What all routes of one web process share, from its start to its end."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI
from starlette.requests import Request

from spend.capture.desk import Desk
from spend.tokens import Token
from web.limits import Limits
from web.loader import Loader
from web.metrics import WebMetrics
from web.notes import Notes, ended
from web.rates import Rates, What
from web.refusals import Refusal
from web.stream import hub
from web.tokens import Tokens
from worker.database import make_engine
from worker.settings import Settings

log = logging.getLogger(__name__)

# Somebody who holds the ledger (a seal, a rebuild) is waited for, but not for ever: the sender
# has its answer meanwhile and comes again.
_STATEMENT_SECONDS = 30
# Beside the threads that book: two that look up tokens, one that writes notes, those of calls and
# those that read events.
_OTHER_CONNECTIONS = 11 + hub.THREADS
# A server that vanished without a word is noticed after this many milliseconds.
_SILENCE = 20_000


class Service:
    """The desk and what stands around it."""

    def __init__(self, chosen: Settings, shared: Path | None = None) -> None:
        """shared: where several processes add up what they count."""
        self.limits = Limits.of(chosen)
        self.engine = make_engine(
            chosen.sqlalchemy_url,
            "spendbeat_writer",
            pool_size=self.limits.threads + _OTHER_CONNECTIONS,
            options=f"-c statement_timeout={_STATEMENT_SECONDS}s",
            tcp_user_timeout=_SILENCE,
        )
        # Somebody waits for the answer to this one, so it gives up sooner.
        self.pings = make_engine(
            chosen.sqlalchemy_url,
            "spendbeat_reader",
            pool_size=1,
            options="-c statement_timeout=2s",
            connect_timeout=2,
            tcp_user_timeout=_SILENCE,
        )
        self.desk = Desk(self.engine)
        self.metrics = WebMetrics(shared)
        self.tokens = Tokens(self.engine)
        self.notes = Notes(self.engine)
        self.loader = Loader(self.engine, chosen.guard_url)
        self.hub = hub.Hub(self.engine, chosen)
        self._pools: list[ThreadPoolExecutor] = []
        self.pool = self.threads(self.limits.threads, "spendbeat-ingest")
        self.in_flight = 0
        self.rates = Rates(chosen)
        self.closing: list[Callable[[], Awaitable[None]]] = []  # what else ends with it
        self.closing.append(self.rates.aclose)

    async def admit(self, request: Request, token: Token, what: What) -> None:
        """Count a request of a token. Raises Refusal: 429 where there were too many of late."""
        try:
            await self.rates.admit(token, what)
        except Refusal:
            self.metrics.limited(request)
            raise

    def threads(self, count: int, name: str) -> ThreadPoolExecutor:
        """Threads whose work is waited for at the end."""
        pool = ThreadPoolExecutor(count, name)
        self._pools.append(pool)
        return pool

    @asynccontextmanager
    async def lifespan(self, app: FastAPI) -> AsyncIterator[None]:
        """Write notes and load what guards miss while it runs; at the end let it be finished."""
        del app
        writing = asyncio.create_task(self.notes.keep_writing())
        self.loader.start()
        self.hub.start()
        try:
            yield
        finally:
            await self.hub.stop()
            await asyncio.to_thread(self.loader.stop)
            for pool in self._pools:
                await asyncio.to_thread(pool.shutdown)
            for close in self.closing:
                await close()
            await ended(writing)
            await self.notes.write()
            self.tokens.close()
            self.engine.dispose()
            self.pings.dispose()
            self.metrics.close()
