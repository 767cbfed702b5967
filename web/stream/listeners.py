"""Who listens to the feed in this process: each with a small buffer, and what ends it."""

import asyncio
from collections import deque
from collections.abc import Collection
from typing import Literal, NamedTuple

from spend.tenancy import Binding
from spend.tokens import Token

# What waits for a listener that does not read. One that has more is closed, and resumes from
# Postgres when it comes back: it loses nothing, and takes no more of our memory than this. More
# than one look brings, so that who reads is never closed.
MOST_WAITING = 100

# gone: hung up. failed: what it missed cannot be read now. Both come again, or do not.
End = Literal["gone", "slow", "revoked", "stopping", "failed"]


class Place(NamedTuple):
    """Where in the feed: the `id` of an event."""

    epoch: str
    position: int

    def __str__(self) -> str:
        return f"{self.epoch}-{self.position}"


def parse(id_: str) -> Place | None:
    """The place of an id; None where it cannot be one of ours."""
    epoch, mark, position = id_.strip().rpartition("-")
    # So many digits fit into what Postgres calls a bigint.
    if mark and epoch and position.isascii() and position.isdigit() and len(position) <= 18:  # noqa: PLR2004 - see above
        return Place(epoch, int(position))
    return None


class Listener:
    """One stream. place: what it was sent up to; None until it is known where it begins."""

    def __init__(self, token: Token, kinds: Collection[str]) -> None:
        self.token = token
        self.kinds = frozenset(kinds)
        self.place: Place | None = None
        self.over: asyncio.Future[End] = asyncio.get_running_loop().create_future()
        self._waiting: deque[tuple[Place, str, bytes]] = deque()
        self._some = asyncio.Event()

    @property
    def binding(self) -> Binding | None:
        return self.token.binding

    def offer(self, place: Place, kind: str, told: bytes | None) -> None:
        """The next entry of the feed; told: what it says to this one, None is nothing."""
        if self.over.done() or self.place is None or self._passed(place):
            return
        if told is None:
            # So that it need not go through what was not for it when it resumes.
            if not self._waiting:
                self.place = place
            return
        if len(self._waiting) >= MOST_WAITING:
            self.end("slow")
            return
        self._waiting.append((place, kind, told))
        self._some.set()

    def reset(self, place: Place, told: bytes) -> None:
        """Something is lost: told that, it goes on from this place."""
        if not self.over.done() and self.place is not None:
            self._waiting.clear()
            self._waiting.append((place, "reset", told))
            self._some.set()

    def _passed(self, place: Place) -> bool:
        """Whether it had this from Postgres already."""
        assert self.place is not None  # noqa: S101 - asked before
        return place.epoch == self.place.epoch and place.position <= self.place.position

    async def next(self, patience: float) -> tuple[Place, str, bytes] | None:
        """What waits longest; None where nothing came for so many seconds."""
        try:
            async with asyncio.timeout(patience):
                while not self._waiting:
                    self._some.clear()
                    await self._some.wait()
        except TimeoutError:
            return None
        return self._waiting.popleft()

    def end(self, why: End) -> None:
        """Let go of what waits; the first reason counts."""
        if not self.over.done():
            self._waiting.clear()
            self.over.set_result(why)
