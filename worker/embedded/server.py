"""The life of an embedded server, the same for both."""

import os
import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from subprocess import Popen, TimeoutExpired
from types import TracebackType
from typing import ClassVar, Self

from spend.errors import UnavailableError
from worker.embedded import home as homes
from worker.processes import running_in, send, spawn, wait_until

_LOG_LIMIT = 10_000_000
_LOG_TAIL = 4_000
_STEP = 0.02


class ServerError(UnavailableError):
    """An embedded server did not start."""


class EmbeddedServer(ABC):
    """start() and stop() as often as you like; a context manager; one holder per home."""

    name: ClassVar[str]
    program: ClassVar[str]
    # What to send on stop, and how long to wait for each before the next.
    stop_signals: ClassVar[Sequence[tuple[int, float]]]

    def __init__(self, home: Path) -> None:
        self.home = home.absolute()
        self._lock = homes.Lock(self.home / f"{self.name}.lock")
        self._process: Popen[bytes] | None = None

    @property
    def data(self) -> Path:
        return self.home / self.name

    @property
    def log(self) -> Path:
        return self.home / "log" / f"{self.name}.log"

    @property
    def pid(self) -> int:
        if self._process is None:
            raise ServerError(f"The embedded {self.name} is not running.")
        return self._process.pid

    def poll(self) -> int | None:
        """The exit code, negative for a signal; None while it runs."""
        return None if self._process is None else self._process.poll()

    def start(self, *, give_up: Callable[[], bool] = lambda: False, seconds: float = 900.0) -> None:
        """Start and wait until it answers; after a crash that includes recovery, hence the limit.

        Raises BusyError when another process holds this home, ServerError when it does not start.
        """
        homes.make(self.home)
        self._lock.acquire()
        try:
            self._end_orphans()
            command = self.prepare()
            self._process = self._spawn(command)
            self._wait(give_up, seconds)
            self.started()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop cleanly, and in bounded time also where that is not possible."""
        process, self._process = self._process, None
        if process is not None:
            self._stop(process)
            homes.leave_sockets(self.home)
        self._lock.release()

    def _stop(self, process: Popen[bytes]) -> None:
        for number, seconds in (*self.stop_signals, (signal.SIGKILL, 10.0)):
            if process.poll() is None:
                process.send_signal(number)
            try:
                process.wait(seconds)
            except TimeoutExpired:
                continue
            break
        # A server that was killed leaves its own children, which hold the data folder.
        self._end_orphans()

    @abstractmethod
    def prepare(self) -> list[str]:
        """Make what the server needs and give its command."""

    @abstractmethod
    def ready(self) -> bool:
        """Whether it answers."""

    @abstractmethod
    def started(self) -> None:
        """What remains to be done on the running server."""

    def orphans(self) -> list[int]:
        """Processes of this data folder's server; those that we started count too."""
        return running_in(self.data.resolve(), self.program)

    def _end_orphans(self) -> None:
        """End what an earlier kill left. Nobody else's: we hold the lock of this folder."""
        for number, seconds in (*self.stop_signals, (signal.SIGKILL, 10.0)):
            left = self.orphans()
            if not left:
                return
            targets = self.to_signal(left, number)
            if not targets:
                continue
            send(targets, number)
            if wait_until(lambda: not self.orphans(), seconds):
                return
        raise ServerError(
            f"An earlier {self.name} still runs in {self.data} and does not end: {self.orphans()}."
        )

    def to_signal(self, pids: list[int], number: int) -> list[int]:
        """Which of the processes this signal is for; for none, the next one is tried at once."""
        del number
        return pids

    def _spawn(self, command: list[str]) -> Popen[bytes]:
        self.log.parent.mkdir(mode=0o700, exist_ok=True)
        if self.log.exists() and self.log.stat().st_size > _LOG_LIMIT:
            self.log.replace(self.log.with_suffix(".log.1"))
        with self.log.open("ab") as log:
            return spawn(
                command,
                death_signal=self.stop_signals[0][0],
                output=log,
                env=clean_environment(),
                cwd=Path("/"),
                user=homes.account(),
            )

    def _wait(self, give_up: Callable[[], bool], seconds: float) -> None:
        end = time.monotonic() + seconds
        while not self.ready():
            if self.poll() is not None:
                raise ServerError(self._failure(f"ended with code {self.poll()}"))
            if give_up():
                raise ServerError(f"The start of the embedded {self.name} was interrupted.")
            if time.monotonic() > end:
                raise ServerError(self._failure(f"did not answer within {seconds:.0f} s"))
            time.sleep(_STEP)

    def _failure(self, what: str) -> str:
        text = self.log.read_bytes()[-_LOG_TAIL:].decode(errors="replace")
        lines = "\n".join(f"  {line}" for line in text.strip().splitlines()[-8:])
        return f"The embedded {self.name} {what}. The end of {self.log}:\n{lines}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def clean_environment() -> dict[str, str]:
    """No PGDATA, PGOPTIONS or locale of the caller's, which would change what the server does."""
    kept = {k: v for k, v in os.environ.items() if k in {"PATH", "LD_LIBRARY_PATH", "TMPDIR"}}
    return {"PATH": os.defpath, **kept, "LC_ALL": "C", "TZ": "UTC"}
