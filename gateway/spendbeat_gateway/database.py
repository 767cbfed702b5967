"""The SQLite file of a spool folder: its schema and how connections to it are made."""

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

FILE = "spool.sqlite"
PAGE = 2048  # of 1, 2 and 4 KB pages the middle one: a commit writes 2 to 4 KB, and costs as little
VERSION = 1
# Nobody pays for a checkpoint while shippers run; this holds the log down when none does.
_VALVE_PAGES = (32 << 20) // PAGE
_RESERVE = 16 << 20

_SCHEMA = """
CREATE TABLE events (id INTEGER PRIMARY KEY, route TEXT NOT NULL, body TEXT NOT NULL);
CREATE TABLE rejected (
  id INTEGER PRIMARY KEY, route TEXT NOT NULL, body TEXT NOT NULL, reason TEXT NOT NULL);
CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE notes (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""


def connect(folder: Path, pages: int, *, timeout: float) -> sqlite3.Connection:
    """A connection to the spool of `folder`, which is made where it is not there yet.

    pages: to how many it may let the file grow; timeout: seconds to wait for another writer.
    Raises sqlite3.Error and OSError.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    connection = sqlite3.connect(
        folder / FILE, timeout=timeout, isolation_level=None, check_same_thread=False
    )
    try:
        if _version(connection) != VERSION:
            with exclusive(folder):
                _create(connection)
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(f"PRAGMA wal_autocheckpoint = {_VALVE_PAGES}")
        connection.execute(f"PRAGMA max_page_count = {pages}")
    except BaseException:
        connection.close()
        raise
    return connection


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def _create(connection: sqlite3.Connection) -> None:
    """The schema, in the order that SQLite wants: page size and vacuum before anything else."""
    found = _version(connection)
    if found == VERSION:  # another process was quicker
        return
    if found:
        raise sqlite3.DatabaseError(f"the spool has version {found}, and this program {VERSION}")
    connection.execute(f"PRAGMA page_size = {PAGE}")
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("BEGIN IMMEDIATE")
    try:
        for statement in _SCHEMA.split(";")[:-1]:
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {VERSION}")
        connection.execute("COMMIT")
    except BaseException:
        connection.execute("ROLLBACK")
        raise


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """One process at a time."""
    lock = os.open(folder / "create.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def size(folder: Path) -> int:
    """Bytes on disk, the write-ahead log included."""
    return _bytes(folder / FILE) + log_size(folder)


class Room(NamedTuple):
    """Bytes: free on the disk, and what has to stay free for shipping to go on."""

    free: int
    reserve: int
    log: int

    @property
    def enough(self) -> bool:
        """All of the log may have to be copied into the file before a byte of it is free again."""
        return self.free >= self.reserve + self.log

    @property
    def scarce(self) -> bool:
        return self.free < 4 * (self.reserve + self.log)


def room(folder: Path) -> Room:
    """Of the disk under `folder`; a small one reserves a twentieth. Raises OSError."""
    disk = os.statvfs(folder)
    reserve = min(_RESERVE, disk.f_blocks * disk.f_frsize // 20)
    return Room(disk.f_bavail * disk.f_frsize, reserve, log_size(folder))


def inode(folder: Path) -> int:
    """Tells the file of a spool from another one that took its place; 0 where there is none."""
    try:
        return (folder / FILE).stat().st_ino
    except OSError:
        return 0


def log_size(folder: Path) -> int:
    """Bytes of the write-ahead log, which keeps its length when it is used again."""
    return _bytes(folder / f"{FILE}-wal")


def _bytes(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
