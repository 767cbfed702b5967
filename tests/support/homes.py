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
        except psutil.Error:
            continue
        if inside or told in {f"{k}={v}" for k, v in environment.items()}:
            found.append(process)
    return [p for p in found if p.pid != os.getpid() and p.status() != psutil.STATUS_ZOMBIE]


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
