"""Workers, beat and Flower as `spendbeat up` starts them: without Celery's command line.

That one imports an interactive shell and, as a plug-in, Flower, before it looks at its arguments:
15 MB of each process. What runs is the same as with `celery -A worker worker`, `beat` and `flower`.

    python -m worker.light worker|delivery|beat|flower
"""

import socket
import sys
from types import SimpleNamespace

from worker.celery import app
from worker.settings import settings

DELIVERY = "delivery"


def worker() -> int:
    """Every queue but the one of deliveries; returns the exit code."""
    return _run("worker", exclude_queues=[DELIVERY], concurrency=settings().concurrency)


def delivery() -> int:
    """Messages that leave. They wait for others, so threads do, and one process is enough."""
    app.conf.include = ("tasks.delivery",)
    threads = settings().delivery_threads
    return _run(DELIVERY, queues=[DELIVERY], pool="threads", concurrency=threads)


def beat() -> int:
    """What fires the others."""
    app.Beat(loglevel=settings().log_level).run()
    return 0


def flower() -> int:
    """What shows them. Its options come from flowerconfig.py and the environment."""
    import click  # noqa: PLC0415 - only here, as what follows
    from flower.command import flower as command  # noqa: PLC0415

    # The place of Celery's own command, whose options it looks at.
    celery = click.Context(click.Command("celery"), obj=SimpleNamespace(app=app, quiet=False))
    command.main([], parent=celery, standalone_mode=False)
    return 0


def _run(name: str, **options: object) -> int:
    started = app.Worker(
        hostname=f"{name}@{socket.gethostname()}",
        loglevel=settings().log_level,
        # Asks other workers for a second what they have revoked: nothing, here.
        without_mingle=True,
        **options,
    )
    started.start()
    return int(started.exitcode or 0)


if __name__ == "__main__":
    sys.exit({"worker": worker, DELIVERY: delivery, "beat": beat, "flower": flower}[sys.argv[1]]())
