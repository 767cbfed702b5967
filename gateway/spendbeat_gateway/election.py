"""Which process ships for a folder: the one that holds a lock on a file in it.

flock belongs to an open file, ends with its last holder, and tells two recorders of one process
apart; locks by fcntl would not.
"""

import fcntl
import os
from pathlib import Path

FILE = "shipper.lock"


class Election:
    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE
        self._file: int | None = None

    @property
    def held(self) -> bool:
        return self._file is not None

    def won(self) -> bool:
        """Whether this process ships; takes the lock where nobody has it. Raises OSError."""
        if self._file is not None and not self._still_there(self._file):
            self.leave()
        if self._file is None:
            file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(file)
                return False
            self._file = file
            os.ftruncate(file, 0)
            os.pwrite(file, b"%d\n" % os.getpid(), 0)
        return True

    def leave(self) -> None:
        """Also in a child after a fork: the lock stays with the parent, whose file is open."""
        file, self._file = self._file, None
        if file is not None:
            os.close(file)

    def _still_there(self, file: int) -> bool:
        try:
            return os.fstat(file).st_ino == self._path.stat().st_ino
        except OSError:
            return False
