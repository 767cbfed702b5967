"""What this service itself does, in the words of Prometheus. The ledger's figures are the
exporter's.

Each label has a bounded number of values: routes are named by their templates, and whatever asks
for something that is not there is one line.
"""

import asyncio
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fastapi import APIRouter
from fastapi.routing import iter_route_contexts
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from web.described import health as openapi
from web.refusals import Refusal
from web.slots import Slot

if TYPE_CHECKING:  # what all routes share has these metrics
    from web.service import Service

SCOPE = "metrics"
OTHER = "other"
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_STREAM = b"text/event-stream"
_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
SSE_KINDS = ("spend", "alert", "reset")
SSE_ENDS = ("gone", "slow", "full", "revoked", "stopping", "failed")
_LIVE: Final = "livesum"


class WebMetrics:
    """Counts of one process, or where there are several, of all.

    folder: where the processes meet; None where there is one.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._slot = Slot(folder) if folder else None
        self._registry = found = CollectorRegistry()
        route = ("route", "method")
        self.requests = Counter(
            "spendbeat_http_requests",
            "Requests by route and class of status; none is one that got no answer.",
            (*route, "status"),
            registry=found,
        )
        self.seconds = Histogram(
            "spendbeat_http_request_seconds",
            "Time until a request was answered; of a stream, until it began.",
            route,
            buckets=_BUCKETS,
            registry=found,
        )
        self.in_hand = Gauge(
            "spendbeat_http_in_hand",
            "Requests that are not answered yet, without streams that have begun.",
            multiprocess_mode=_LIVE,
            registry=found,
        )
        self._limited = Counter(
            "spendbeat_http_limited",
            "Requests refused because their token asked too often.",
            ("route",),
            registry=found,
        )
        self.sse_clients = Gauge(
            "spendbeat_sse_clients",
            "Clients that listen to events right now.",
            multiprocess_mode=_LIVE,
            registry=found,
        )
        self._sse_sent = Counter(
            "spendbeat_sse_events", "Events sent to clients that listen.", ("kind",), registry=found
        )
        self._sse_closed = Counter(
            "spendbeat_sse_closed",
            "Clients that listen no more: gone by themselves, too slow, one too many (full), with a"
            " token that was revoked, or since the service stops or cannot read.",
            ("reason",),
            registry=found,
        )
        for kind in SSE_KINDS:
            self._sse_sent.labels(kind)
        for reason in SSE_ENDS:
            self._sse_closed.labels(reason)

    def expect(self, routes: Iterable[BaseRoute]) -> None:
        """Make these routes visible as zero, before anything happened."""
        for route in iter_route_contexts(list(routes)):
            path = route.path or OTHER
            self._limited.labels(path)
            for method in sorted(METHODS & (route.methods or set())):
                for status in ("2xx", "4xx", "5xx"):
                    self.requests.labels(path, method, status)

    def limited(self, request: Request) -> None:
        """A request was refused because its token asked too often."""
        self._limited.labels(template(request.scope)).inc()

    @contextmanager
    def sse_client(self) -> Iterator[None]:
        """Around one client that listens."""
        self.sse_clients.inc()
        try:
            yield
        finally:
            self.sse_clients.dec()

    def sse_sent(self, kind: str, count: int = 1) -> None:
        """kind: one of SSE_KINDS."""
        self._sse_sent.labels(kind).inc(count)

    def sse_closed(self, reason: str) -> None:
        """reason: one of SSE_ENDS."""
        self._sse_closed.labels(reason).inc()

    def text(self) -> bytes:
        """All of it as Prometheus reads it."""
        source = self._registry if self._slot is None else self._slot
        found = CollectorRegistry()
        found.register(_Plain(source.collect()))
        return generate_latest(found)

    def close(self) -> None:
        if self._slot:
            self._slot.close()


class _Plain(Collector):
    """Without the moments at which each series was made: they double the number of lines."""

    def __init__(self, found: Iterable[Metric]) -> None:
        self._found = list(found)

    def collect(self) -> Iterable[Metric]:
        for metric in self._found:
            metric.samples = [s for s in metric.samples if not s.name.endswith("_created")]
            yield metric


class Measured:
    """Stands around all else and counts what goes through."""

    def __init__(self, app: ASGIApp, metrics: WebMetrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        passing = _Passing(scope, self._metrics)

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                passing.begins(message)
            await send(message)

        try:
            await self._app(scope, receive, sending)
        except Exception:
            passing.status = passing.status or "5xx"
            raise
        finally:
            passing.ends()


class _Passing:
    """One request on its way."""

    def __init__(self, scope: Scope, metrics: WebMetrics) -> None:
        self.status = ""
        self._scope = scope
        self._metrics = metrics
        self._since = time.perf_counter()
        self._over = False
        metrics.in_hand.inc()

    def begins(self, message: Message) -> None:
        self.status = f"{message['status'] // 100}xx"
        for name, value in message.get("headers", ()):
            if name.lower() == b"content-type" and value.startswith(_STREAM):
                self.ends()

    def ends(self) -> None:
        if self._over:
            return
        self._over = True
        metrics, method = self._metrics, self._scope["method"]
        labels = template(self._scope), method if method in METHODS else OTHER
        metrics.in_hand.dec()
        metrics.seconds.labels(*labels).observe(time.perf_counter() - self._since)
        metrics.requests.labels(*labels, self.status or "none").inc()


def template(scope: Scope) -> str:
    """The path of a route with the names of its parts; one word for all that is not there."""
    return getattr(scope.get("route"), "path", "") or OTHER


def router(service: "Service") -> APIRouter:
    """GET /metrics."""
    routes = APIRouter()

    @routes.get("/metrics", summary="Metrics", response_class=Response, **openapi.METRICS)
    async def metrics(request: Request) -> Response:
        """What the service does, for Prometheus, summed over its processes. What is in the ledger
        is exported by `spendbeat exporter`.
        """
        try:
            token = await service.tokens.require(request, SCOPE)
        except Refusal as refusal:
            return JSONResponse(refusal.as_json(), refusal.status, refusal.headers)
        service.notes.used(token.id)
        text = await asyncio.to_thread(service.metrics.text)
        return Response(text, media_type=CONTENT_TYPE_PLAIN_0_0_4)

    return routes
