"""What is written down beside the ledger: counts, the use of tokens, the spools of gateways.

Once a second instead of with each request. A process that is killed forgets that second; the
ledger is not concerned.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from contextlib import suppress

from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from spend import gateway_spools, ingest_counts, tokens
from spend.capture.desk import Booked
from spend.gateway_spools import Spool

log = logging.getLogger(__name__)

_SECONDS = 1.0


class Notes:
    """Collected in the event loop, written by a thread."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._counts: Counter[tuple[str, str, str]] = Counter()
        self._used: set[int] = set()
        self._spools: dict[str, Spool] = {}
        self._failing = False

    def request(self, route: str, result: str) -> None:
        """A request that ended; result is one of spend.ingest_counts.REQUESTS."""
        self._counts["requests", route, result] += 1

    def booked(self, route: str, booked: Booked) -> None:
        """The events of a request that was booked."""
        found = {
            "imported": booked.imported,
            "known": booked.known,
            "conflict": len(booked.conflicts),
            "rejected": len(booked.rejected),
            "unpriced": booked.unpriced,
        }
        for result, events in found.items():
            if events:
                self._counts["events", route, result] += events

    def used(self, token_id: int) -> None:
        self._used.add(token_id)

    def spool(self, header: str) -> None:
        """What a gateway says of its spool; what makes no sense is passed over."""
        spool = gateway_spools.parse(header)
        if spool and (spool.name in self._spools or len(self._spools) < gateway_spools.MOST_NAMES):
            self._spools[spool.name] = spool

    async def keep_writing(self) -> None:
        """Until it is cancelled."""
        while True:
            await asyncio.sleep(_SECONDS)
            await self.write()

    async def write(self) -> None:
        """Write what was collected; what the database does not take waits for the next time."""
        counts, self._counts = self._counts, Counter()
        used, self._used = self._used, set()
        spools, self._spools = self._spools, {}
        if not (counts or used or spools):
            return
        steps: list[Callable[[Session], None]] = []
        if counts:
            steps.append(lambda session: ingest_counts.add(session, counts))
        if used:
            steps.append(lambda session: tokens.touch(session, used))
        if spools:
            steps.append(lambda session: gateway_spools.record(session, spools.values()))
        try:
            await asyncio.shield(asyncio.to_thread(self._write, steps))
        except SQLAlchemyError as error:
            if not self._failing:  # once, not every second
                log.warning("What was counted cannot be written yet: %s", type(error).__name__)
            self._failing = True
            self._counts.update(counts)
            self._used |= used
            self._spools = spools | self._spools
        else:
            self._failing = False

    def _write(self, steps: list[Callable[[Session], None]]) -> None:
        with Session(self._engine) as session, session.begin():
            for step in steps:
                step(session)


async def ended(task: asyncio.Task[None]) -> None:
    """Cancel a task and wait until it is over."""
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
