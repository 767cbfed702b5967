"""What one process lets through by itself while Redis is away: little, and it keeps count."""

import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass

# While not even the rules are known, all calls share the allowance of the process.
UNKNOWN = ""


@dataclass(frozen=True)
class _Taken:
    """expires: seconds since 1970."""

    nano: int
    counters: tuple[str, ...]
    expires: float


class Allowances:
    """Nano-dollars per counter that Redis does not hold against a limit.

    What is settled, or was not settled in its lifetime, stays taken until Redis has the counter
    again, so an outage that lasts, or comes and goes, lets no more through than a short one.
    """

    def __init__(self) -> None:
        self.after_fork()

    def after_fork(self) -> None:
        """A child owes nothing for what its parent let through."""
        self._lock = threading.Lock()
        self._taken: dict[str, _Taken] = {}
        self._used: dict[str, int] = {}
        self._spent: dict[str, int] = {}

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
                if self._used.get(counter, 0) + self._spent.get(counter, 0) + nano > most:
                    return counter
            self._taken[hold] = _Taken(nano, tuple(wanted), expires)
            for counter in wanted:
                self._used[counter] = self._used.get(counter, 0) + nano
        return None

    def settle(self, hold: str, nano: int) -> None:
        """It has cost this, which Redis does not hold against a limit yet."""
        with self._lock:
            self._settle(hold, nano)

    def forget(self, hold: str) -> None:
        """It has cost nothing, or is held in Redis."""
        with self._lock:
            self._drop(hold)

    def forget_settled(self, counters: Iterable[str]) -> None:
        """Redis has these counters, and has been told what there was to tell."""
        with self._lock:
            for counter in (UNKNOWN, *counters):
                self._spent.pop(counter, None)

    def __bool__(self) -> bool:
        return bool(self._taken or self._spent)

    def _expire(self, now: float) -> None:
        over = [(hold, taken) for hold, taken in self._taken.items() if taken.expires <= now]
        for hold, taken in over:
            self._settle(hold, taken.nano)

    def _settle(self, hold: str, nano: int) -> None:
        taken = self._drop(hold)
        if taken is not None and nano:
            for counter in taken.counters:
                self._spent[counter] = self._spent.get(counter, 0) + nano

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
