"""Celery's events become the customary metrics."""

from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from worker.celery_events import EventCounter

QUEUES = {"tasks.ticks.take": "ticks", "tasks.rollups.roll_up": "rollups"}
LABELS = {"name": "tasks.rollups.roll_up", "hostname": "box", "queue_name": "rollups"}

UP = {"hostname": "box", "worker": "celery"}


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def counter(registry: CollectorRegistry) -> EventCounter:
    return EventCounter(registry, QUEUES)


def say(counter: EventCounter, kind: str, **fields: Any) -> None:
    counter.on_event({"type": kind, "hostname": "celery@box", **fields})


def test_zero_is_visible_as_soon_as_a_worker_is_heard(
    counter: EventCounter, registry: CollectorRegistry
) -> None:
    """A rate over a counter that appears with its first failure misses that failure."""
    say(counter, "worker-heartbeat")
    assert registry.get_sample_value("celery_task_failed_total", LABELS) == 0
    assert registry.get_sample_value("celery_task_runtime_count", LABELS) == 0
    assert registry.get_sample_value("celery_worker_up", UP) == 1


def test_events_without_a_name_are_counted_for_their_task(
    counter: EventCounter, registry: CollectorRegistry
) -> None:
    """Only sent and received carry the name; sender and worker share a host label."""
    counter.on_event(
        {"type": "task-sent", "hostname": "gen7@box", "uuid": "a", "name": LABELS["name"]}
    )
    say(counter, "task-received", uuid="a", name=LABELS["name"])
    say(counter, "task-started", uuid="a")
    say(counter, "task-succeeded", uuid="a", runtime=0.2)
    for state in ("sent", "received", "started", "succeeded"):
        assert registry.get_sample_value(f"celery_task_{state}_total", LABELS) == 1
    assert registry.get_sample_value("celery_task_runtime_sum", LABELS) == pytest.approx(0.2)


def test_tasks_of_others_on_the_same_broker_are_one_line(
    counter: EventCounter, registry: CollectorRegistry
) -> None:
    """Names that we do not know cannot make series without end."""
    for number in range(3):
        say(counter, "task-received", uuid=f"x{number}", name=f"their.task_{number}")
    other = {"name": "other", "hostname": "box", "queue_name": "other"}
    assert registry.get_sample_value("celery_task_received_total", other) == 3


def test_a_worker_that_says_goodbye_is_down(
    counter: EventCounter, registry: CollectorRegistry
) -> None:
    """At once, and its line stays visible."""
    say(counter, "worker-online")
    say(counter, "worker-offline")
    assert registry.get_sample_value("celery_worker_up", UP) == 0


def test_each_worker_of_a_host_is_up_or_down_by_itself(
    counter: EventCounter, registry: CollectorRegistry
) -> None:
    """One that sends messages does not hide that the one that counts is gone."""
    for kind in ("worker-online", "worker-offline", "worker-heartbeat"):
        name = "worker" if kind == "worker-offline" else "delivery"
        counter.on_event({"type": kind, "hostname": f"{name}@box"})
    for name, up in (("worker", 0), ("delivery", 1)):
        labels = {"hostname": "box", "worker": name}
        assert registry.get_sample_value("celery_worker_up", labels) == up


def test_tasks_of_a_host_are_shown_until_its_last_worker_is_gone(
    counter: EventCounter, registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of a host that is gone for good would be series without end."""
    clock = 0.0
    monkeypatch.setattr("worker.celery_events.time.monotonic", lambda: clock)
    say(counter, "worker-heartbeat")
    clock = 3000.0
    counter.on_event({"type": "worker-heartbeat", "hostname": "delivery@box"})
    clock = 4000.0
    assert registry.get_sample_value("celery_worker_up", UP) is None
    assert registry.get_sample_value("celery_task_failed_total", LABELS) == 0
    clock = 8000.0
    list(registry.collect())
    assert registry.get_sample_value("celery_task_failed_total", LABELS) is None
