"""The metrics endpoint: what is read from Postgres and Redis at each scrape, and Celery's events.

A scrape costs a few index look-ups and one small table, never a look at the ledger; and it
answers, with *_up 0, also where neither server does.
"""

import logging
from collections.abc import Callable, Iterable, Iterator
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from celery import Celery
from prometheus_client import CollectorRegistry, make_wsgi_app
from prometheus_client.core import Metric
from redis.exceptions import RedisError
from sqlalchemy import Connection, Engine, Row, event, text
from sqlalchemy.exc import SQLAlchemyError

from models import TOKEN_CLASSES
from spend import ingest_counts
from spend.attribution import limits
from spend.attribution.caps import kind
from spend.errors import UnavailableError
from spend.sql import query
from worker import broker, budget_figures, metrics
from worker.celery_events import EventCounter, EventThread
from worker.database import make_engine
from worker.guard_figures import GuardCollector

log = logging.getLogger(__name__)

_CONNECT_SECONDS = 2
_STATEMENT_TIMEOUT = text("SET LOCAL statement_timeout = '4s'")


class PostgresCollector:
    """What Postgres knows, in one short transaction as the reader.

    budgets: how many of them have figures of their own.
    """

    def __init__(self, engine: Engine, budgets: int = metrics.MOST_BUDGETS) -> None:
        self._engine = engine
        self._budgets = budgets

    def describe(self) -> Iterable[Metric]:
        return []  # without this, registering would already ask Postgres

    def collect(self) -> Iterable[Metric]:
        try:
            with self._engine.begin() as connection:
                connection.execute(_STATEMENT_TIMEOUT)
                found = [*_ticks(connection), *_shards(connection), *_audit(connection)]
                found += _spend(connection)
                found += _disagreements(connection)
                found += _ingest(connection)
                found += _spools(connection)
                found += _litellm(connection)
                found += budget_figures.collect(connection, self._budgets)
                found += _outbox(connection)
                found += _inbox(connection)
                found += _feed(connection)
                found.append(metrics.MONTHS_AHEAD.one(_months_ahead(connection)))
                found.append(_capped(connection))
        except SQLAlchemyError as error:
            log.warning("Postgres did not answer a scrape: %s", str(error).splitlines()[0])
            return [metrics.DATABASE_UP.one(0)]
        return [metrics.DATABASE_UP.one(1), *found]


class RedisCollector:
    """How long the queues are."""

    def __init__(self, url: str, queues: Iterable[str]) -> None:
        self._client = broker.client(url)
        self._queues = sorted(queues)

    def describe(self) -> Iterable[Metric]:
        return []

    def collect(self) -> Iterable[Metric]:
        lengths = metrics.QUEUE_LENGTH.family()
        try:
            with self._client.pipeline(transaction=False) as pipe:
                for name in self._queues:
                    pipe.llen(name)
                for name, length in zip(self._queues, pipe.execute(), strict=True):
                    lengths.add_metric([name], length)
        except RedisError as error:
            log.warning("Redis did not answer a scrape: %s", error)
            return [metrics.REDIS_UP.one(0)]
        return [metrics.REDIS_UP.one(1), lengths]


def _first(connection: Connection, name: str) -> Row[Any] | None:
    return connection.execute(query("metrics", name)).first()


def _ticks(connection: Connection) -> Iterator[Metric]:
    tick = _first(connection, "tick")
    if tick is not None:
        yield metrics.TICK_ID.one(tick.id)
        yield metrics.TICK_AGE.one(tick.age)


def _shards(connection: Connection) -> list[Metric]:
    rows = connection.execute(query("metrics", "shards"), {"most": metrics.MOST_PROVIDERS}).all()
    columns = {
        metrics.LAG_ROWS: "lag_rows",
        metrics.LAG_SECONDS: "lag_seconds",
        metrics.ROLLUP_ROWS: "rows_total",
        metrics.ROLLUP_BATCHES: "batches_total",
        metrics.ROLLUP_SECONDS: "seconds_total",
    }
    return [figure.many(rows, column) for figure, column in columns.items()]


def _audit(connection: Connection) -> Iterator[Metric]:
    audit = _first(connection, "audit")
    if audit is not None:
        yield metrics.AUDIT_AGE.one(audit.age)
        yield metrics.AUDIT_ROWS.one(audit.rows)
        yield metrics.AUDIT_DIFFERENCE.one(audit.difference)
        yield metrics.AUDIT_MISMATCHES.one(audit.mismatches)


def _spend(connection: Connection) -> list[Metric]:
    rows = connection.execute(query("metrics", "spend"), {"most": metrics.MOST_MODELS}).all()
    columns = {
        metrics.SPEND: "total_cost",
        metrics.REQUESTS: "requests",
        metrics.UNPRICED: "unpriced",
    }
    found = [figure.many(rows, column) for figure, column in columns.items()]
    tokens = metrics.TOKENS.family()
    for row in rows:
        for name in TOKEN_CLASSES:
            kind = name.removesuffix("_tokens")
            tokens.add_metric([row.provider, row.model, kind], float(getattr(row, name)))
    return [*found, tokens]


def _disagreements(connection: Connection) -> list[Metric]:
    most = {"most": metrics.MOST_PROVIDERS}
    rows = connection.execute(query("metrics", "disagreements"), most).all()
    columns = {metrics.DISAGREEMENTS: "requests", metrics.DISAGREEMENT_DOLLARS: "dollars"}
    return [figure.many(rows, column) for figure, column in columns.items()]


