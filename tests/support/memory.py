"""A folder in memory for what is made and removed hundreds of times."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

_MEMORY = Path("/dev/shm")
_PREFIX = "spendbeat-tests-"
# A server with a few databases has a tenth of this; a container often gives no more than 64 MB.
_ENOUGH = 4 << 30


@contextmanager
def folder(otherwise: Path) -> Iterator[Path]:
    """A folder of this process in memory where there is plenty, or `otherwise`.

    Each database is hundreds of files: on some disks (ext4 without a journal) making them after
    others were removed takes ten times as long.
    """
    if not _plenty():
        yield otherwise
        return
    with _lock(_MEMORY):  # between being made and being locked, a folder looks like one left
        _remove_left()
        path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=_MEMORY))
        held = ExitStack()
        held.enter_context(_lock(path))
    with held:
        yield path
        shutil.rmtree(path, ignore_errors=True)


def _plenty() -> bool:
    try:
        found = os.statvfs(_MEMORY)
    except OSError:
        return False
    return os.access(_MEMORY, os.W_OK) and found.f_bavail * found.f_frsize >= _ENOUGH


def _remove_left() -> None:
    """What killed runs left would stay in memory until the machine is started anew."""
    for path in _MEMORY.glob(f"{_PREFIX}*"):
        with suppress(FileNotFoundError, BlockingIOError):
            if path.stat().st_uid == os.getuid():
                with _lock(path, fcntl.LOCK_NB):
                    shutil.rmtree(path, ignore_errors=True)


@contextmanager
def _lock(path: Path, how: int = 0) -> Iterator[None]:
    """Ends with its process, too. Raises BlockingIOError where LOCK_NB does not get it."""
    opened = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | how)
        yield
    finally:
        os.close(opened)
