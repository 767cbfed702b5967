"""The thread that ships: one per process that records, of which one per spool has work."""

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping
from enum import Enum
from queue import Empty, SimpleQueue
from random import uniform

from spendbeat_gateway import adoption, database, faults
from spendbeat_gateway.answers import Bad, Later, Sender, Taken
from spendbeat_gateway.election import Election
from spendbeat_gateway.outbox import Batch, Outbox
from spendbeat_gateway.seen import Seen
from spendbeat_gateway.spool import Spool

INTERVAL = 1.0  # seconds that an event waits for others to share a batch with
_TIMEOUT = 30.0  # seconds of one batch
_FIRST_WAIT, _LONGEST_WAIT = 0.5, 60.0
_RECOUNT = 5.0  # seconds between two counts of what waits
_LONG_LOG = 4 << 20  # bytes


class _Outcome(Enum):
    """What became of a batch: all of it is there; go on with what is left; nothing goes now."""

    ALL = 1
    SOME = 2
    STOP = 3


class Shipper:
    """Empties a spool into a sender, in the background."""

    def __init__(
        self,
        spool: Spool,
        outbox: Outbox,
        sender: Sender | None,
        name: str,
        keep: Callable[[Seen, Mapping[str, object]], object],
    ) -> None:
        self._keep = keep
        # What a stream recorded while it was collected as garbage; that may happen anywhere, also
        # inside a lock of ours, so it only leaves a note here.
        self.later: SimpleQueue[tuple[Seen, Mapping[str, object]]] = SimpleQueue()
        self._spool = spool
        self._outbox = outbox
        self._sender = sender
        self._name = name
        self._election = Election(spool.folder)
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()
        self._hurry = threading.Event()
        self._stopping = False
        self._deadline: float | None = None  # monotonic; after it nothing is begun
        self._failures = 0
        self._not_before = 0.0
        self._last_error = ""
        self._waiting = 0
        self._counted = 0.0

    @property
    def elected(self) -> bool:
        """Whether this process is the one that ships."""
        return self._election.held

    @property
    def running(self) -> bool:
        return self._thread is not None

    def start(self) -> None:
        """Make sure that the thread runs. Cheap when it does; never waits for a lock."""
        if self._thread is not None or self._stopping:
            return
        if not self._starting.acquire(blocking=False):
            return  # somebody else is at it
        try:
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="spendbeat-gateway", daemon=True)
                thread.start()
                self._thread = thread
        except RuntimeError:  # the interpreter is ending; the next process ships
            self._stopping = True
        finally:
            self._starting.release()

    def flush(self, timeout: float) -> bool:
        """Ship what is there now, or let the elected process do it; whether it has gone.

        timeout: seconds. Does not wait for the end of a pause after a failure.
        """
        end = time.monotonic() + timeout
        newest = time.time_ns()
        self.start()
        self._not_before = 0.0
        self._hurry.set()
        while self._outbox.any_until(newest):
            if time.monotonic() >= end or self._stopping:
                return False
            time.sleep(0.01)
        return True

    def stop(self, timeout: float) -> None:
        """One last round, which begins nothing after `timeout` seconds. The rest stays."""
        self._deadline = time.monotonic() + timeout
        self._stopping = True
        self._hurry.set()
        if self._thread is not None:
            self._thread.join(timeout)

    def after_fork_in_child(self) -> None:
        """Threads do not cross a fork; the lock and the connection are the parent's."""
        self._election.leave()
        self._thread = None
        self._starting = threading.Lock()
        self._hurry = threading.Event()
        self._stopping = False
        self._deadline = None
        if self._sender is not None:
            self._sender.abandon()

    def _run(self) -> None:
        while True:
            stopping = self._stopping  # read first: the last round comes after what set it
            self._round()
            if stopping:
                break
            self._hurry.wait(INTERVAL)
            self._hurry.clear()
        self._election.leave()
        self._outbox.close()

    def _round(self) -> None:
        try:
            self._keep_later()
            self._spool.tend()
            self._outbox.follow()
            if not self._election.won():
                return
            adoption.adopt(self._spool.folder, self._outbox)
            if self._sender is not None and time.monotonic() >= self._not_before:
                self._drain(self._sender)
            self._outbox.tidy()
        except (sqlite3.Error, OSError) as error:
            self._wait(Later(f"the spool {self._spool.folder} cannot be read or written: {error}"))
        except Exception as error:  # noqa: BLE001 - the thread has to outlive its mistakes
            faults.note("shipping", error)
            self._wait(Later(f"an error in the shipper ({type(error).__name__})"))

    def _keep_later(self) -> None:
        while True:
            try:
                seen, fields = self.later.get_nowait()
            except Empty:
                return
            self._keep(seen, fields)

    def _drain(self, sender: Sender) -> None:
        self._outbox.settle()
        while self._seconds_left() > 0:
            batch = self._outbox.batch()
            if batch is None:
                return
            outcome = self._ship(sender, batch)
            self._outbox.settle()
            if outcome is _Outcome.STOP or (outcome is _Outcome.ALL and not batch.more):
                return  # what has come meanwhile gets a second to become a batch as well
            if database.log_size(self._spool.folder) > _LONG_LOG:
                self._outbox.tidy()

    def _ship(self, sender: Sender, batch: Batch) -> "_Outcome":
        timeout = min(_TIMEOUT, self._seconds_left())
        if timeout <= 0:
            return _Outcome.STOP
        state = self._state(len(batch.ids))
        answer = sender.send(batch.route, batch.bodies, state=state, timeout=timeout)
        if isinstance(answer, Taken):
            self._outbox.taken(batch.ids)
            self._well(len(batch.ids))
            return _Outcome.ALL
        if isinstance(answer, Later):
            self._wait(answer)
            return _Outcome.STOP
        return self._part(sender, batch, answer)

    def _part(self, sender: Sender, batch: Batch, answer: Bad) -> "_Outcome":
        """Set the bad events aside; search for them by halves where the answer names none."""
        items = answer.items or (((0, answer.reason),) if len(batch.ids) == 1 else ())
        if items:
            self._outbox.refused([(batch.ids[index], reason) for index, reason in items])
            faults.say_once(
                "Events were refused and set aside; `spendbeat-gateway rejected list` shows them."
                f" The first reason: {items[0][1]}"
            )
            return _Outcome.SOME
        middle = len(batch.ids) // 2
        for part in (slice(None, middle), slice(middle, None)):
            half = Batch(batch.route, batch.ids[part], batch.bodies[part], more=True)
            if self._ship(sender, half) is _Outcome.STOP:
                return _Outcome.STOP
        return _Outcome.SOME

    def _well(self, sent: int) -> None:
        self._waiting = max(0, self._waiting - sent)
        if self._failures:
            faults.log.info("Shipping LLM calls to Spendbeat again")
        self._failures = 0
        self._not_before = 0.0
        self._last_error = ""
        self._outbox.note(last_success=str(int(time.time())), last_error="")

    def _wait(self, answer: Later) -> None:
        """Pause: as long as it was told, otherwise twice as long each time, up to a minute."""
        usual = min(_FIRST_WAIT * 2 ** min(self._failures, 10), _LONGEST_WAIT)
        self._failures += 1
        # Never exactly together with the others that wait for the same service.
        seconds = (usual if answer.seconds is None else answer.seconds) * uniform(1.0, 1.3)  # noqa: S311 - no secret
        self._not_before = time.monotonic() + seconds
        if self._failures == 1 or (answer.loud and answer.reason != self._last_error):
            faults.log.warning("LLM calls stay in the spool for now: %s", answer.reason)
        if answer.reason != self._last_error:
            self._last_error = answer.reason
            try:
                self._outbox.note(last_error=answer.reason, last_error_at=str(int(time.time())))
            except (sqlite3.Error, OSError):
                return

    def _state(self, sending: int) -> dict[str, str]:
        """What the service is told about the spool, this batch no longer counted."""
        now = time.monotonic()
        if now - self._counted > _RECOUNT:
            self._counted = now
            self._waiting = self._outbox.waiting()
        oldest = self._outbox.oldest()
        return {
            "name": self._name,
            "waiting": str(max(0, self._waiting - sending)),
            "dropped": str(dropped(self._outbox.counters(), self._spool.uncounted())),
            "oldest": f"{max(0.0, time.time() - oldest / 1e9):.0f}" if oldest else "0",
        }

    def _seconds_left(self) -> float:
        if self._deadline is None:
            return _TIMEOUT
        return self._deadline - time.monotonic()


def dropped(*counters: dict[str, int]) -> int:
    """How many events were lost, for whatever reason."""
    return sum(n for found in counters for name, n in found.items() if name.startswith("dropped_"))


def spool_name(folder: os.PathLike[str]) -> str:
    """Tells spools apart where their figures meet: host and folder, within 100 characters."""
    host = os.uname().nodename[:40]
    return host + os.fspath(folder)[-(100 - len(host)) :]
