"""Starting processes that end with us, and finding those that an earlier kill left behind."""

import ctypes
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from subprocess import DEVNULL, STDOUT, Popen
from typing import IO

_PR_SET_PDEATHSIG = 1
_STEP = 0.02
# Looked up before any fork: between fork and exec nothing may be loaded.
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def die_with_parent(number: int = signal.SIGKILL) -> None:
    """Have the kernel send this process a signal when the thread that started it is gone.

    Holds over exec, and also when the parent was killed with SIGKILL. Linux only; elsewhere
    nothing happens, and the next start ends what is left.
    """
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0)


def _bound(number: int) -> Callable[[], None]:
    parent = os.getpid()

    def before_exec() -> None:
        die_with_parent(number)
        if os.getppid() != parent:  # it died before the line above took effect
            os._exit(1)

    return before_exec


def spawn(
    command: list[str],
    *,
    death_signal: int,
    output: IO[bytes] | int = DEVNULL,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    user: tuple[int, int] | None = None,
) -> Popen[bytes]:
    """Start `command` in a session of its own, so that Ctrl-C reaches it only through us.

    It gets `death_signal` when we die. `user` is a (uid, gid) to run as, for root only. Call it
    from a thread that lives as long as the process shall.
    """
    return Popen(
        command,
        stdin=DEVNULL,
        stdout=output,
        stderr=STDOUT,
        env=env,
        cwd=cwd,
        user=user[0] if user else None,
        group=user[1] if user else None,
        extra_groups=[] if user else None,
        start_new_session=True,
        preexec_fn=_bound(death_signal),  # noqa: PLW1509 - one system call, nothing that locks
    )


def running_in(folder: Path, program: str) -> list[int]:
    """Pids of the processes called `program` whose working directory is `folder`.

    A pid alone could by now be anybody's; the two together are the server of this folder.
    """
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            at = (entry / "cwd").readlink()
            called = (entry / "exe").readlink().name.removesuffix(" (deleted)")
        except OSError:  # it ended meanwhile, or is another user's
            continue
        if called == program and at == folder:
            found.append(int(entry.name))
    return found


def send(pids: Iterable[int], number: int) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, number)


def wait_until(condition: Callable[[], bool], seconds: float, step: float = _STEP) -> bool:
    """Whether `condition` came true within the time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(step)
    return True
