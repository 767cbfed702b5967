"""The folder of the embedded servers: who may use it, and one process at a time."""

import fcntl
import os
import pwd
import shutil
import stat
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from spend.errors import BusyError, SpendbeatError
from worker.embedded import paths


class HomeError(SpendbeatError):
    """The folder of the embedded servers cannot be used."""


def account() -> tuple[int, int] | None:
    """The (uid, gid) that servers run as: Postgres refuses root, so `nobody`; None is ourselves."""
    if os.geteuid() != 0:
        return None
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        raise HomeError(
            "Run as root, the embedded servers run as the user 'nobody', and this machine has"
            " none. Use another user, or set DATABASE_URL and REDIS_URL."
        ) from None
    return nobody.pw_uid, nobody.pw_gid


def can(who: tuple[int, int] | None, test: str, *arguments: Path) -> bool:
    """Whether a line of sh succeeds for that account: modes, ACLs and mounts all count."""
    command = ["/bin/sh", "-c", test, "sh", *map(str, arguments)]
    if who is None:
        return subprocess.run(command, check=False, capture_output=True, cwd="/").returncode == 0
    return (
        subprocess.run(
            command,
            check=False,
            capture_output=True,
            cwd="/",
            user=who[0],
            group=who[1],
            extra_groups=[],
        ).returncode
        == 0
    )


def make(home: Path) -> Path:
    """Create the home if it is missing; as root it lets `nobody` pass through to its own."""
    new = not home.is_dir()
    try:
        if new:
            home.mkdir(parents=True)
            home.chmod(0o711 if os.geteuid() == 0 else 0o700)
    except OSError as error:
        raise HomeError(
            f"{home} cannot be created: {error.strerror}. Set SPENDBEAT_HOME to a folder that you"
            " can write to."
        ) from None
    if not os.access(home, os.W_OK | os.X_OK):
        raise HomeError(f"You cannot write to {home}. Set SPENDBEAT_HOME to a folder of your own.")
    who = account()
    if who and not can(who, 'cd "$1"', home):
        if new:
            home.rmdir()
        raise HomeError(
            f"Run as root, the embedded servers run as the user 'nobody', who cannot enter {home}."
            " Set SPENDBEAT_HOME to a folder whose parents everybody may pass through."
        )
    return home


def give(path: Path | int) -> None:
    """Make the servers' account the owner."""
    who = account()
    if who:
        os.chown(path, *who)


def private(folder: Path) -> Path:
    """Make a folder that only the servers' account (and root) can enter, or check that it is so."""
    who = account()
    owner = who[0] if who else os.geteuid()
    try:
        folder.mkdir(mode=0o700)
        give(folder)
    except FileExistsError:
        pass
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in {owner, os.geteuid()}:
        raise HomeError(
            f"{folder} belongs to user {_login(found.st_uid)}, the embedded servers would run as"
            f" {_login(owner)}. Run spendbeat as the user who made it, or set SPENDBEAT_HOME to"
            " another folder."
        )
    if found.st_uid != owner:  # killed between mkdir and chown
        give(folder)
    if stat.S_IMODE(found.st_mode) != 0o700:  # noqa: PLR2004 - the mode made above
        folder.chmod(0o700)
    return folder


def sockets(home: Path) -> Path:
    """The folder of both sockets: who can enter it can do anything to the servers."""
    return private(paths.sockets(home))


def leave_sockets(home: Path) -> None:
    """Remove the folder of the sockets where it had to be outside the home, and is empty."""
    folder = paths.sockets(home)
    if folder.parent != home:
        with suppress(OSError):
            folder.rmdir()


def _login(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


class Lock:
    """One holder at a time; the kernel lets go of it when the holder ends, however it ends."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None

    def acquire(self) -> None:
        """Take the lock, or raise BusyError that names the process holding it; twice is once."""
        if self._file is not None:
            return
        file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(file, 1000, 0).decode(errors="replace").strip()
            os.close(file)
            raise BusyError(
                f"{self._path.parent} is in use by {holder or 'a process that just started'}."
                " Stop that one first, or set SPENDBEAT_HOME to another folder."
            ) from None
        os.ftruncate(file, 0)
        name = Path(sys.argv[0]).name
        os.pwrite(file, f"process {os.getpid()} ({' '.join([name, *sys.argv[1:2]])})".encode(), 0)
        self._file = file

    def release(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None


def discard(folder: Path) -> None:
    """Remove what an interrupted creation left."""
    if folder.exists():
        shutil.rmtree(folder)
