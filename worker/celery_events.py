"""Counting what Celery says about itself: sent, received, succeeded, who is alive."""

import logging
import threading
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

from celery import Celery
from celery.utils.nodenames import nodesplit
from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric

from worker.metrics import OTHER, WORKER_UP, EventMetrics

log = logging.getLogger(__name__)

# Workers send a heartbeat every two seconds.
_SILENT_SECONDS = 60.0
_GONE_SECONDS = 3600.0
_PAUSE_SECONDS = 1.0


class EventCounter:
    """Turns events into metrics. It knows our tasks; all others are counted as one."""

    def __init__(self, registry: CollectorRegistry, queues: Mapping[str, str]) -> None:
        """`queues` is the queue of each task name."""
        self._metrics = EventMetrics(registry)
        self._queues = dict(queues)
        self._names: dict[str, str] = {}  # of the tasks that are under way, by id
        self._heard: dict[tuple[str, str], float] = {}  # (host, name of the worker) -> when
        self._lock = threading.Lock()
        registry.register(self)

    def on_event(self, event: Mapping[str, Any]) -> None:
        kind = event["type"]
        worker, host = nodesplit(event["hostname"])
        if kind.startswith("worker-"):
            self._worker(host, worker or "", alive=kind != "worker-offline")
        elif kind in self._metrics.counters:
            name = self._name_of(event, last=kind in {"task-succeeded", "task-failed"})
            labels = (name, host, self._queues.get(name, OTHER))
            self._metrics.counters[kind].labels(*labels).inc()
            if kind == "task-succeeded":
                self._metrics.runtime.labels(*labels).observe(event["runtime"])

    def collect(self) -> Iterable[Metric]:
        now = time.monotonic()
        family = WORKER_UP.family()
        with self._lock:
            heard = dict(self._heard)
        for (host, worker), when in sorted(heard.items()):
            if now - when > _GONE_SECONDS:
                self._forget(host, worker)
            else:
                family.add_metric([host, worker], float(now - when < _SILENT_SECONDS))
        yield family

    def describe(self) -> Iterable[Metric]:
        return [WORKER_UP.family()]

    def _worker(self, host: str, worker: str, *, alive: bool) -> None:
        with self._lock:
            new = all(host != known for known, _ in self._heard)
            self._heard[host, worker] = time.monotonic() - (0.0 if alive else _SILENT_SECONDS)
        if new:
            for name, queue in self._queues.items():
                self._metrics.show(name, host, queue)

    def _forget(self, host: str, worker: str) -> None:
        with self._lock:
            self._heard.pop((host, worker), None)
            last = all(host != known for known, _ in self._heard)
        if last:
            self._metrics.forget(host)

    def _name_of(self, event: Mapping[str, Any], *, last: bool) -> str:
        # Only the first events of a task carry its name.
        task_id = event["uuid"]
        name = event.get("name") or self._names.get(task_id, OTHER)
        if name not in self._queues:
            name = OTHER
        if last:
            self._names.pop(task_id, None)
        else:
            self._names[task_id] = name
            while len(self._names) > 10_000:  # noqa: PLR2004 - those whose end nobody told
                self._names.pop(next(iter(self._names)))
        return name


class EventThread(threading.Thread):
    """Listens for events for as long as the process lives, whatever happens to Redis."""

    def __init__(self, app: Celery, counter: EventCounter) -> None:
        super().__init__(name="celery-events", daemon=True)
        self._app = app
        self._counter = counter
        self._stopped = threading.Event()
        self._receiver: Any = None

    def run(self) -> None:
        while not self._stopped.is_set():
            try:
                self._listen()
            except Exception as error:  # noqa: BLE001 - whatever it was, listening goes on
                log.warning("No events from Celery: %s. Trying again.", error)
            self._stopped.wait(_PAUSE_SECONDS)

    def stop(self) -> None:
        self._stopped.set()
        if self._receiver is not None:
            self._receiver.should_stop = True

    def _listen(self) -> None:
        with self._app.connection_for_read() as connection:
            handlers = {"*": self._counter.on_event}
            self._receiver = self._app.events.Receiver(connection, handlers=handlers)
            with suppress(TimeoutError):
                # Asks workers to say that they are there, then waits for ever.
                self._receiver.capture(limit=None, timeout=None, wakeup=True)
