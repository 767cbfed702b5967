"""A folder that the processes of one program share while it runs."""

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# Between the making of a folder and its lock: a folder this young is not taken for left over.
_YOUNG = 60.0


@contextmanager
def scratch(name: str) -> Iterator[Path]:
    """A new folder, removed at the end; those of programs that were killed are removed first.

    A lock on the folder says that it is in use, to us and to systemd's cleaner of old files.
    """
    prefix = f"spendbeat-{name}-"
    for left in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
        _remove_left_over(left)
    with tempfile.TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True) as folder:
        held = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(held, fcntl.LOCK_EX)
            yield Path(folder)
        finally:
            os.close(held)


def _remove_left_over(folder: Path) -> None:
    try:
        held = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:  # somebody else's, or gone
        return
    try:
        found = os.fstat(held)
        if found.st_uid == os.geteuid() and time.time() - found.st_ctime > _YOUNG:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
    except BlockingIOError:
        return
    finally:
        os.close(held)
