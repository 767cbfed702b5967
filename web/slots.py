"""Figures of several web processes that have to add up: each writes into files of its own slot.

A process takes the lowest slot that nobody holds and goes on from the figures in it, so a process
that was killed leaves what it counted to the one that replaces it: no sum ever falls, and there are
as many files as there ever were processes at a time. A slot is held by a lock, which ends with its
process, whatever ended that.
"""

import fcntl
import itertools
import os
from collections.abc import Iterable
from pathlib import Path
from typing import IO

from prometheus_client import Metric, multiprocess, values

FOLDER = "PROMETHEUS_MULTIPROC_DIR"  # the library's own name for it
_GAUGES = "gauge_"


class Slot:
    """A place among the processes that count together; held until this process ends."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.number, self._lock = _free(folder)
        for left in folder.glob(f"{_GAUGES}*_{self.number}.db"):
            left.unlink()  # what the one before had in hand went with it
        os.environ[FOLDER] = os.fspath(folder)
        # The library would name files by process id, and keep those of every one there ever was.
        shared = values.MultiProcessValue(lambda: self.number)  # type: ignore[no-untyped-call]  # theirs
        values.ValueClass = shared

    def collect(self) -> Iterable[Metric]:
        """The sums over all slots; of what is in hand, only where somebody holds the slot."""
        files = [
            os.fspath(file)
            for file in sorted(self._folder.glob("*.db"))
            if not file.name.startswith(_GAUGES) or self._held(int(file.stem.rpartition("_")[2]))
        ]
        collector = multiprocess.MultiProcessCollector
        merged: Iterable[Metric] = collector.merge(files)  # type: ignore[no-untyped-call]  # theirs
        return merged

    def close(self) -> None:
        """Let another process have it."""
        self._lock.close()

    def _held(self, number: int) -> bool:
        lock = _locked(self._folder, number, fcntl.LOCK_SH)
        if lock is not None:
            lock.close()
        return lock is None


def _free(folder: Path) -> tuple[int, IO[bytes]]:
    for number in itertools.count():
        lock = _locked(folder, number, fcntl.LOCK_EX)
        if lock is not None:
            return number, lock
    raise AssertionError


def _locked(folder: Path, number: int, how: int) -> IO[bytes] | None:
    """The lock of a slot; None where somebody has it."""
    lock = (folder / f"{number}.lock").open("ab")
    try:
        fcntl.flock(lock, how | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        return None
    return lock
