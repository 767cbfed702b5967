"""A Celery app with one slow task, run as a process of its own by the test of the broker guard."""

import os
import time
from pathlib import Path

from celery import Celery

app = Celery("busy", broker=os.environ["BUSY_BROKER"])
app.conf.update(
    task_acks_late=True,
    task_ignore_result=True,
    worker_prefetch_multiplier=1,
    broker_connection_retry_on_startup=True,
    worker_consumer=os.environ["BUSY_CONSUMER"],
)


@app.task
def hold(folder: str) -> None:
    """Stay busy until the file `go` appears, then leave `done`."""
    Path(folder, "held").touch()
    while not Path(folder, "go").exists():
        time.sleep(0.05)
    Path(folder, "done").touch()


@app.task
def touch(path: str) -> None:
    Path(path).touch()
