"""A day of traffic through everything, with one command."""

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from subprocess import Popen, TimeoutExpired
from types import FrameType
from typing import NoReturn

import click

from spend import audit, cursors, generate, reports, ticks, tokens
from spend.capture.pipeline import import_requests
from spend.capture.summary import ImportSummary
from spend.errors import BusyError, UnavailableError
from worker.children import python_module
from worker.cli import spend as spend_command
from worker.cli import verify as verify_command
from worker.cli.progress import progress
from worker.cli.up import LOGIN_COMMAND
from worker.database import engine, transaction
from worker.embedded import home as homes
from worker.processes import spawn, wait_until
from worker.programs import DASHBOARD
from worker.schema import ROOT
from worker.settings import default_home, settings

_LOOK_SECONDS = 0.1
_START_SECONDS = 120.0
_ROLLUP_SECONDS = 120.0
_STOP_SECONDS = 60.0
_PREDECESSOR_SECONDS = 30.0
_GROUPS = ["provider", "model"]
_LOGIN = "demo"  # name of the token for the dashboard


@click.command
@click.option("--once", is_flag=True, help="Stop everything after the audit.")
@click.option("--rows", type=click.IntRange(1), default=50_000, show_default=True)
@click.option("--seed", default=1, show_default=True, help="Another seed, other traffic.")
def demo(*, once: bool, rows: int, seed: int) -> None:
    """See the whole thing work: a made-up day, imported, rolled up and proved.

    Runs Postgres, Redis, the HTTP service, workers, beat, Flower and the metrics exporter,
    imports yesterday's traffic of a company that does not exist, waits until beat and the workers
    have counted it, and prints spend and audit. Then it stays up until Ctrl-C. It has servers and
    data of its own (DATABASE_URL and REDIS_URL do not matter), which stay for the next time: the
    same day and seed are not booked twice. Exit code 1 if the audit differs.

    \b
    Examples:
      spendbeat demo
      spendbeat demo --once --rows 500000 --seed 7
    """
    began = time.monotonic()
    home = _environment()
    with _everything(home) as running:
        click.echo(f"Running after {time.monotonic() - began:.1f} s; data in {home}.")
        _import(rows, seed)
        _wait_for_rollups()
        agrees = _show()
        click.echo(f"Done after {time.monotonic() - began:.1f} s.")
        if not once:
            _describe(running)
            running.wait()
    sys.exit(0 if agrees else 1)


def _environment() -> Path:
    """Have this process and its children use servers of the demo's own, on free ports."""
    for name in ("DATABASE_URL", "REDIS_URL"):
        os.environ.pop(name, None)
    normal = default_home()
    os.environ.setdefault("SPENDBEAT_HOME", str(normal.with_name(f"{normal.name}-demo")))
    os.environ.setdefault("SPENDBEAT_WEB_PORT", "0")
    os.environ.setdefault("SPENDBEAT_FLOWER_PORT", "0")
    os.environ.setdefault("SPENDBEAT_METRICS_PORT", "0")
    os.environ.setdefault("SPENDBEAT_TICK_SECONDS", "1")
    settings.cache_clear()
    return settings().home


@dataclass(frozen=True)
class _Running:
    """`spendbeat up`, and where it says that things are."""

    process: Popen[bytes]
    log: Path
    doors: dict[str, str]

    def wait(self) -> NoReturn:
        """Until Ctrl-C; it is not supposed to end by itself."""
        self.process.wait()
        raise UnavailableError(_ended(self.process, self.log))


@contextmanager
def _everything(home: Path) -> Iterator[_Running]:
    """Run `spendbeat up` beside us; it stops when the block ends, and also when we are killed."""
    homes.make(home)
    _wait_for_predecessor(home)
    state, log = home / "up.json", home / "log" / "up.log"
    state.unlink(missing_ok=True)
    log.parent.mkdir(mode=0o700, exist_ok=True)
    before = [(n, signal.signal(n, _interrupt)) for n in (signal.SIGTERM, signal.SIGHUP)]
    with log.open("wb") as output:
        process = spawn(
            python_module("worker.cli", "up"), death_signal=signal.SIGTERM, output=output, cwd=ROOT
        )
    try:
        _wait(
            "Starting Postgres, Redis, web, workers, beat, Flower and exporter",
            lambda: state.exists() or process.poll() is not None,
            _START_SECONDS,
        )
        if process.poll() is not None:
            raise UnavailableError(_ended(process, log))
        yield _Running(process, log, json.loads(state.read_text(encoding="utf-8")))
    finally:
        for number, handler in before:
            signal.signal(number, handler)
        _stop(process)


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    del number, frame
    raise KeyboardInterrupt


