"""Programs that tests use and pip cannot install: where they are, and how they get here.

`python -m tests.tools` installs what is missing, from Debian's packages; `./run test` begins
with it. Prometheus is unpacked into `.tools` beside the checkout's files, so that no service of it
is started and root is not needed; Chromium needs libraries of the system, so it is installed.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

TOOLS = Path(__file__).resolve().parent.parent / ".tools"


class Tool(NamedTuple):
    """programs: names it goes by, the first that is found is used. package: Debian's."""

    programs: tuple[str, ...]
    package: str
    unpacked: bool


KNOWN = {
    "chromium": Tool(("chromium", "chromium-browser", "google-chrome"), "chromium", unpacked=False),
    "prometheus": Tool(("prometheus",), "prometheus", unpacked=True),
    "promtool": Tool(("promtool",), "prometheus", unpacked=True),
    "wget": Tool(("wget",), "wget", unpacked=True),
}


class MissingToolError(Exception):
    """A program is not here; says how to get it."""


def tool(name: str) -> Path:
    """The path of a program in KNOWN. Raises MissingToolError."""
    found = _found(KNOWN[name])
    if found is None:
        raise MissingToolError(_how(KNOWN[name].package))
    return found


def install() -> None:
    """Get what is missing. Raises MissingToolError where that is not possible here."""
    missing = {each.package: each for each in KNOWN.values() if _found(each) is None}
    for package, each in sorted(missing.items()):
        if shutil.which("apt-get") is None:
            raise MissingToolError(_how(package))
        _say(f"Installing {package} (once) ...")
        get = _unpack if each.unpacked else _install
        if not get(package):
            # Lists of packages that are old or not there name files that are not to be had.
            _run("apt-get", "update")
            get(package)
        if _found(each) is None:
            raise MissingToolError(_how(package))


def _found(known: Tool) -> Path | None:
    own = os.fspath(TOOLS / "usr" / "bin")
    path = os.pathsep.join([own, os.environ.get("PATH", os.defpath)])
    asked = (shutil.which(name, path=path) for name in known.programs)
    return next((Path(at) for at in asked if at), None)


def _how(package: str) -> str:
    return (
        f"The tests need {package}, which is not here and could not be installed. On Debian and"
        f" Ubuntu run, as root: apt-get update && apt-get install {package}; elsewhere install it"
        " so that it is on PATH."
    )


def _unpack(package: str) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        if not _run("apt-get", "download", package, folder=folder):
            return False
        (archive,) = Path(folder).glob("*.deb")
        TOOLS.mkdir(exist_ok=True)
        return _run("dpkg-deb", "--extract", str(archive), str(TOOLS))


def _install(package: str) -> bool:
    return _run("apt-get", "install", "--yes", "--no-install-recommends", package)


def _run(*command: str, folder: str | None = None) -> bool:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    done = subprocess.run(
        command, check=False, cwd=folder, env=environment, capture_output=True, text=True
    )
    if done.returncode:
        _say(done.stdout[-500:] + done.stderr[-1500:])
    return done.returncode == 0


def _say(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    try:
        install()
    except MissingToolError as error:
        sys.exit(str(error))
