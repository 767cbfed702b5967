"""The Celery application: `celery -A worker worker|beat|flower`."""

from celery import Celery
from celery.signals import beat_init, celeryd_init, worker_process_init, worker_ready

app = Celery(
    "spendbeat",
    config_source="celeryconfig",
    include=["tasks.ticks", "tasks.rollups", "tasks.maintenance"],
)


@celeryd_init.connect
@beat_init.connect
def _need_servers(**_: object) -> None:
    from worker.broker import require_servers_or_exit  # noqa: PLC0415 - reads the settings

    require_servers_or_exit()


@worker_process_init.connect
def _after_fork(**_: object) -> None:
    from worker.database import dispose  # noqa: PLC0415 - reads the settings

    dispose()


@worker_ready.connect
def _prepare(**_: object) -> None:
    # The ledger refuses rows of a month that has no partition: do not wait a day for beat.
    app.send_task("tasks.maintenance.prepare_months", expires=3600)