def _wait_for_predecessor(home: Path) -> None:
    """One that was killed takes a moment to stop; one that runs on is an error."""
    lock = homes.Lock(home / "spendbeat.lock")
    end = time.monotonic() + _PREDECESSOR_SECONDS
    told = False
    while True:
        try:
            lock.acquire()
        except BusyError:
            if time.monotonic() > end:
                raise
            if not told:
                click.echo(f"Another Spendbeat uses {home}; waiting for it to end ...")
                told = True
            time.sleep(0.1)
        else:
            lock.release()
            return


def _stop(process: Popen[bytes]) -> None:
    if process.poll() is None:
        click.echo("Stopping ...")
        process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except TimeoutExpired:
        process.kill()
        process.wait()


def _ended(process: Popen[bytes], log: Path) -> str:
    text = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    lines = "\n".join(f"  {line}" for line in text[-10:])
    return f"'spendbeat up' ended with code {process.returncode}. The end of {log}:\n{lines}"


def _import(rows: int, seed: int) -> None:
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    done = 0
    with progress("Importing", rows, lambda: done) as show:

        def on_progress(job: ImportSummary) -> None:
            nonlocal done
            done = job.read
            show(job)

        summary = import_requests(
            engine(), generate.requests(rows, seed, yesterday), on_progress=on_progress
        )
    click.echo(
        f"{yesterday}: {summary.imported:,} requests imported, {summary.known:,} already known,"
        f" {summary.conflicts:,} conflicts, {summary.rejected:,} rejected,"
        f" {summary.unpriced:,} unpriced ({summary.seconds:.1f} s)"
    )


def _wait_for_rollups() -> None:
    with transaction("spendbeat_reader") as session:
        # The first one of all brings another with it, which is older than itself.
        before = ticks.newest(session) or 1

    def counted() -> bool:
        with transaction("spendbeat_reader") as session:
            # The next tick may have begun before the import ended; the one after has not.
            return (ticks.newest(session) or 0) >= before + 2 and not cursors.lagging(session)

    _wait("Waiting for beat and the workers to roll it up", counted, _ROLLUP_SECONDS)


def _wait(what: str, condition: Callable[[], bool], seconds: float) -> None:
    click.echo(f"{what} ...", nl=False)
    begun = time.monotonic()
    came = wait_until(condition, seconds, _LOOK_SECONDS)
    click.echo(f" {time.monotonic() - begun:.1f} s")
    if not came:
        raise UnavailableError(f"{what}: nothing after {seconds:.0f} s; see the log in the home.")


def _show() -> bool:
    """Print spend and audit; whether they agree."""
    click.echo()
    with transaction() as session:
        spend_command.show(_GROUPS, reports.spend(session, _GROUPS), reports.total(session))
        result = audit.verify(session)
        audit.record(session, result)
    click.echo()
    verify_command.show(result)
    return result.agrees


def _describe(running: _Running) -> None:
    doors = running.doors
    login = Path(doors["flower_password_file"])
    # On a terminal they are for the one who sits there; a file or pipe may be kept.
    password, token = f"in {login}", f"of: SPENDBEAT_HOME={settings().home} {LOGIN_COMMAND}"
    if sys.stdout.isatty():
        password, token = login.read_text(encoding="utf-8").strip(), _token()
    click.echo()
    click.echo(f"Dashboard: {doors['web']}{DASHBOARD} (log in with the token {token})")
    click.echo(f"HTTP:      {doors['web']}")
    click.echo(f"Flower:    {doors['flower']} (user {doors['flower_user']}, password {password})")
    click.echo(f"Metrics:   {doors['metrics']}")
    click.echo(f"Log:       {running.log}")
    click.echo("Up until Ctrl-C.")


def _token() -> str:
    """A new token to log in with; the one of the last time ends."""
    with transaction() as session:
        if any(one.name == _LOGIN and one.revoked_at is None for one in tokens.listed(session)):
            tokens.revoke(session, _LOGIN)
        return tokens.create(session, _LOGIN, ("read", "alerts"))[1]


commands = {"demo": demo}
