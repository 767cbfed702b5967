"""Keeps servers and children running until it is told to stop."""

import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType

from spend.errors import SpendbeatError
from worker.children import Child, Say
from worker.embedded.server import EmbeddedServer

_LOOK_SECONDS = 0.1
_LONGEST_PAUSE = 30.0
# Whoever ran this long had not failed at its start.
_HEALTHY_SECONDS = 60.0


@dataclass
class _Kept:
    """A server or child, and its history."""

    part: EmbeddedServer | Child
    started: float = field(default_factory=time.monotonic)
    failures: int = 0
    again_at: float | None = None


def pause(failures: int) -> float:
    """Seconds before the start after so many failures in a row: 0.5, 1, 2, ... 30."""
    return min(2.0 ** (failures - 2), _LONGEST_PAUSE)


def manner(code: int) -> str:
    """How a process ended, in words."""
    if code >= 0:
        return f"ended with code {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"


class Supervisor:
    """Servers first, then children; to stop, children by their stage, then servers, backwards."""

    def __init__(self, servers: Sequence[EmbeddedServer], say: Say) -> None:
        self._servers = list(servers)
        self._children: list[Child] = []
        self._kept: list[_Kept] = []
        self._say = say
        self._asked = 0

    @property
    def stopping(self) -> bool:
        return self._asked > 0

    @contextmanager
    def signals(self) -> Iterator[None]:
        """Ctrl-C, SIGTERM and a closed terminal stop us; a second time, without patience."""

        def ask(number: int, frame: FrameType | None) -> None:
            del number, frame
            self._asked += 1

        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        # What nohup or a shell had ignored stays ignored.
        heard = [n for n in numbers if signal.getsignal(n) != signal.SIG_IGN]
        before = [(number, signal.signal(number, ask)) for number in heard]
        try:
            yield
        finally:
            for number, handler in before:
                signal.signal(number, handler)

    def start_servers(self) -> None:
        """Start the servers in order; raises what a server raises."""
        for server in self._servers:
            begun = time.monotonic()
            try:
                self._begin(server)
            except SpendbeatError:
                if self.stopping:  # that is why
                    return
                raise
            self._kept.append(_Kept(server))
            self._report(f"{server.name} is ready after {time.monotonic() - begun:.1f} s")

    def start_children(self, children: Sequence[Child]) -> None:
        for child in children:
            child.start()
            self._children.append(child)
            self._kept.append(_Kept(child))

    def run(self, each_look: Callable[[], None] = lambda: None) -> None:
        """Keep everything running until a signal comes."""
        while not self.stopping:
            for kept in self._kept:
                self._look_after(kept)
            each_look()
            time.sleep(_LOOK_SECONDS)

    def _look_after(self, kept: _Kept) -> None:
        if isinstance(kept.part, Child):
            kept.part.pump()
        now = time.monotonic()
        if kept.again_at is not None:
            if now >= kept.again_at:
                self._restart(kept)
            return
        code = kept.part.poll()
        if code is None:
            return
        lived = now - kept.started
        kept.failures = 1 if lived > _HEALTHY_SECONDS else kept.failures + 1
        self._postpone(kept, f"{kept.part.name} {manner(code)} after {lived:.0f} s")

    def _restart(self, kept: _Kept) -> None:
        kept.again_at = None
        try:
            self._begin(kept.part)
        except SpendbeatError as error:
            if not self.stopping:
                kept.failures += 1
                self._postpone(kept, str(error))
            return
        kept.started = time.monotonic()
        self._report(f"{kept.part.name} runs again")

    def _postpone(self, kept: _Kept, reason: str) -> None:
        wait = pause(kept.failures)
        kept.again_at = time.monotonic() + wait
        self._report(f"{reason}; it is started again in {wait:.1f} s")

    def _begin(self, part: EmbeddedServer | Child) -> None:
        if isinstance(part, Child):
            part.start()
        else:
            part.start(give_up=lambda: self.stopping)

    def _report(self, line: str) -> None:
        self._say("up", f"{time.strftime('%H:%M:%S')} {line}")

    def stop(self) -> None:
        """Stop everything in order, in bounded time."""
        for stage in sorted({child.program.stage for child in self._children}):
            self._stop_children([c for c in self._children if c.program.stage == stage])
        for server in reversed(self._servers):
            server.stop()

    def _stop_children(self, children: list[Child]) -> None:
        for child in children:
            child.begin_stop()
        left = children
        while left:
            left = [child for child in left if not child.stopped(hurry=self._asked > 1)]
            if left:
                time.sleep(_LOOK_SECONDS / 2)
