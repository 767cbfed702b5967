"""CPU seconds of processes, from /proc: of one, or of a Postgres server with all it has started."""

import os
from pathlib import Path

from sqlalchemy import Connection, text

_TICK = os.sysconf("SC_CLK_TCK")


def of_process(pid: int) -> float:
    """User and system time of a process, its ended children not included."""
    fields = _stat(pid)
    return (int(fields[11]) + int(fields[12])) / _TICK


def of_tree(pid: int) -> float:
    """A process, its children, and those of its children that have ended."""
    while True:
        before = _stat(pid)[11:15]
        try:
            children = sum(of_tree(child) for child in _children(pid))
        except FileNotFoundError:
            continue
        after = _stat(pid)[11:15]
        if after[2:] == before[2:]:  # none ended meanwhile, to be counted twice
            return children + sum(map(int, after)) / _TICK


def postmaster(connection: Connection) -> int:
    """The process that every backend of this server comes from; it has to be on this machine."""
    backend = int(connection.scalar(text("SELECT pg_backend_pid()")) or 0)
    return int(_stat(backend)[1])


def _children(pid: int) -> list[int]:
    return [
        int(child)
        for file in Path(f"/proc/{pid}/task").glob("*/children")
        for child in file.read_text().split()
    ]


def _stat(pid: int) -> list[str]:
    """The fields after the command's name, which may contain spaces: state, ppid, ..."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
