"""The Celery application: `celery -A worker worker|beat|flower`."""

import gc
from functools import cached_property
from typing import Any

from celery import Celery
from celery.signals import (
    beat_init,
    celeryd_init,
    worker_before_create_process,
    worker_process_init,
    worker_ready,
)


class _App(Celery):
    @cached_property
    def Beat(self) -> type[Any]:  # noqa: N802 - Celery's name
        light = "worker.beat:LightBeat"
        return self.subclass_with_self(light)  # type: ignore[arg-type]  # takes a name too


app = _App(
    "spendbeat",
    config_source="celeryconfig",
    include=[
        "tasks.budgets",
        "tasks.capture",
        "tasks.delivery",
        "tasks.guard",
        "tasks.guard_prices",
        "tasks.litellm",
        "tasks.ticks",
        "tasks.rollups",
        "tasks.maintenance",
        "tasks.pricing",
    ],
)


@celeryd_init.connect
@beat_init.connect
def _need_servers(**_: object) -> None:
    from worker.broker import require_servers_or_exit  # noqa: PLC0415 - reads the settings

    require_servers_or_exit()


@worker_before_create_process.connect
def _before_fork(**_: object) -> None:
    _load()
    # What is imported stays shared with the children: their garbage collector, which would write
    # into every page, leaves frozen objects alone.
    gc.collect()
    gc.freeze()


def _load() -> None:
    """What tasks load when they first run: loaded once, it is shared by all processes."""
    from sqlalchemy.orm import configure_mappers  # noqa: PLC0415 - only for processes that fork

    from spend.alerts import checks  # noqa: PLC0415 - likewise
    from worker.database import engine  # noqa: PLC0415 - likewise

    del checks
    configure_mappers()
    engine()  # without a connection


@worker_process_init.connect
def _after_fork(**_: object) -> None:
    from worker.database import dispose  # noqa: PLC0415 - reads the settings

    dispose()


@worker_ready.connect
def _prepare(**_: object) -> None:
    # The ledger refuses rows of a month that has no partition: do not wait a day for beat.
    app.send_task("tasks.maintenance.prepare_months", expires=3600)
