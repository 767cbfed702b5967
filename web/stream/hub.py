"""One reader of the feed per process, and everybody here who listens to it."""

import asyncio
import logging
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from types import FrameType

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from spend.errors import SpendbeatError
from spend.feed import Entry
from spend.tenancy import Binding
from web import refusals
from web.stream import ear
from web.stream.listeners import Listener, Place
from web.stream.looking import Part, event, look_and_number, part, reset, wanted
from worker.settings import Settings

log = logging.getLogger(__name__)

# Between two looks that nobody rang for: so late is an event whose ring was lost, and so long a
# token works on after it was revoked. Without listeners there is nothing to be late for.
LOOKS = 1.0
_IDLE_LOOKS = 10.0
# Rings that come together are one look.
_TOGETHER = 0.02
# Who asks to listen waits so long for a look.
_PATIENCE = 10.0
# Those who resume read for themselves, and keep nobody waiting but each other.
_RESUMING = 2
THREADS = 1 + _RESUMING


class Hub:
    """Runs from start() to stop(), in the event loop."""

    def __init__(self, engine: Engine, chosen: Settings) -> None:
        self._engine = engine
        self._url = chosen.broker_url
        self._most = chosen.web_streams
        self._most_per_token = chosen.web_streams_per_token
        self._listeners: set[Listener] = set()
        self._place: Place | None = None
        self._bell = asyncio.Event()
        self._asking: list[asyncio.Future[Place]] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._reading = ThreadPoolExecutor(1, "spendbeat-feed")
        self._resuming = ThreadPoolExecutor(_RESUMING, "spendbeat-resume")
        self._stopping = False
        self._failing = False

    def start(self) -> None:
        self._tasks = [
            asyncio.create_task(self._read()),
            asyncio.create_task(ear.listen(self._url, self._heard)),
        ]
        self._notice_signals()

    async def stop(self) -> None:
        """End all streams, and read no more."""
        self.close()
        for task in self._tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        for pool in (self._reading, self._resuming):
            await asyncio.to_thread(pool.shutdown)

    def close(self) -> None:
        """End all streams and take no more: they would keep a server that stops from its end."""
        self._stopping = True
        for listener in self._listeners:
            listener.end("stopping")

    def admit(self, listener: Listener) -> None:
        """Make room for one more. Raises Refusal: 429 or 503."""
        if self._stopping:
            raise refusals.stopping()
        mine = sum(other.token.id == listener.token.id for other in self._listeners)
        if mine >= self._most_per_token:
            raise refusals.too_many_streams(mine)
        if len(self._listeners) >= self._most:
            raise refusals.no_more_streams(self._most)
        self._listeners.add(listener)

    def leave(self, listener: Listener) -> None:
        self._listeners.discard(listener)

    async def looked(self) -> Place:
        """The newest place, from a look that begins now. Raises Refusal: 503."""
        asked: asyncio.Future[Place] = asyncio.get_running_loop().create_future()
        self._asking.append(asked)
        self._bell.set()
        try:
            async with asyncio.timeout(_PATIENCE):
                return await asked
        except TimeoutError:
            raise refusals.unavailable_here() from None

    def joined(self, listener: Listener, place: Place) -> bool:
        """Hear of everything after a place; False where the reader has passed it already."""
        here = self._place
        if here is None or here.epoch != place.epoch or here.position > place.position:
            return False
        listener.place = place
        return True

    async def missed(self, listener: Listener, place: Place) -> Part:
        """What comes next for a listener that is behind the reader."""
        token = listener.token
        return await asyncio.get_running_loop().run_in_executor(
            self._resuming, part, self._engine, place, token.id, token.binding, listener.kinds
        )

    def _heard(self) -> None:
        if self._listeners:
            self._bell.set()

    async def _read(self) -> None:
        while True:
            self._bell.clear()
            asking, self._asking = self._asking, []
            good = await self._looked()
            for asked in asking:
                if asked.done():
                    continue
                if good and self._place is not None:
                    asked.set_result(self._place)
                else:
                    asked.set_exception(refusals.unavailable_here())
            await asyncio.sleep(_TOGETHER)
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOKS if self._listeners else _IDLE_LOOKS):
                    await self._bell.wait()

    async def _looked(self) -> bool:
        """Look until nothing is new; False where that failed."""
        try:
            while not await self._look():
                pass
        except (SQLAlchemyError, SpendbeatError) as error:
            if not self._failing:  # once, not every second
                log.warning("The feed cannot be read, and events wait: %s", type(error).__name__)
            self._failing = True
            return False
        except Exception:
            log.exception("Looking into the feed failed.")
            return False
        self._failing = False
        return True

    async def _look(self) -> bool:
        """One look, and what it brings to everybody; whether that is all there is."""
        ids = {listener.token.id for listener in self._listeners}
        # What happened while nobody listened is for nobody.
        after = self._place.position if self._place and self._anybody() else None
        seen = await asyncio.get_running_loop().run_in_executor(
            self._reading, look_and_number, self._engine, after, ids
        )
        revoked = ids - seen.live
        for listener in list(self._listeners):
            if listener.token.id in revoked:
                listener.end("revoked")
        newest = Place(seen.standing.epoch, seen.standing.newest)
        if self._place is None or after is None:
            if self._place is not None and self._anybody():
                return False  # somebody came meanwhile, and may not miss what was passed over
            self._place = newest
        elif self._place.epoch != newest.epoch or not seen.follows(self._place.position):
            self._lost(newest)
        for entry in seen.entries if self._place != newest else ():
            self._tell(Place(newest.epoch, entry.position), entry)
        return self._place == newest

    def _lost(self, newest: Place) -> None:
        """Positions are others than before, or entries are gone that nobody here has had."""
        self._place = newest
        for listener in self._listeners:
            listener.reset(newest, reset(newest))

    def _anybody(self) -> bool:
        return any(listener.place is not None for listener in self._listeners)

    def _tell(self, place: Place, entry: Entry) -> None:
        self._place = place
        said: dict[Binding | None, bytes | None] = {}
        for listener in list(self._listeners):
            if not wanted(entry, listener.kinds):
                listener.offer(place, entry.kind, None)
                continue
            binding = listener.binding
            if binding not in said:
                said[binding] = event(place, entry, binding)
            listener.offer(place, entry.kind, said[binding])

    def _notice_signals(self) -> None:
        """End streams as soon as the server is told to stop: it waits for them before it says so
        to the application.
        """
        if threading.current_thread() is not threading.main_thread():
            return
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            before = signal.getsignal(number)

            def told(received: int, frame: FrameType | None, before: object = before) -> None:
                loop.call_soon_threadsafe(self.close)
                if callable(before):
                    before(received, frame)

            signal.signal(number, told)
