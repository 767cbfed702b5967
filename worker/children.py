"""A child process whose output comes out with its name in front."""

import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import Popen

from worker.processes import spawn
from worker.schema import ROOT

_CHUNK = 65_536
Say = Callable[[str, str], None]


@dataclass(frozen=True)
class Program:
    """What to run. stop: signals with the seconds that each gets; the last resort is SIGKILL.

    A program with a lower `stage` is stopped earlier.
    """

    name: str
    command: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    stop: Sequence[tuple[int, float]] = ((signal.SIGTERM, 10.0),)
    stage: int = 1


class Child:
    """A running program in a process group of its own, started again as often as needed."""

    def __init__(self, program: Program, say: Say) -> None:
        self.name = program.name
        self.program = program
        self._say = say
        self._process: Popen[bytes] | None = None
        self._output: int | None = None
        self._rest = b""
        self._steps: list[tuple[int, float]] = []
        self._next_step = 0.0

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Start it; what it prints waits for pump()."""
        self.pump()
        self._close()
        output, theirs = os.pipe()
        os.set_blocking(output, False)
        try:
            self._process = spawn(
                list(self.program.command),
                death_signal=signal.SIGKILL,
                output=theirs,
                env={**os.environ, "PYTHONUNBUFFERED": "1", **self.program.env},
                cwd=ROOT,  # Celery's -A looks in the working directory first
            )
        finally:
            os.close(theirs)
        self._output = output

    def poll(self) -> int | None:
        """The exit code, negative for a signal; None while it runs.

        When it has ended, so have the processes that it started and left.
        """
        if self._process is None:
            return 0
        if self._process.returncode is None and self._ended():
            # Before its pid is free for somebody else's group.
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)
        return self._process.poll()

    def _ended(self) -> bool:
        assert self._process is not None  # noqa: S101 - poll() looked
        state = os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        return state is not None

    def begin_stop(self) -> None:
        self._steps = [*self.program.stop, (signal.SIGKILL, 5.0)]
        self._next_step = 0.0

    def stopped(self, *, hurry: bool = False) -> bool:
        """Whether it has ended; sends the next signal of its list when it is time."""
        self.pump()
        if self.poll() is not None:
            self.pump()
            self._close()
            return True
        now = time.monotonic()
        if hurry:
            self._steps = [step for step in self._steps if step[0] == signal.SIGKILL]
        if self._steps and (hurry or now >= self._next_step):
            number, seconds = self._steps.pop(0)
            self._next_step = now + seconds
            self._send(number)
        return False

    def _send(self, number: int) -> None:
        assert self._process is not None  # noqa: S101 - it has not ended
        with suppress(ProcessLookupError):
            if number == signal.SIGKILL:
                os.killpg(self._process.pid, number)
            else:
                self._process.send_signal(number)

    def pump(self) -> None:
        """Pass on the whole lines that it has printed."""
        while self._output is not None:
            try:
                chunk = os.read(self._output, _CHUNK)
            except BlockingIOError:
                return
            if not chunk:
                self._close()
                return
            *lines, self._rest = (self._rest + chunk).split(b"\n")
            for line in lines:
                self._say(self.name, line.decode(errors="replace"))

    def _close(self) -> None:
        if self._rest:
            self._say(self.name, self._rest.decode(errors="replace"))
            self._rest = b""
        if self._output is not None:
            os.close(self._output)
            self._output = None


def python_module(module: str, *arguments: str) -> list[str]:
    """A command that runs a module in this environment, whatever PATH says."""
    return [sys.executable, "-m", module, *arguments]


def speak(name: str, line: str) -> None:
    """Print a line with its speaker; a reader who has gone is no reason to stop."""
    try:
        sys.stdout.write(f"{name:>8} | {line}\n")
        sys.stdout.flush()
    except BrokenPipeError:
        nowhere = os.open(Path(os.devnull), os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
