"""What one process lets through by itself while Redis is away: little, and it keeps count."""

import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass

# While not even the rules are known, all calls share the allowance of the process.
UNKNOWN = ""


@dataclass(frozen=True)
class _Taken:
    """expires: seconds since 1970; None once settled, since that has been spent."""

    nano: int
    counters: tuple[str, ...]
    expires: float | None


class Allowances:
    """Nano-dollars per counter that Redis does not know of.

    What is settled stays taken until Redis has been told, so an outage that comes and goes lets no
    more through than one that stays.
    """

    def __init__(self) -> None:
        self.after_fork()

    def after_fork(self) -> None:
        """A child owes nothing for what its parent let through."""
        self._lock = threading.Lock()
        self._taken: dict[str, _Taken] = {}
        self._used: dict[str, int] = {}

    def take(
        self, hold: str, nano: int, allowed: Iterable[tuple[str, int]], expires: float
    ) -> str | None:
        """Take from all counters, given with their allowances; or from none, and which is used up.

        The same hold again takes nothing.
        """
        wanted = dict(allowed)
        with self._lock:
            self._expire(time.time())
            if hold in self._taken:
                return None
            for counter, most in wanted.items():
                if self._used.get(counter, 0) + nano > most:
                    return counter
            self._put(hold, _Taken(nano, tuple(wanted), expires))
        return None

    def settle(self, hold: str, nano: int) -> None:
        """It has cost this, and Redis does not know."""
        with self._lock:
            taken = self._drop(hold)
            if taken is not None:
                self._put(hold, _Taken(nano, taken.counters, None))

    def forget(self, hold: str) -> None:
        """Redis has been told, or it has cost nothing."""
        with self._lock:
            self._drop(hold)

    def forget_settled(self) -> None:
        """Redis is back and has been told what there was to tell."""
        with self._lock:
            for hold in [hold for hold, taken in self._taken.items() if taken.expires is None]:
                self._drop(hold)

    def __bool__(self) -> bool:
        return bool(self._taken)

    def _expire(self, now: float) -> None:
        over = [
            hold
            for hold, taken in self._taken.items()
            if taken.expires is not None and taken.expires <= now
        ]
        for hold in over:
            self._drop(hold)

    def _put(self, hold: str, taken: _Taken) -> None:
        self._taken[hold] = taken
        for counter in taken.counters:
            self._used[counter] = self._used.get(counter, 0) + taken.nano

    def _drop(self, hold: str) -> _Taken | None:
        taken = self._taken.pop(hold, None)
        if taken is not None:
            for counter in taken.counters:
                left = self._used[counter] - taken.nano
                if left:
                    self._used[counter] = left
                else:
                    del self._used[counter]
        return taken
