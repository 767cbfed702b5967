"""pytest-celery without Docker: its containers are processes of this machine.

The vendors' nodes and clusters run on top unchanged. A container here leaves out the set-up of
its base class, which asks a Docker daemon, and offers what nodes use of one: ready, logs, id,
name, status, kill, restart, reload, exec_run, teardown.
"""

import os
import shlex
import signal
import socket
import subprocess
from pathlib import Path
from typing import Any

import psutil
from pytest_celery import CeleryTestContainer, CeleryTestWorker
from redis import Redis

from tests.support.programs import CELERY, ROOT, Program
from worker.broker import client
from worker.embedded.redis import EmbeddedRedis


class LocalContainer(CeleryTestContainer):
    """What every local container shares."""

    def __init__(self, name: str) -> None:
        # Not the base class's: that one wants a container of Docker.
        self._name = name

    @property
    def name(self) -> str:
        return self._name

    @property
    def id(self) -> str:
        return socket.gethostname()

    def __eq__(self, other: object) -> bool:
        return self is other

    __hash__ = object.__hash__

    def reload(self) -> None:
        """Nothing is cached, so nothing needs to be read again."""


class LocalRedis(LocalContainer):
    """The embedded Redis under a home of the test's own."""

    def __init__(self, home: Path) -> None:
        super().__init__("redis")
        self.server = EmbeddedRedis(home)
        self.server.start()

    @property
    def celeryconfig(self) -> dict[str, str]:
        return {"url": self.server.url, "host_url": self.server.url}

    @property
    def client(self) -> Redis:
        return client(self.server.url)

    @property
    def status(self) -> str:
        return "running" if self.server.poll() is None else "exited"

    def ready(self) -> bool:
        return self.server.ready()

    def logs(self) -> str:
        return self.server.log.read_text(errors="replace")

    def kill(self, signal: str | int = "SIGKILL") -> None:
        os.kill(self.server.pid, _number(signal))

    def restart(self, timeout: float = 0) -> None:
        self.server.stop()
        self.server.start()

    def teardown(self) -> None:
        self.server.stop()


class LocalWorker(LocalContainer):
    """`celery -A worker worker` as anybody would run it."""

    def __init__(self, name: str, folder: Path, environment: dict[str, str], *args: str) -> None:
        super().__init__(name)
        command = (*CELERY, "worker", "-l", "INFO", "-n", f"{name}@%h", *args)
        self.program = Program(name, command, folder / f"{name}.log", environment)
        self.program.start()

    @staticmethod
    def worker_name() -> str:
        return "worker"

    @property
    def status(self) -> str:
        return "running" if self.program.running else "exited"

    def ready(self) -> bool:
        self.program.wait_for_log(" ready.")
        return True

    def logs(self) -> str:
        return self.program.logs()

    def kill(self, signal: str | int = "SIGKILL") -> None:
        self.program.kill(_number(signal))

    def restart(self, timeout: float = 0) -> None:
        self.program.stop()
        self.program.start()

    def exec_run(self, command: str) -> tuple[int, bytes]:
        done = subprocess.run(shlex.split(command), cwd=ROOT, capture_output=True, check=False)
        return done.returncode, done.stdout

    def teardown(self) -> None:
        self.program.stop()


class LocalTestWorker(CeleryTestWorker):
    """The vendor's worker node, whose processes are our children."""

    def get_running_processes_info(
        self, columns: list[str] | None = None, filters: dict[str, str] | None = None
    ) -> list[dict[str, Any]]:
        root = psutil.Process(self.container.program.pid)
        found = [p.as_dict(columns) for p in (root, *root.children(recursive=True))]
        return [p for p in found if all(p.get(k) == v for k, v in (filters or {}).items())]


def _number(name: str | int) -> int:
    return name if isinstance(name, int) else signal.Signals[name]
