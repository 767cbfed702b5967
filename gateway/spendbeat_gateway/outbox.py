"""The shipping side of a spool: batches out of it, and what became of them.

What was taken is noted in a table in memory first and deleted then. Where the disk is so full that
nothing can be deleted, shipping so goes on; what is sent again after a crash counts once anyway,
by its id.
"""

import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from spendbeat_gateway import database, forks

BATCH_EVENTS = 500
BATCH_CHARACTERS = 1 << 20
_PATIENCE = 5.0
_SLACK = (1 << 20) // database.PAGE  # moving rows at the bound takes a few pages more
_REJECTED_SHARE = 10  # rejected events may fill this part of the spool
_FREE_PAGES = (8 << 20) // database.PAGE  # kept for the next burst, the rest goes back to the disk
_LONG_LOG = (16 << 20) // database.PAGE
_STEP, _MOST_SHRUNK = 64, 2048  # pages given back at once, and in one go
_SMALL = 10

_BATCH = """
SELECT id, route, body FROM events
WHERE id NOT IN (SELECT id FROM temp.done) AND id NOT IN (SELECT id FROM temp.bad)
ORDER BY id
"""
_COUNT = (
    "INSERT INTO counters (name, value) VALUES (?, ?)"
    " ON CONFLICT (name) DO UPDATE SET value = value + excluded.value"
)
_NOTE = "INSERT OR REPLACE INTO notes (name, value) VALUES (?, ?)"


class Batch(NamedTuple):
    """more: whether there were further events when it was taken."""

    route: str
    ids: list[int]
    bodies: list[str]
    more: bool


class Rejected(NamedTuple):
    id: int
    route: str
    body: str
    reason: str


