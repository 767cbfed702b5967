"""Every metric, declared once.

Figures are read from Postgres or Redis at each scrape; the others are counted from Celery's
events while the exporter runs. The names that begin with celery_ are the customary ones, so that
public dashboards fit.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, SupportsFloat

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

# A label of unlimited values would end a Prometheus: whatever lies beyond is summed as "other".
MOST_MODELS = 200
MOST_PROVIDERS = 100
MOST_GATEWAYS = 100
MOST_CHANNELS = 100
MOST_INBOX = 10_000
MOST_BUDGETS = 500  # unless SPENDBEAT_METRICS_BUDGETS says otherwise
OTHER = "other"


@dataclass(frozen=True)
class Figure:
    """A metric whose value is looked up when somebody asks."""

    name: str
    help: str
    labels: tuple[str, ...] = ()
    counter: bool = False

    def family(self) -> GaugeMetricFamily | CounterMetricFamily:
        kind = CounterMetricFamily if self.counter else GaugeMetricFamily
        return kind(self.name, self.help, labels=self.labels)

    def one(self, value: SupportsFloat) -> Metric:
        """Its only value."""
        family = self.family()
        family.add_metric([], float(value))
        return family

    def many(self, rows: Iterable[Any], column: str) -> Metric:
        """A value per row: `column`, under what the row says of each label; none for None."""
        family = self.family()
        for row in rows:
            value = getattr(row, column)
            if value is not None:
                labels = [str(getattr(row, name)) for name in self.labels]
                family.add_metric(labels, float(value))
        return family


DATABASE_UP = Figure("spendbeat_database_up", "1 if Postgres answered this scrape, otherwise 0.")
REDIS_UP = Figure("spendbeat_redis_up", "1 if Redis answered this scrape, otherwise 0.")

TICK_ID = Figure("spendbeat_tick_id", "Number of the newest tick.")
TICK_AGE = Figure("spendbeat_tick_age_seconds", "Time since the newest tick was taken.")

_SHARD = ("provider",)
LAG_ROWS = Figure(
    "spendbeat_shard_lag_rows", "Ledger rows that ticks found and rollups have not counted.", _SHARD
)
LAG_SECONDS = Figure(
    "spendbeat_shard_lag_seconds",
    "Age of the oldest tick with rows that rollups have not counted, 0 if there is none.",
    _SHARD,
)
ROLLUP_ROWS = Figure(
    "spendbeat_rollup_rows", "Ledger rows that rollups have counted.", _SHARD, True
)
ROLLUP_BATCHES = Figure(
    "spendbeat_rollup_batches", "Transactions in which rollups counted rows.", _SHARD, True
)
ROLLUP_SECONDS = Figure(
    "spendbeat_rollup_seconds", "Time that those transactions took in the database.", _SHARD, True
)

AUDIT_AGE = Figure("spendbeat_audit_age_seconds", "Time since the newest audit.")
AUDIT_ROWS = Figure("spendbeat_audit_rows", "Ledger rows that the newest audit compared.")
AUDIT_DIFFERENCE = Figure(
    "spendbeat_audit_difference_dollars",
    "Largest difference between the ledger and a rollup in the newest audit; always 0, or page.",
)
AUDIT_MISMATCHES = Figure(
    "spendbeat_audit_mismatches", "Figures that differed in the newest audit; always 0, or page."
)

_MODEL = ("provider", "model")
SPEND = Figure(
    "spendbeat_spend_dollars",
    "Spend of all time without unpriced requests; rounded to a float, the ledger has every digit.",
    _MODEL,
)
REQUESTS = Figure("spendbeat_requests", "Requests of all time.", _MODEL)
UNPRICED = Figure(
    "spendbeat_unpriced_requests", "Requests whose price is not known; they are in no cost.", _MODEL
)
TOKENS = Figure(
    "spendbeat_tokens",
    "Tokens of all time; every class but input and output is a part of one of these two.",
    (*_MODEL, "class"),
)

DISAGREEMENTS = Figure(
    "spendbeat_price_disagreements",
    "Costs that are known beside the booked one and differ from it by more than the tolerance,"
    " found in the last 30 days.",
    ("provider",),
)
DISAGREEMENT_DOLLARS = Figure(
    "spendbeat_price_disagreement_dollars",
    "What those costs and the booked ones are apart, without their signs.",
    ("provider",),
)

MONTHS_AHEAD = Figure(
    "spendbeat_ledger_months_ahead", "Partitions of the ledger for months that have not begun."
)

ATTRIBUTION_CAPPED = Figure(
    "spendbeat_attribution_capped",
    "New values of a field that became (other), since it has as many values as it may have.",
    ("field",),
    True,
)

_ROUTE = ("route", "result")
INGEST_REQUESTS = Figure(
    "spendbeat_ingest_requests",
    "HTTP requests with events by how they ended; only those booked are in the ledger.",
    _ROUTE,
    counter=True,
)
INGEST_EVENTS = Figure(
    "spendbeat_ingest_events",
    "Events that came over HTTP by what became of them; unpriced ones are also among the imported.",
    _ROUTE,
    counter=True,
)

_GATEWAY = ("gateway",)
SPOOL_WAITING = Figure(
    "spendbeat_gateway_spool_waiting", "Events that a gateway has and has not sent.", _GATEWAY
)
SPOOL_DROPPED = Figure(
    "spendbeat_gateway_spool_dropped",
    "Events that a gateway lost because its spool was full; always 0, or spend is missing.",
    _GATEWAY,
)
SPOOL_AGE = Figure(
    "spendbeat_gateway_spool_age_seconds",
    "Age of the oldest event that a gateway has not sent, 0 if there is none.",
    _GATEWAY,
)

_SOURCE = ("source",)
LITELLM_LAG = Figure(
    "spendbeat_litellm_lag_seconds",
    "Time since the end of a database of LiteLLM's was last reached.",
    _SOURCE,
)
LITELLM_ROWS = Figure(
    "spendbeat_litellm_rows", "Requests booked from a database of LiteLLM's.", _SOURCE, True
)
LITELLM_SETTLED = Figure(
    "spendbeat_litellm_settled",
    "Requests corrected since their row there was rewritten.",
    _SOURCE,
    True,
)
LITELLM_REJECTED = Figure(
    "spendbeat_litellm_rejected", "Rows there that cannot be booked.", _SOURCE, True
)

BUDGETS = Figure("spendbeat_budgets", "Budgets that are kept, by their state.", ("state",))
BUDGETS_LEFT_OUT = Figure(
    "spendbeat_budgets_left_out",
    "Budgets without figures of their own, since SPENDBEAT_METRICS_BUDGETS are nearer to theirs.",
)
_BUDGET = ("budget", "id")
BUDGET_USED = Figure(
    "spendbeat_budget_used_dollars",
    "Spend of a budget in its current period, at least: unpriced requests are not in it.",
    _BUDGET,
)
BUDGET_LIMIT = Figure(
    "spendbeat_budget_limit_dollars",
    "Limit of a budget now, raise included: the hard one, or the soft one where there is no other.",
    _BUDGET,
)
BUDGET_LEFT = Figure(
    "spendbeat_budget_left_dollars",
    "What that limit leaves in the current period; below 0 where it is exceeded.",
    _BUDGET,
)

ALERTS = Figure(
    "spendbeat_alerts",
    "Alerts by severity and state; of those that are resolved, the ones of the last 24 hours.",
    ("severity", "state"),
)
CHECK_LAG = Figure(
    "spendbeat_budget_check_lag_seconds",
    "Age of the oldest batch whose budgets nobody has checked since, 0 if there is none.",
)
CHECKS_OVERDUE = Figure(
    "spendbeat_budget_checks_overdue",
    "Budgets that were changed, or whose time had come, over a minute ago, and are not checked.",
)

INBOX_WAITING = Figure(
    "spendbeat_inbox_waiting",
    "Events that gateways put into Postgres and that are not booked; counted up to 10,000.",
)
INBOX_REJECTED = Figure(
    "spendbeat_inbox_rejected",
    "Events that are kept since they could not be booked; counted up to 10,000.",
)
INBOX_AGE = Figure(
    "spendbeat_inbox_age_seconds", "Age of the oldest of those that wait, 0 if there is none."
)
FEED_POSITION = Figure("spendbeat_feed_position", "Newest position in the feed of events.")
FEED_AGE = Figure(
    "spendbeat_feed_age_seconds",
    "Age of the oldest event without a position, 0 if there is none; they wait for who listens.",
)
DATABASE_BYTES = Figure("spendbeat_database_bytes", "Size of the database on its disk.")

_CHANNEL = ("channel",)
CHANNEL_DISABLED = Figure(
    "spendbeat_channel_disabled",
    "1 if nothing is sent to a channel, by hand or since its receiver is gone, otherwise 0.",
    _CHANNEL,
)
OUTBOX_WAITING = Figure(
    "spendbeat_outbox_waiting", "Messages that a channel has yet to take.", _CHANNEL
)
OUTBOX_AGE = Figure(
    "spendbeat_outbox_age_seconds",
    "Age of the oldest message that a channel has yet to take, 0 if there is none.",
    _CHANNEL,
)
OUTBOX_DEAD = Figure(
    "spendbeat_outbox_dead", "Messages that were given up and not sent again.", _CHANNEL
)
_ATTEMPT = ("channel", "result", "reason")
DELIVERIES = Figure(
    "spendbeat_deliveries", "Attempts to deliver a message by how they ended.", _ATTEMPT, True
)
DELIVERY_SECONDS = Figure(
    "spendbeat_delivery_seconds", "Time that those attempts took.", _ATTEMPT, True
)

GUARD_DECISIONS = Figure(
    "spendbeat_guard_decisions", "What guards answered, by decision.", ("decision",), True
)
GUARD_HOLDS = Figure("spendbeat_guard_holds", "Calls that hold room in a budget right now.")
GUARD_READING_AGE = Figure(
    "spendbeat_guard_reading_age_seconds", "Time since guards' counters were last reconciled."
)
GUARD_READINGS = Figure(
    "spendbeat_guard_readings", "Reconciliations of guards' counters with Postgres.", counter=True
)
GUARD_REFUSED = Figure(
    "spendbeat_guard_readings_refused",
    "Counters that did not take a reading, since they had a later one.",
    counter=True,
)
GUARD_BEHIND = Figure(
    "spendbeat_guard_behind",
    "1 if Redis has readings of a later number than Postgres gives, as after a restore.",
)
GUARD_DRIFT = Figure(
    "spendbeat_guard_drift_dollars",
    "Largest difference between a counter and Postgres with the settlements that wait.",
)
GUARD_PENDING = Figure(
    "spendbeat_guard_pending", "Settlements that what Postgres says does not cover yet."
)
GUARD_PENDING_AGE = Figure(
    "spendbeat_guard_pending_age_seconds", "Age of the oldest of them, 0 if there is none."
)

QUEUE_LENGTH = Figure("celery_queue_length", "Messages that wait in a queue.", ("queue_name",))
WORKER_UP = Figure(
    "celery_worker_up",
    "1 if a worker was heard in the last minute, otherwise 0; worker is its name before the @.",
    ("hostname", "worker"),
)

_TASK = ("name", "hostname", "queue_name")


class EventMetrics:
    """What is counted from Celery's events, in a registry of its own."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(state: str, text: str) -> Counter:
            return Counter(f"celery_task_{state}", text, _TASK, registry=registry)

        self.counters = {
            "task-sent": counter("sent", "Messages sent for a task."),
            "task-received": counter("received", "Messages of a task received by a worker."),
            "task-started": counter("started", "Runs of a task that began."),
            "task-succeeded": counter("succeeded", "Runs of a task that ended well."),
            "task-failed": counter("failed", "Runs of a task that ended with an error."),
            "task-retried": counter("retried", "Runs of a task that will be tried again."),
        }
        self.runtime = Histogram(
            "celery_task_runtime",
            "Seconds that a run of a task took.",
            _TASK,
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300),
            registry=registry,
        )

    def show(self, name: str, hostname: str, queue: str) -> None:
        """Make a label set visible, as zero, before anything happened."""
        for metric in (*self.counters.values(), self.runtime):
            metric.labels(name, hostname, queue)

    def forget(self, hostname: str) -> None:
        """Drop the label sets of a host that is gone for good."""
        for metric in (*self.counters.values(), self.runtime):
            metric.remove_by_labels({"hostname": hostname})
