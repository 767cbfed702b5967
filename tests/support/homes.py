"""What runs for one home: found by what it works in, not by names or remembered pids."""

import os
import signal
from pathlib import Path

import psutil


def processes(home: Path) -> list[psutil.Process]:
    """Everything that works in this home or was told to: servers, supervisor, children."""
    told = f"SPENDBEAT_HOME={home}"
    found = []
    for process in psutil.process_iter():
        try:
            inside = Path(process.cwd()).is_relative_to(home)
            environment = process.environ() if not inside else {}
            dead = process.status() == psutil.STATUS_ZOMBIE
        except psutil.Error:  # it ended while we looked
            continue
        told_so = told in {f"{k}={v}" for k, v in environment.items()}
        if (inside or told_so) and not dead and process.pid != os.getpid():
            found.append(process)
    return found


def names(home: Path) -> list[str]:
    """Their command lines, for a message."""
    found = []
    for process in processes(home):
        try:
            found.append(f"{process.pid} {' '.join(process.cmdline())[:80]}")
        except psutil.Error:
            continue
    return found


def kill_everything(home: Path) -> None:
    """What a power cut does: SIGKILL to all, in no order that anybody chose."""
    for process in processes(home):
        try:
            process.send_signal(signal.SIGKILL)
        except psutil.NoSuchProcess:
            continue
