"""Everything, or only the servers, until Ctrl-C."""

import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import click

from worker import schema
from worker.children import Child, speak
from worker.database import make_engine
from worker.embedded import home as homes
from worker.embedded.both import needed
from worker.programs import DASHBOARD, FLOWER_USER, Doors, doors, programs
from worker.settings import Settings, settings
from worker.supervisor import Supervisor

_SLOW_SECONDS = 60.0
# For the dashboard: to look, and to acknowledge alerts.
LOGIN_COMMAND = "spendbeat tokens create me --scope read --scope alerts"


@contextmanager
def _supervised(chosen: Settings) -> Iterator[Supervisor]:
    """The needed servers, running; all is stopped at the end, however it comes."""
    homes.make(chosen.home)
    lock = homes.Lock(chosen.home / "spendbeat.lock")
    lock.acquire()
    supervisor = Supervisor(needed(chosen), speak)
    with supervisor.signals():
        try:
            supervisor.start_servers()
            yield supervisor
        finally:
            supervisor.stop()
            lock.release()


@click.command
def servers() -> None:
    """Run the embedded Postgres and Redis alone, until Ctrl-C.

    For working on the code, or for starting worker, beat and Flower by hand. A server that
    DATABASE_URL or REDIS_URL replaces is not started.

    \b
    Example:
      spendbeat servers
    """
    chosen = settings()
    if not (chosen.embedded_postgres or chosen.embedded_redis):
        raise click.UsageError("DATABASE_URL and REDIS_URL are set: there is nothing to start.")
    with _supervised(chosen) as supervisor:
        if not supervisor.stopping:
            click.echo(f"Data in {chosen.home}; Ctrl-C stops.")
            if chosen.embedded_postgres:
                click.echo(f"  DATABASE_URL='{chosen.sqlalchemy_url}'")
            if chosen.embedded_redis:
                click.echo(f"  REDIS_URL='{chosen.broker_url}'")
        supervisor.run()


@click.command
def up() -> None:
    """Run everything on this machine, until Ctrl-C.

    Starts the embedded Postgres and Redis (unless DATABASE_URL and REDIS_URL name others),
    migrates, then runs the HTTP service, workers, beat, Flower and the metrics exporter. What dies
    is started again. The data stays in SPENDBEAT_HOME. Ctrl-C stops cleanly; a second one does
    not wait.

    \b
    Examples:
      spendbeat up
      SPENDBEAT_CONCURRENCY=8 spendbeat up
      DATABASE_URL=postgresql://user@host/spendbeat spendbeat up
    """
    chosen = settings()
    at = doors(chosen)
    state = chosen.home / "up.json"
    with _supervised(chosen) as supervisor:
        if not supervisor.stopping:
            state.unlink(missing_ok=True)
            _migrate(chosen)
            children = [Child(program, speak) for program in programs(chosen, at)]
            supervisor.start_children(children)
        supervisor.run(_Welcome(at, state))
        state.unlink(missing_ok=True)


def _migrate(chosen: Settings) -> None:
    engine = make_engine(chosen.sqlalchemy_url, None)
    try:
        with engine.connect() as connection:
            schema.upgrade(connection)
    finally:
        engine.dispose()


class _Welcome:
    """Says where everything is, once it answers there; up.json says the same to programs."""

    def __init__(self, at: Doors, state: Path) -> None:
        self._at = at
        self._state = state
        self._late = time.monotonic() + _SLOW_SECONDS
        self._done = False

    def __call__(self) -> None:
        if self._done:
            return
        at = self._at
        answers = all(map(self._answers, (at.web_port, at.flower_port, at.metrics_port)))
        if not answers and time.monotonic() < self._late:
            return
        self._done = True
        for line in describe(self._at, late=not answers):
            speak("up", line)
        found = {
            "pid": os.getpid(),
            "web": self._at.web,
            "flower": self._at.flower,
            "flower_user": FLOWER_USER,
            "flower_password_file": str(self._at.password_file),
            "metrics": self._at.metrics,
        }
        new = self._state.with_suffix(".new")
        new.write_text(json.dumps(found), encoding="utf-8")
        new.replace(self._state)

    def _answers(self, port: int) -> bool:
        bind = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self._at.bind, self._at.bind)  # noqa: S104 - not bound
        with suppress(OSError), socket.create_connection((bind, port), timeout=0.2):
            return True
        return False


def describe(at: Doors, *, late: bool = False) -> list[str]:
    """Where people find what runs."""
    first = (
        "Something does not answer yet; see above." if late else "Spendbeat is up; Ctrl-C stops."
    )
    return [
        first,
        f"Dashboard: {at.web}{DASHBOARD} (log in with a token: {LOGIN_COMMAND})",
        f"HTTP:      {at.web} (to send: spendbeat tokens create NAME --scope ingest)",
        f"Flower:    {at.flower} (user {FLOWER_USER}, password in {at.password_file})",
        f"Metrics:   {at.metrics}",
    ]


commands = {"servers": servers, "up": up}