class Outbox:
    """One connection under one lock, closed around forks. Raises sqlite3.Error and OSError."""

    def __init__(self, folder: Path, limit: int) -> None:
        self.folder = folder
        self.limit = limit
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._inode = 0
        forks.watch(self)

    def batch(self) -> Batch | None:
        """The oldest events of one route."""
        with self._open() as connection:
            cursor = connection.execute(_BATCH)
            try:
                first = cursor.fetchone()
                if first is None:
                    return None
                (id_, chosen, body), more = first, False
                ids, bodies, size = [id_], [body], len(body)
                for id_, route, body in cursor:
                    size += len(body)
                    if len(ids) == BATCH_EVENTS or size > BATCH_CHARACTERS:
                        more = True
                        break
                    if route == chosen:
                        ids.append(id_)
                        bodies.append(body)
                    else:
                        more = True
                return Batch(chosen, ids, bodies, more)
            finally:
                cursor.close()

    def taken(self, ids: Sequence[int]) -> None:
        """These have arrived; settle() deletes them."""
        with self._open() as connection:
            connection.executemany("INSERT INTO temp.done VALUES (?)", [(id_,) for id_ in ids])

    def refused(self, items: Sequence[tuple[int, str]]) -> None:
        """These cannot be booked, for the reason given; settle() moves them."""
        with self._open() as connection:
            connection.executemany("INSERT OR IGNORE INTO temp.bad VALUES (?, ?)", items)

    def settle(self) -> bool:
        """Write down what taken() and refused() said; False where the disk does not allow it."""
        with self._open() as connection:
            with suppress(sqlite3.Error):
                _write(connection, lambda: self._settle(connection, -1))
                return True
            # A small step needs less room in the log, and each one frees some.
            try:
                while _write(connection, lambda: self._settle(connection, _SMALL)):
                    connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
            except sqlite3.Error:
                return False
            return True

    def _settle(self, connection: sqlite3.Connection, most: int) -> int:
        done = [row[0] for row in connection.execute("SELECT id FROM temp.done LIMIT ?", (most,))]
        bad = connection.execute("SELECT id, reason FROM temp.bad LIMIT ?", (most,)).fetchall()
        if not done and not bad:
            return 0
        connection.executemany(
            "INSERT OR REPLACE INTO rejected SELECT id, route, body, ? FROM events WHERE id = ?",
            [(reason, id_) for id_, reason in bad],
        )
        ids = [(id_,) for id_ in (*done, *(id_ for id_, _ in bad))]
        connection.executemany("DELETE FROM events WHERE id = ?", ids)
        counts = [("shipped", len(done)), ("rejected", len(bad))]
        if bad:
            counts.append(("dropped_rejected", self._thin(connection)))
        connection.executemany(_COUNT, [(name, n) for name, n in counts if n])
        connection.executemany("DELETE FROM temp.done WHERE id = ?", ids)
        connection.executemany("DELETE FROM temp.bad WHERE id = ?", ids)
        return len(ids)

    def _thin(self, connection: sqlite3.Connection) -> int:
        """Drop the oldest rejected events beyond their share; how many."""
        excess = connection.execute(
            "SELECT id FROM (SELECT id, sum(length(body)) OVER (ORDER BY id DESC) AS size"
            " FROM rejected) WHERE size > ?",
            (self.limit // _REJECTED_SHARE,),
        ).fetchall()
        connection.executemany("DELETE FROM rejected WHERE id = ?", excess)
        return len(excess)

    def waiting(self) -> int:
        """How many events wait: reads the whole spool, so not for each batch."""
        return self._one("SELECT count(*) FROM events") - self._one("SELECT count(*) FROM done")

    def oldest(self) -> int | None:
        """When the oldest waiting event was recorded, in nanoseconds since 1970."""
        return self._one("SELECT min(id) FROM events WHERE id NOT IN (SELECT id FROM done)") or None

    def any_until(self, newest: int) -> bool:
        """Whether events recorded until `newest` (nanoseconds) wait."""
        oldest = self.oldest()
        return oldest is not None and oldest <= newest

    def counters(self) -> dict[str, int]:
        with self._open() as connection:
            return dict(connection.execute("SELECT name, value FROM counters").fetchall())

    def notes(self) -> dict[str, str]:
        with self._open() as connection:
            return dict(connection.execute("SELECT name, value FROM notes").fetchall())

    def note(self, **notes: str) -> None:
        """Remember for `status`; where the disk is full, do not."""
        with self._open() as connection, suppress(sqlite3.Error):
            connection.executemany(_NOTE, list(notes.items()))

    def rejected(self, most: int = -1) -> list[Rejected]:
        with self._open() as connection:
            rows = connection.execute(
                "SELECT id, route, body, reason FROM rejected ORDER BY id LIMIT ?", (most,)
            )
            return [Rejected(*row) for row in rows]

    def rejected_count(self) -> int:
        return self._one("SELECT count(*) FROM rejected")

    def retry(self, ids: Sequence[int]) -> int:
        """Put rejected events back among the waiting ones; how many there were."""
        with self._open() as connection:
            return _write(connection, lambda: _move_back(connection, ids))

    def drop(self, ids: Sequence[int]) -> int:
        """Delete rejected events; how many there were."""
        with self._open() as connection:
            return _write(connection, lambda: _delete(connection, "rejected", ids))

    def adopt(self, batch: Batch) -> None:
        """Take over events of another spool."""
        rows = [(id_, batch.route, body) for id_, body in zip(batch.ids, batch.bodies, strict=True)]
        with self._open() as connection:
            _write(connection, lambda: _insert(connection, rows))

    def count(self, counters: dict[str, int]) -> None:
        with self._open() as connection:
            connection.executemany(_COUNT, list(counters.items()))

    def tidy(self) -> None:
        """Bring the log into the file, and give space that a burst took back to the disk.

        Where the disk is full, do what is possible; shipping does not depend on it.
        """
        with self._open() as connection, suppress(sqlite3.Error):
            scarce = database.room(self.folder).scarce
            free = int(connection.execute("PRAGMA freelist_count").fetchone()[0])
            spare = free if scarce else free - _FREE_PAGES
            # In small steps: each of them takes room in the log until the checkpoint.
            for _ in range(0, min(spare, _MOST_SHRUNK), _STEP):
                connection.execute(f"PRAGMA incremental_vacuum({_STEP})").fetchall()
                if scarce:
                    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            _, log, moved = connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
            # Writers that never pause keep a passive checkpoint from ever catching up; now they
            # wait for it, some milliseconds.
            if log > _LONG_LOG and moved < log:
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def _one(self, query: str) -> int:
        with self._open() as connection:
            return int(connection.execute(query).fetchone()[0] or 0)

    def follow(self) -> None:
        """Let go of a file that is no longer the one in the folder."""
        with self._lock:
            if self._connection is not None and database.inode(self.folder) != self._inode:
                self._close()

    @property
    def open(self) -> bool:
        return self._connection is not None

    def close(self) -> None:
        with self._lock:
            self._close()

    def before_fork(self) -> None:
        if self._lock.acquire(timeout=10):
            self._close()

    def after_fork(self, *, child: bool) -> None:
        if child:
            self._lock = threading.Lock()
        elif self._lock.locked():
            self._lock.release()

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            if self._connection is None:
                pages = self.limit // database.PAGE + _SLACK
                self._connection = database.connect(self.folder, pages, timeout=_PATIENCE)
                self._inode = database.inode(self.folder)
                self._connection.execute("PRAGMA temp_store = MEMORY")
                self._connection.execute("CREATE TEMP TABLE done (id INTEGER PRIMARY KEY)")
                self._connection.execute(
                    "CREATE TEMP TABLE bad (id INTEGER PRIMARY KEY, reason TEXT NOT NULL)"
                )
            yield self._connection

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()


def _write(connection: sqlite3.Connection, work: Callable[[], int]) -> int:
    """In one transaction."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        result = work()
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    return result


def _insert(connection: sqlite3.Connection, rows: Sequence[tuple[int, str, str]]) -> int:
    query = (
        "INSERT INTO events SELECT CASE WHEN EXISTS (SELECT 1 FROM events WHERE id = ?1)"
        " THEN (SELECT max(id) + 1 FROM events) ELSE ?1 END, ?2, ?3"
    )
    return connection.executemany(query, rows).rowcount


def _move_back(connection: sqlite3.Connection, ids: Sequence[int]) -> int:
    connection.executemany(
        "INSERT INTO events SELECT id, route, body FROM rejected WHERE id = ?",
        [(id_,) for id_ in ids],
    )
    return _delete(connection, "rejected", ids)


def _delete(connection: sqlite3.Connection, table: str, ids: Sequence[int]) -> int:
    cursor = connection.executemany(
        f"DELETE FROM {table} WHERE id = ?",  # noqa: S608 - a name of ours
        [(id_,) for id_ in ids],
    )
    return cursor.rowcount
