"""The recording side of a spool: one INSERT per event, on disk before the call goes on.

"On disk" is in the kernel's hands: a process that is killed loses nothing. After a power failure
the last second or so may be missing, since an fsync per call would cost milliseconds.
"""

import sqlite3
import threading
import time
from collections import Counter, deque
from contextlib import suppress
from pathlib import Path
from random import randrange

from spendbeat_gateway import database, forks
from spendbeat_gateway.faults import say_once

LARGEST = 1 << 20  # characters of one event; a batch takes as much
_PATIENCE = 1.0  # seconds that a call may wait for another process's transaction
_HELD = 1000  # events kept in memory while the file is locked for longer than that
_PAGES = 2 * database.PAGE  # that one event adds to the log, beside its own length
_RETRY = 1.0  # seconds between two attempts to open a spool that cannot be opened

_INSERT = "INSERT INTO events (id, route, body) VALUES (?, ?, ?)"
_COUNT = (
    "INSERT INTO counters (name, value) VALUES (?, ?)"
    " ON CONFLICT (name) DO UPDATE SET value = value + excluded.value"
)
WHY = {
    "dropped_bound": "the spool is full (SPENDBEAT_GATEWAY_SPOOL_MB)",
    "dropped_disk": "the disk of the spool is full or does not let us write",
    "dropped_locked": "the spool stayed locked by another process",
    "dropped_size": f"it is larger than {LARGEST} characters",
    "dropped_rejected": "a tenth of the spool was already full of rejected events",
}


class Spool:
    """One connection under one lock, closed around forks. Never raises sqlite3.Error or OSError."""

    def __init__(self, folder: Path, limit: int) -> None:
        self.folder = folder
        self.limit = limit
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._inode = 0
        self._uncounted: Counter[str] = Counter()
        self._held: deque[tuple[str, str]] = deque()
        self._written = 0  # bytes since the last look at the disk
        self._look_after = 0  # bytes
        self._no_room = False
        self._looked = 0.0
        self._not_before = 0.0
        forks.watch(self)

    def add(self, route: str, body: str) -> bool:
        """Keep an event; False where it had to be dropped, which is counted."""
        if len(body) > LARGEST:
            self.count("dropped_size")
            return False
        with self._lock:
            dropped = self._keep(route, body)
            if dropped:
                self._uncounted[dropped] += 1
            if self._uncounted and not self._no_room:  # there, tend() does it once a second
                self._write_counts()
        if dropped:
            say_once(
                f"An LLM call was not recorded: {WHY[dropped]}. spendbeat-gateway status says"
                " how many there are"
            )
        return dropped is None

    def count(self, name: str) -> None:
        """One more of what `name` counts, on disk where that is possible."""
        with self._lock:
            self._uncounted[name] += 1
            self._write_counts()

    def uncounted(self) -> dict[str, int]:
        """What the counters on disk do not have yet."""
        with self._lock:
            return dict(self._uncounted)

    def tend(self) -> None:
        """Now and then: what is held in memory, counters, the disk, a folder that was replaced."""
        with self._lock:
            if self._connection is not None and database.inode(self.folder) != self._inode:
                self._close()
            self._look_after = 0  # the next event looks at the disk
            if self._held or self._uncounted:
                self._keep()
                self._write_counts()

    @property
    def open(self) -> bool:
        return self._connection is not None

    def close(self) -> None:
        with self._lock:
            if self._uncounted:
                self._write_counts()
            self._close()

    def before_fork(self) -> None:
        if self._lock.acquire(timeout=5):
            self._close()

    def after_fork(self, *, child: bool) -> None:
        if child:
            self._lock = threading.Lock()
            self._held.clear()  # the parent's, as is what it has not counted yet
            self._uncounted.clear()
        elif self._lock.locked():
            self._lock.release()

    def _keep(self, *event: str) -> str | None:
        """Insert what is held and `event`; None, or the counter of the reason for dropping it."""
        try:
            connection = self._opened()
            if self._held:
                self._put_held(connection)
            if not event:
                return None
            if self._written >= self._look_after:
                self._look(connection)
            if self._no_room:
                return "dropped_disk"
            self._insert(connection, *event)
            self._written += len(event[1]) + _PAGES
        except (sqlite3.Error, OSError) as error:
            why = self._why(error)
            if why == "dropped_locked" and event and len(self._held) < _HELD:
                self._held.append((event[0], event[1]))
                return None
            return why
        return None

    def _put_held(self, connection: sqlite3.Connection) -> None:
        """Without patience: one call has waited in full, and that is enough."""
        connection.execute("PRAGMA busy_timeout = 5")
        while self._held:
            self._insert(connection, *self._held[0])
            self._held.popleft()
        connection.execute(f"PRAGMA busy_timeout = {int(_PATIENCE * 1000)}")

    def _insert(self, connection: sqlite3.Connection, route: str, body: str) -> None:
        """Ids are nanoseconds: in order, never given twice, and they say how old an event is."""
        now = time.time_ns()
        for _ in range(20):
            try:
                connection.execute(_INSERT, (now, route, body))
            except sqlite3.IntegrityError:  # noqa: PERF203 - another process in the same nanosecond
                now += randrange(1, 1000)  # noqa: S311 - no secret
            else:
                return
        raise sqlite3.OperationalError("no id was free")

    def _look(self, connection: sqlite3.Connection) -> None:
        """Whether the disk has room for an event and for what shipping has to write after it.

        That is a reserve, and as much as the log holds, since all of it may have to be copied into
        the file before a byte of it is free again.
        """
        room = database.room(self.folder)
        self._written, self._look_after = 0, room.reserve // 4
        now = time.monotonic()
        if not room.enough and now - self._looked >= _RETRY:
            self._looked = now
            with suppress(sqlite3.Error):
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            room = database.room(self.folder)
        self._no_room = not room.enough

    def _opened(self) -> sqlite3.Connection:
        if self._connection is not None:
            return self._connection
        now = time.monotonic()
        if now < self._not_before:
            raise OSError("the spool could not be opened a moment ago")
        self._not_before = now + _RETRY
        pages = self.limit // database.PAGE
        self._connection = database.connect(self.folder, pages, timeout=_PATIENCE)
        self._inode = database.inode(self.folder)
        self._not_before = 0.0
        return self._connection

    def _why(self, error: Exception) -> str:
        message = str(error)
        if "locked" in message or "busy" in message:
            return "dropped_locked"
        if "full" in message and self._connection is not None and self._at_bound(self._connection):
            return "dropped_bound"
        if "full" not in message:
            self._close()  # an input or output error may have left it in a bad state
        return "dropped_disk"

    def _at_bound(self, connection: sqlite3.Connection) -> bool:
        try:
            (pages,) = connection.execute("PRAGMA page_count").fetchone()
            (free,) = connection.execute("PRAGMA freelist_count").fetchone()
        except sqlite3.Error:
            return False
        # An event takes a few pages, a large one many.
        return bool(pages - free >= self.limit // database.PAGE - LARGEST // database.PAGE)

    def _write_counts(self) -> None:
        try:
            connection = self._opened()
            connection.execute("BEGIN IMMEDIATE")
            try:
                connection.executemany(_COUNT, list(self._uncounted.items()))
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
        except (sqlite3.Error, OSError):
            return  # they stay in memory until they can be written
        self._uncounted.clear()

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()
