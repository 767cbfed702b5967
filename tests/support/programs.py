"""Our own programs as processes of a test: started, killed, restarted, and surely ended."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from tests.support.waiting import wait_for

ROOT = Path(__file__).resolve().parent.parent.parent
CELERY = (sys.executable, "-m", "celery", "-A", "worker")


class Program:
    """A process group with a log. `environment` is laid over this process's own."""

    def __init__(
        self, name: str, command: tuple[str, ...], log: Path, environment: Mapping[str, str]
    ) -> None:
        self.name = name
        self.command = command
        self.log = log
        self.environment = dict(environment)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> "Program":
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command,
                cwd=ROOT,
                env={**os.environ, "PYTHONUNBUFFERED": "1", **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        return self

    @property
    def pid(self) -> int:
        assert self.process is not None, f"{self.name} was never started"
        return self.process.pid

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def logs(self) -> str:
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def wait_for_log(self, line: str, seconds: float = 30.0) -> None:
        """Wait until `line` is logged; fails at once, with the log, when the process ends."""

        def logged() -> bool:
            assert self.running or line in self.logs(), f"{self.name} ended:\n{self.logs()}"
            return line in self.logs()

        wait_for(logged, f"{line!r} in the log of {self.name}", seconds)

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send a signal to all processes of the group and wait for the first of them to end."""
        if self.process is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)
        self.process.wait(30)

    def stop(self) -> None:
        """Ask politely, then not."""
        if self.process is None:
            return
        if self.running:
            self.process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(15)
        self.kill()
