"""Whose turn it is for a thread: tokens take turns, however many requests one of them sends."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Turns:
    """Of one loop. At most `threads` have their turn at a time."""

    def __init__(self, threads: int) -> None:
        self._free = threads
        # Whoever is first in it is next; a token that has had a turn goes to its end.
        self._waiting: dict[int, deque[asyncio.Future[None]]] = {}

    @asynccontextmanager
    async def turn(self, token: int) -> AsyncIterator[None]:
        """Waits until it is this token's turn, and has it to the end of the block."""
        await self._wait(token)
        try:
            yield
        finally:
            self._pass_on()

    async def _wait(self, token: int) -> None:
        if self._free:
            self._free -= 1
            return
        told = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(token, deque()).append(told)
        try:
            await told
        except asyncio.CancelledError:
            if not told.cancelled():
                # It was this one's turn at the same moment.
                self._pass_on()
            raise

    def _pass_on(self) -> None:
        while self._waiting:
            token, asked = next(iter(self._waiting.items()))
            del self._waiting[token]
            told = asked.popleft()
            if asked:
                self._waiting[token] = asked
            if not told.done():
                told.set_result(None)
                return
        self._free += 1
