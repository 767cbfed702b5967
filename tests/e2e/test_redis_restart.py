"""Redis restarts under a worker that is busy and waits for more."""

import sys
from pathlib import Path
from typing import Any

import pytest
from celery import Celery

from tests.support.programs import Program
from tests.support.waiting import wait_for

BUSY = (sys.executable, "-m", "celery", "-A", "tests.support.busy_app", "worker", "-c", "2")
POOLS = ("prefork", "threads")
TASKS = "tests.support.busy_app"


@pytest.fixture
def restarted_under(celery_broker: Any, tmp_path: Path, start_busy: Any) -> Any:
    """A worker that held a task while Redis was restarted."""

    def run(consumer: str, pool: str) -> Program:
        url = celery_broker.config()["url"]
        worker: Program = start_busy(pool, BUSY_BROKER=url, BUSY_CONSUMER=consumer)
        with Celery(broker=url, set_as_current=False) as sender:
            sender.send_task(f"{TASKS}.hold", [str(tmp_path)])
        wait_for((tmp_path / "held").exists, "a busy worker")
        celery_broker.restart()
        return worker

    return run


@pytest.fixture
def start_busy(tmp_path: Path) -> Any:
    programs = []

    def start(pool: str, **environment: str) -> Program:
        command = (*BUSY, "-l", "INFO", "-P", pool)
        programs.append(Program("busy", command, tmp_path / "busy.log", environment))
        return programs[0].start()

    yield start
    for program in programs:
        program.stop()


@pytest.mark.parametrize("pool", POOLS)
def test_the_worker_goes_on(
    restarted_under: Any, celery_broker: Any, tmp_path: Path, pool: str
) -> None:
    """It ends what it does and takes new work."""
    worker = restarted_under("worker.broker_guard:GuardedConsumer", pool)
    (tmp_path / "go").touch()
    wait_for((tmp_path / "done").exists, "the task that was held")
    with Celery(broker=celery_broker.config()["url"], set_as_current=False) as sender:
        sender.send_task(f"{TASKS}.touch", [str(tmp_path / "after")])
    wait_for((tmp_path / "after").exists, f"new work to be done:\n{worker.logs()}")
    assert worker.running


def test_without_the_guard_the_worker_dies(restarted_under: Any, tmp_path: Path) -> None:
    """If this fails, Celery was repaired: remove worker/broker_guard.py and this file."""
    worker = restarted_under("celery.worker.consumer:Consumer", POOLS[0])
    wait_for(lambda: "Unrecoverable error: AttributeError" in worker.logs(), "its last words")
    (tmp_path / "go").touch()
    wait_for(lambda: not worker.running, "its end")