def _ingest(connection: Connection) -> list[Metric]:
    rows = connection.execute(query("metrics", "ingest")).all()
    totals = {(row.counted, row.route, row.result): row.total for row in rows}
    found: list[Metric] = []
    for counted, figure, results in (
        ("requests", metrics.INGEST_REQUESTS, ingest_counts.REQUESTS),
        ("events", metrics.INGEST_EVENTS, ingest_counts.EVENTS),
    ):
        family = figure.family()
        for route in ingest_counts.ROUTES:
            for result in results:
                total = totals.get((counted, route, result), 0)
                family.add_metric([route, result], float(total))
        found.append(family)
    return found


def _spools(connection: Connection) -> list[Metric]:
    rows = connection.execute(query("metrics", "spools"), {"most": metrics.MOST_GATEWAYS}).all()
    columns = {
        metrics.SPOOL_WAITING: "waiting",
        metrics.SPOOL_DROPPED: "dropped",
        metrics.SPOOL_AGE: "age_seconds",
    }
    return [figure.many(rows, column) for figure, column in columns.items()]


def _litellm(connection: Connection) -> list[Metric]:
    rows = connection.execute(query("metrics", "litellm"), {"most": metrics.MOST_PROVIDERS}).all()
    columns = {
        metrics.LITELLM_ROWS: "rows_total",
        metrics.LITELLM_SETTLED: "settled_total",
        metrics.LITELLM_REJECTED: "rejected_total",
    }
    found = [figure.many(rows, column) for figure, column in columns.items()]
    return [*found, metrics.LITELLM_LAG.many(rows, "lag_seconds")]


def _outbox(connection: Connection) -> list[Metric]:
    most = {"most": metrics.MOST_CHANNELS}
    rows = connection.execute(query("metrics", "outbox"), most).all()
    columns = {
        metrics.OUTBOX_WAITING: "waiting",
        metrics.OUTBOX_AGE: "age",
        metrics.OUTBOX_DEAD: "dead",
        metrics.CHANNEL_DISABLED: "disabled",
    }
    found = [figure.many(rows, column) for figure, column in columns.items()]
    tried = connection.execute(query("metrics", "deliveries"), most).all()
    counts = {metrics.DELIVERIES: "attempts", metrics.DELIVERY_SECONDS: "seconds"}
    return found + [figure.many(tried, column) for figure, column in counts.items()]


def _inbox(connection: Connection) -> Iterator[Metric]:
    inbox = connection.execute(query("metrics", "inbox"), {"most": metrics.MOST_INBOX}).one()
    yield metrics.INBOX_WAITING.one(inbox.waiting)
    yield metrics.INBOX_REJECTED.one(inbox.rejected)
    yield metrics.INBOX_AGE.one(inbox.age)


def _feed(connection: Connection) -> Iterator[Metric]:
    feed = connection.execute(query("metrics", "feed")).one()
    yield metrics.FEED_POSITION.one(feed.newest)
    yield metrics.FEED_AGE.one(feed.age)
    size = connection.execute(query("metrics", "size")).one()
    yield metrics.DATABASE_BYTES.one(size.bytes)


def _months_ahead(connection: Connection) -> int:
    return int(connection.execute(query("metrics", "months_ahead")).scalar_one())


def _capped(connection: Connection) -> Metric:
    found = dict.fromkeys(limits.FIELDS, 0)
    for field, replaced in connection.execute(query("metrics", "attribution_capped")):
        found[kind(field)] += int(replaced)
    family = metrics.ATTRIBUTION_CAPPED.family()
    for field, replaced in found.items():
        family.add_metric([field], replaced)
    return family


def reader(url: str) -> Engine:
    """An engine that gives up early: a scraper does not wait."""
    engine = make_engine(url, "spendbeat_reader")

    @event.listens_for(engine, "do_connect")
    def _hurry(
        _dialect: object, _record: object, _args: object, parameters: dict[str, object]
    ) -> None:
        parameters["connect_timeout"] = _CONNECT_SECONDS

    return engine


def registry(
    app: Celery,
    database_url: str,
    broker_url: str,
    budgets: int = metrics.MOST_BUDGETS,
    *,
    guard_url: str | None = None,
) -> tuple[CollectorRegistry, EventThread]:
    """Everything that is exported, and the thread (not started) that hears Celery's events.

    budgets: how many of them have figures of their own. guard_url: the Redis of guards, by default
    the broker.
    """
    app.loader.import_default_modules()
    names = sorted(name for name in app.tasks if name.startswith("tasks."))
    queues = {name: str(app.amqp.router.route({}, name)["queue"].name) for name in names}
    found = CollectorRegistry()
    found.register(PostgresCollector(reader(database_url), budgets))
    found.register(RedisCollector(broker_url, app.amqp.queues))
    found.register(GuardCollector(guard_url or broker_url))
    return found, EventThread(app, EventCounter(found, queues))


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """A line per scrape would drown what matters."""


def make_endpoint(found: CollectorRegistry, bind: str, port: int) -> WSGIServer:
    """A server of /metrics, bound and not yet serving; port 0 takes a free one."""
    scrape = make_wsgi_app(found)

    def application(environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        if environ["PATH_INFO"] == "/metrics":
            return scrape(environ, start)  # type: ignore[no-any-return]  # bytes, says WSGI
        start("404 Not Found", [("Content-Type", "text/plain; charset=utf-8")])
        return [b"The metrics are at /metrics\n"]

    try:
        return make_server(bind, port, application, _Server, _Quiet)
    except OSError as error:
        raise UnavailableError(
            f"The exporter cannot listen on {bind}:{port}: {error.strerror}. Choose another port"
            " with --port or SPENDBEAT_METRICS_PORT; 0 takes a free one."
        ) from None
