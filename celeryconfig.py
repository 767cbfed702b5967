"""Celery's own names, in one short list; what can be chosen comes from worker.settings.

Celery takes every name in this module without a leading underscore for a setting.
"""

from kombu import Exchange as _Exchange
from kombu import Queue as _Queue

from spend.errors import SpendbeatError as _SpendbeatError
from worker.settings import settings as _settings

try:
    _chosen = _settings()
except _SpendbeatError as _error:  # Celery would answer with a page of traceback
    raise SystemExit(f"Error: {_error}") from None
# A message is handed to another worker after this many seconds, so it must exceed the longest
# task (the hard limit of maintenance) with its longest countdown.
_redelivery = {
    "visibility_timeout": 2100,
    "unacked_restore_interval": 1,
    "unacked_restore_throttle": 1,
}
_expires = max(_chosen.tick_seconds, 10.0)
_guard_seconds = _chosen.guard_seconds or _chosen.tick_seconds

broker_url = _chosen.broker_url
broker_transport_options = _redelivery
broker_connection_retry_on_startup = True
broker_connection_max_retries = None  # for ever: the broker comes back, or somebody stops us
# Nobody reads results, so there is no result backend; whoever adds one needs the same timeout.
result_backend_transport_options = _redelivery

task_serializer = "json"
result_serializer = "json"
accept_content = ["json"]
enable_utc = True
timezone = "UTC"

task_ignore_result = True
task_acks_late = True
task_reject_on_worker_lost = True
task_soft_time_limit = 240
task_time_limit = 300
task_create_missing_queues = True
task_default_queue = "maintenance"
task_queues = [
    _Queue(_name, _Exchange(_name), routing_key=_name)
    for _name in ("capture", "ticks", "rollups", "checks", "delivery", "maintenance")
]
task_routes = {
    "tasks.capture.*": {"queue": "capture"},
    "tasks.ticks.take": {"queue": "ticks"},
    "tasks.rollups.*": {"queue": "rollups"},
    "tasks.budgets.look": {"queue": "ticks"},
    "tasks.budgets.check": {"queue": "checks"},
    "tasks.budgets.check_due": {"queue": "checks"},
    "tasks.budgets.review": {"queue": "checks"},
    "tasks.delivery.deliver": {"queue": "delivery"},
    "tasks.delivery.ring": {"queue": "ticks"},
    "tasks.delivery.tidy": {"queue": "maintenance"},
    "tasks.guard.*": {"queue": "ticks"},
    "tasks.guard_prices.*": {"queue": "maintenance"},
    "tasks.maintenance.*": {"queue": "maintenance"},
    "tasks.litellm.*": {"queue": "maintenance"},
    "tasks.pricing.*": {"queue": "maintenance"},
}

worker_concurrency = _chosen.concurrency
worker_prefetch_multiplier = 1
worker_max_tasks_per_child = 1000
worker_max_memory_per_child = 200_000  # kilobytes
worker_cancel_long_running_tasks_on_connection_loss = False  # they are idempotent: let them end
worker_consumer = "worker.broker_guard:GuardedConsumer"
# Flower and the exporter live on events.
worker_send_task_events = True
task_send_sent_event = True

# In memory: every entry is an interval that may fire early, late or twice, so there is no file
# to lose or to fight over.
beat_scheduler = "celery.beat:Scheduler"
beat_schedule = {
    "tick": {
        "task": "tasks.ticks.take",
        "schedule": _chosen.tick_seconds,
        "options": {"expires": _expires},
    },
    "look-at-budgets": {
        "task": "tasks.budgets.look",
        "schedule": _chosen.check_seconds,
        "options": {"expires": max(_chosen.check_seconds, 10.0)},
    },
    "review-budgets": {
        "task": "tasks.budgets.review",
        "schedule": 60.0,
        "options": {"expires": 60.0},
    },
    "ring": {
        "task": "tasks.delivery.ring",
        "schedule": _chosen.tick_seconds,
        "options": {"expires": _expires},
    },
    "guard": {
        "task": "tasks.guard.reconcile",
        "schedule": _guard_seconds,
        "options": {"expires": max(_guard_seconds, 10.0)},
    },
    "guard-prices": {
        "task": "tasks.guard_prices.publish",
        "schedule": 30.0,
        "options": {"expires": 30.0},
    },
    "tidy-deliveries": {
        "task": "tasks.delivery.tidy",
        "schedule": 300.0,
        "options": {"expires": 300.0},
    },
    "prune": {
        "task": "tasks.maintenance.prune",
        "schedule": 300.0,
        "options": {"expires": 300.0},
    },
    "prune-feed": {
        "task": "tasks.maintenance.prune_feed",
        "schedule": 300.0,
        "options": {"expires": 300.0},
    },
    "settle": {
        "task": "tasks.pricing.settle",
        "schedule": 60.0,
        "options": {"expires": 60.0},
    },
    "prune-pricing": {
        "task": "tasks.pricing.prune",
        "schedule": 300.0,
        "options": {"expires": 300.0},
    },
    "audit": {
        "task": "tasks.maintenance.audit",
        "schedule": _chosen.audit_seconds,
        "options": {"expires": _chosen.audit_seconds},
    },
    "prepare-months": {
        "task": "tasks.maintenance.prepare_months",
        "schedule": 86_400.0,
        "options": {"expires": 86_400.0},
    },
}
if _chosen.litellm_database_url:
    beat_schedule["litellm"] = {
        "task": "tasks.litellm.sync",
        "schedule": _chosen.litellm_seconds,
        "options": {"expires": _chosen.litellm_seconds},
    }
