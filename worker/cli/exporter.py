import signal
import sys
from types import FrameType

import click

from worker.settings import settings


@click.command
@click.option("--port", type=click.IntRange(0, 65535), help="Port; 0 takes a free one.")
@click.option("--bind", help="Address to listen on; loopback unless set.")
def exporter(port: int | None, bind: str | None) -> None:
    """Serve metrics for Prometheus at /metrics, until stopped.

    It answers also while Postgres or Redis is away: spendbeat_database_up and
    spendbeat_redis_up then say 0. There is no login, so keep it on an address that only your
    Prometheus reaches.

    \b
    Examples:
      spendbeat exporter
      spendbeat exporter --port 9100 --bind 10.0.0.5
    """
    from worker.celery import app  # noqa: PLC0415 - reads the settings
    from worker.exporter import make_endpoint, registry  # noqa: PLC0415 - slow to import

    chosen = settings()
    budgets = chosen.metrics_budgets
    urls = (chosen.sqlalchemy_url, chosen.broker_url)
    found, events = registry(app, *urls, budgets, guard_url=chosen.guard_url)
    at = bind or chosen.bind
    server = make_endpoint(found, at, chosen.metrics_port if port is None else port)
    events.start()
    signal.signal(signal.SIGTERM, _stop)
    click.echo(f"Metrics: http://{at}:{server.server_port}/metrics")
    sys.stdout.flush()
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        click.echo("Stopped.", err=True)
    finally:
        server.server_close()


def _stop(number: int, frame: FrameType | None) -> None:
    del number, frame
    raise KeyboardInterrupt


commands = {"exporter": exporter}
