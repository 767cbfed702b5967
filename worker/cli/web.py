"""The HTTP service."""

import errno
import logging
import os
import resource
import signal
import socket
from types import FrameType
from typing import Any

import click

from spend.errors import UnavailableError
from worker.scratch import scratch
from worker.settings import Settings, settings

# By name: this room does not know the one of the service.
_APPLICATION = "web.app:application"
_PROTOCOL = "web.stream.cutting:Protocol"
# A request that is being booked when it is told to stop has this long to be answered.
_STOP_SECONDS = 15
# Longer than what common clients and proxies keep an idle connection, so that they close it and
# never send into one that is being closed here.
_IDLE_SECONDS = 75
_BACKLOG = 2048
# A client that takes nothing of an answer for so many milliseconds is cut off by the system, and
# what waits for it is freed.
_STUCK = 60_000
# A listener of /events is an open file for as long as it listens.
_FILES = 65_536
# Where they add up what they count; prometheus_client's own name for it.
_SHARED = "PROMETHEUS_MULTIPROC_DIR"


@click.command
@click.option("--port", type=click.IntRange(0, 65535), help="Port; 0 takes a free one.")
@click.option("--bind", help="Address to listen on; loopback unless set.")
@click.option("--processes", type=click.IntRange(1, 64), help="Processes that share the port.")
def web(port: int | None, bind: str | None, processes: int | None) -> None:
    """Serve HTTP until stopped: events in, health out.

    GET / answers health, GET /ready whether all that it needs is there; POST /ingest,
    /ingest/litellm and /v1/traces take events and need a token of 'spendbeat tokens create'. There
    is no TLS: beyond this machine, put a proxy with TLS before it. On SIGTERM requests in hand are
    answered first.

    \b
    Examples:
      spendbeat web
      spendbeat web --port 8080 --processes 4
    """
    from uvicorn import Config, Server  # noqa: PLC0415 - slow to import
    from uvicorn.supervisors import Multiprocess  # noqa: PLC0415 - likewise

    # Somebody else's would be a folder of other programs' figures.
    os.environ.pop(_SHARED, None)
    chosen = settings()
    at = bind or chosen.bind
    listening = _listen(at, chosen.web_port if port is None else port)
    count = processes or chosen.web_processes
    config = Config(
        _APPLICATION,
        factory=True,
        workers=count,
        loop="uvloop",
        http=_PROTOCOL,
        ws="none",
        log_config=_logging(chosen),
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=_BACKLOG,
        timeout_keep_alive=_IDLE_SECONDS,
        timeout_graceful_shutdown=_STOP_SECONDS,
    )
    _allow_files()
    # uvicorn raises the signal again when it is done, and this is a good end.
    signal.signal(signal.SIGTERM, _done)
    host = f"[{at}]" if ":" in at else at
    click.echo(f"HTTP: http://{host}:{listening.getsockname()[1]}")
    try:
        if count > 1:
            with scratch("web") as folder:
                os.environ[_SHARED] = os.fspath(folder)
                Multiprocess(config, [listening]).run()
        else:
            Server(config).run([listening])
    except KeyboardInterrupt:
        click.echo("Stopped.", err=True)
    finally:
        listening.close()


def _listen(bind: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in bind else socket.AF_INET
    found = socket.socket(family)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # connections inherit it
            found.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _STUCK)
        found.bind((bind, port))
        found.listen(_BACKLOG)
    except OSError as error:
        found.close()
        reason = "it is in use" if error.errno == errno.EADDRINUSE else error.strerror
        raise UnavailableError(
            f"The HTTP service cannot listen on {bind}:{port}: {reason}. Choose another port with"
            " --port or SPENDBEAT_WEB_PORT; 0 takes a free one."
        ) from None
    found.set_inheritable(True)
    return found


def _allow_files() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if hard == resource.RLIM_INFINITY else min(hard, _FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


class Cut(logging.Filter):
    """Leaves out uvicorn's error about an answer that was cut off: a listener that reads nothing
    is, and our own log says so.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        return record.msg != "ASGI callable returned without completing response."


def _logging(chosen: Settings) -> dict[str, Any]:
    """Our own lines at the level that is set; of uvicorn's, only what is wrong."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"plain": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
        "filters": {"cut": {"()": f"{__name__}.Cut"}},
        "handlers": {
            "stderr": {
                "class": "logging.StreamHandler",
                "formatter": "plain",
                "filters": ["cut"],
            }
        },
        "root": {"handlers": ["stderr"], "level": "WARNING"},
        "loggers": {name: {"level": chosen.log_level} for name in ("web", "spend", "worker")},
    }


def _done(number: int, frame: FrameType | None) -> None:
    del number, frame


commands = {"web": web}
