"""The exporter as a process beside a real stack, whose Redis goes away and comes back."""

import re
import sys
from typing import Any

from pytest_celery import CeleryTestSetup

from tests.support.books import Books
from tests.support.metrics import Scrape
from tests.support.waiting import wait_for
from worker.celery import app

SPENDBEAT = (sys.executable, "-c", "from worker.cli import main; main()")


def test_queues_tasks_and_workers_are_seen_also_after_redis_restarts(
    celery_setup: CeleryTestSetup, start: Any, books: Books
) -> None:
    """Queue lengths and events, zero included; redis_up 0 while Redis is away; then on."""
    exporter = start("exporter", "exporter", "--port", "0", command=SPENDBEAT)
    exporter.wait_for_log("/metrics")
    found = re.search(r"http://\S+", exporter.logs())
    assert found
    url = found[0]
    wait_for(lambda: Scrape(url).value("celery_worker_up"), "a worker that is up")
    start("beat", "beat")
    books.spend("openai")
    task = {"name": "tasks.rollups.roll_up", "queue_name": "rollups"}
    for state in ("sent", "received", "started", "succeeded"):
        name = f"celery_task_{state}_total"
        wait_for(lambda n=name: Scrape(url).value(n, **task), f"{state} tasks")
    scrape = Scrape(url)
    assert scrape.value("celery_task_failed_total", **task) == 0
    assert scrape.value("celery_task_runtime_count", **task) >= 1
    assert scrape.value("spendbeat_redis_up") == 1
    queues = {dict(labels)["queue_name"] for labels in scrape.labels("celery_queue_length")}
    assert queues == {queue.name for queue in app.conf.task_queues} >= {"rollups", "delivery"}

    celery_setup.broker.container.server.stop()
    assert Scrape(url).value("spendbeat_redis_up") == 0
    assert Scrape(url).value("spendbeat_database_up") == 1
    celery_setup.broker.container.server.start()
    ticks = {"name": "tasks.ticks.take"}
    before = Scrape(url).value("celery_task_succeeded_total", **ticks) or 0
    wait_for(
        lambda: (Scrape(url).value("celery_task_succeeded_total", **ticks) or 0) > before + 3,
        "events after the restart",
    )
    exporter.stop()
    assert "Traceback" not in exporter.logs()
