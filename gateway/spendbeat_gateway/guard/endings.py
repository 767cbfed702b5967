"""Settles and releases behind the caller's back: in a thread, in order, at exit too."""

import atexit
import os
import threading
from collections.abc import Callable
from decimal import Decimal
from queue import SimpleQueue
from typing import Protocol

from spendbeat_gateway.faults import guarded
from spendbeat_gateway.guard.answers import Hold

_AT_EXIT = 2.0  # seconds


class Ender(Protocol):
    """What is needed of a Guard."""

    def settle(self, hold: Hold, actual: Decimal | None) -> None: ...
    def release(self, hold: Hold) -> None: ...


class Endings:
    """Takes endings from any thread, event loop or the collector of garbage, once started.

    What cannot be told to Redis is dropped and counted by the guard; such a hold expires.
    """

    def __init__(self, make: Callable[[], Ender]) -> None:
        self._make = make
        self._thread: threading.Thread | None = None
        self._set_up()
        atexit.register(self.flush, _AT_EXIT)

    def start(self) -> None:
        """Before the first hold, and again in a child: a collector of garbage starts no thread."""
        if self._thread is not None and self._pid == os.getpid():
            return
        if self._pid != os.getpid():
            self._set_up()  # what the parent had put is the parent's
        # Two at once make two threads, which do no harm.
        self._thread = threading.Thread(
            target=_work, args=(self._queue, self._make), name="spendbeat-guard", daemon=True
        )
        self._thread.start()

    def settle(self, hold: Hold, actual: Decimal | None) -> None:
        self._put(lambda guard: guard.settle(hold, actual))

    def release(self, hold: Hold) -> None:
        self._put(lambda guard: guard.release(hold))

    def flush(self, timeout: float = 10.0) -> bool:
        """Whether all that was put before has been told within so many seconds."""
        if self._thread is None or self._pid != os.getpid():
            return True
        done = threading.Event()
        self._queue.put(lambda guard: done.set())  # noqa: ARG005 - the others need it
        return done.wait(timeout)

    def _put(self, ending: Callable[[Ender], None]) -> None:
        self._queue.put(ending)

    def _set_up(self) -> None:
        self._pid = os.getpid()
        self._queue: SimpleQueue[Callable[[Ender], None]] = SimpleQueue()
        self._thread = None


def _work(queue: "SimpleQueue[Callable[[Ender], None]]", make: Callable[[], Ender]) -> None:
    guard = make()
    while True:
        _end(guard, queue.get())


@guarded(None)
def _end(guard: Ender, ending: Callable[[Ender], None]) -> None:
    ending(guard)
