"""The programs of a running Spendbeat, and where they can be reached."""

import errno
import os
import secrets
import signal
import socket
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from spend.errors import SpendbeatError
from worker.children import Program, python_module
from worker.settings import Settings

FLOWER_USER = "spendbeat"
DASHBOARD = "/dashboard"  # below the HTTP service


class PortError(SpendbeatError):
    """A port cannot be used."""


@dataclass(frozen=True)
class Doors:
    """Where people and Prometheus look in. The password itself is in `password_file`."""

    bind: str
    web_port: int
    flower_port: int
    metrics_port: int
    password_file: Path

    @property
    def web(self) -> str:
        return f"http://{_host(self.bind)}:{self.web_port}"

    @property
    def flower(self) -> str:
        return f"http://{_host(self.bind)}:{self.flower_port}"

    @property
    def metrics(self) -> str:
        return f"http://{_host(self.bind)}:{self.metrics_port}/metrics"


def doors(chosen: Settings) -> Doors:
    """Choose free ports where 0 is set; PortError for one that is taken."""
    bind = chosen.bind
    web = free_port(bind, chosen.web_port, "SPENDBEAT_WEB_PORT")
    flower = free_port(bind, chosen.flower_port, "SPENDBEAT_FLOWER_PORT", {web})
    metrics = free_port(bind, chosen.metrics_port, "SPENDBEAT_METRICS_PORT", {web, flower})
    return Doors(bind, web, flower, metrics, chosen.home / "flower.password")


def programs(chosen: Settings, at: Doors) -> list[Program]:
    """Web, workers, beat, Flower and exporter, with what they need in their environment."""
    shared = {
        "SPENDBEAT_HOME": str(chosen.home),
        "SPENDBEAT_WEB_PORT": str(at.web_port),
        "SPENDBEAT_FLOWER_PORT": str(at.flower_port),
        "SPENDBEAT_METRICS_PORT": str(at.metrics_port),
    }
    login = {
        # Arguments can be read by every user of the machine, the environment cannot.
        "FLOWER_BASIC_AUTH": f"{FLOWER_USER}:{password(at.password_file)}",
        "FLOWER_UNAUTHENTICATED_API": "",
        "FLOWER_ADDRESS": chosen.bind,
        "FLOWER_PORT": str(at.flower_port),
    }
    # Celery warns root because of pickle; messages here are JSON only.
    quiet = {**shared, "PYTHONWARNINGS": "ignore:You're running the worker"}
    return [
        Program(
            "worker",
            python_module("worker.light", "worker"),
            quiet,
            # Let a batch end; then give its message back; then the database does that.
            stop=((signal.SIGTERM, 15.0), (signal.SIGQUIT, 5.0)),
        ),
        Program(
            "delivery",
            python_module("worker.light", "delivery"),
            {**quiet, "MALLOC_ARENA_MAX": "2"},  # not one per thread
            # About what a receiver may take. A thread cannot be asked to stop.
            stop=((signal.SIGTERM, 20.0),),
        ),
        Program(
            "web",
            python_module("worker.cli", "web"),
            shared,
            # Requests that it has in hand are answered first.
            stop=((signal.SIGTERM, 20.0),),
        ),
        # First to go, so that nothing new is sent to a worker that stops.
        Program("beat", python_module("worker.light", "beat"), shared, stage=0),
        Program("flower", python_module("worker.light", "flower"), {**shared, **login}),
        Program("exporter", python_module("worker.cli", "exporter"), shared),
    ]


def password(path: Path) -> str:
    """Flower's password of this home: made once, readable by its owner only."""
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        found = path.read_text(encoding="utf-8").strip()
        if found:
            return found
        path.unlink()  # killed between creating and writing it
        return password(path)
    with os.fdopen(file, "w", encoding="utf-8") as out:
        made = secrets.token_urlsafe(18)
        out.write(made + "\n")
    return made


def free_port(bind: str, wanted: int, setting: str, taken: Collection[int] = ()) -> int:
    """The wanted port, or some free one for 0; PortError where it cannot be listened on."""
    family = socket.AF_INET6 if ":" in bind else socket.AF_INET
    if wanted in taken:
        raise PortError(f"Port {wanted} is set twice. Set {setting} to another, or to 0.")
    try:
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((bind, wanted))
            found = int(probe.getsockname()[1])
    except OSError as error:
        reason = "is in use" if error.errno == errno.EADDRINUSE else f"is refused: {error.strerror}"
        raise PortError(
            f"Port {wanted} on {bind} {reason}. Set {setting} to another port, or to 0 for a"
            " free one."
        ) from None
    return found if found not in taken else free_port(bind, wanted, setting, taken)


def _host(bind: str) -> str:
    """What to write in a URL for an address that something listens on."""
    if bind in {"0.0.0.0", "::"}:  # noqa: S104 - compared, not bound
        return "localhost"
    return f"[{bind}]" if ":" in bind else bind
