"""What the HTTP service says of itself: every request once, under names that are bounded."""

import re
from collections.abc import Iterator

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from tests.support.metrics import Scrape, parsed
from tests.support.service import Service, event, serving, token
from web.metrics import Measured, WebMetrics
from worker import metrics as exported
from worker.metrics import Figure

REQUESTS = "spendbeat_http_requests_total"


@pytest.fixture
def service(database: str) -> Iterator[Service]:
    """With a token that may do all this."""
    with serving(token("all", "ingest", "read", "metrics")) as service:
        yield service


def scrape(service: Service) -> Scrape:
    answer = service.client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return parsed(answer.text)


def test_requests_are_counted_by_route_method_and_class_of_status(service: Service) -> None:
    before = scrape(service)
    assert before.value(REQUESTS, route="/ingest", method="POST", status="2xx") == 0
    for number in range(3):
        assert service.post(event(number)).status_code == 200
    assert service.post(b"{").status_code == 400
    assert service.client.get("/budgets/shop").status_code == 404
    assert service.client.get("/budgets/web").status_code == 404
    found = scrape(service)
    assert found.value(REQUESTS, route="/ingest", method="POST", status="2xx") == 3
    assert found.value(REQUESTS, route="/ingest", method="POST", status="4xx") == 1
    assert found.value(REQUESTS, route="/budgets/{which}", status="4xx") == 2
    seconds = "spendbeat_http_request_seconds"
    assert found.value(f"{seconds}_count", route="/ingest", method="POST") == 4
    assert found.value(f"{seconds}_bucket", route="/ingest", le="+Inf") == 4
    assert (found.value(f"{seconds}_sum", route="/ingest") or 0) > 0
    assert found.value("spendbeat_http_in_hand") == 1  # the scrape itself


def test_whatever_is_asked_for_that_is_not_there_is_one_line(service: Service) -> None:
    """Also by methods that no route has; what is in hand afterwards is nothing."""
    strange = ("PROPFIND", "MKCOL", "REPORT", "TRACE")
    for number, method in enumerate(strange):
        service.client.get(f"/made-up-{number}")
        service.client.request(method, f"/made-up-{number}")
        service.client.request(method, "/spend")
    found = scrape(service)
    assert found.value(REQUESTS, route="other", method="GET", status="4xx") == 4
    assert found.value(REQUESTS, route="other", method="other", status="4xx") == 4
    assert found.value(REQUESTS, route="/spend", method="other", status="4xx") == 4
    assert not [word for word in ("made", *strange) if word in found.text]
    assert found.value("spendbeat_http_in_hand") == 1


def test_only_a_token_of_this_scope_sees_it(service: Service) -> None:
    for headers, status in (({}, 401), ({"authorization": f"Bearer {token('r', 'read')}"}, 403)):
        answer = httpx.get(f"{service.url}/metrics", headers=headers, trust_env=False)
        assert answer.status_code == status
        assert answer.json()["error"]


def test_nothing_that_the_exporter_says_is_said_again(service: Service) -> None:
    ours = {name for name, _ in scrape(service).samples}
    theirs = {found.name for found in vars(exported).values() if isinstance(found, Figure)}
    assert len(theirs) > 30
    assert not {re.sub("_(total|bucket|sum|count)$", "", name) for name in ours} & theirs
    assert not [name for name in ours if name.endswith("_created")]


def test_listeners_and_refusals_by_rate_are_counted(service: Service) -> None:
    """Each kind and each end is there before anything happened."""
    found = scrape(service)
    assert found.value("spendbeat_sse_clients") == 0
    assert found.value("spendbeat_sse_events_total", kind="alert") == 0
    assert found.value("spendbeat_sse_closed_total", reason="slow") == 0
    assert found.value("spendbeat_http_limited_total", route="/spend") == 0
    metrics = WebMetrics()
    with metrics.sse_client():
        metrics.sse_sent("spend", 5)
        assert parsed(metrics.text().decode()).value("spendbeat_sse_clients") == 1
    metrics.sse_closed("slow")
    found = parsed(metrics.text().decode())
    assert found.value("spendbeat_sse_clients") == 0
    assert found.value("spendbeat_sse_events_total", kind="spend") == 5
    assert found.value("spendbeat_sse_closed_total", reason="slow") == 1


def test_a_stream_is_answered_when_it_begins_and_an_error_counts_as_one() -> None:
    """A client that listens for hours is no request in hand; an exception is a 5xx."""
    metrics = WebMetrics()
    seen: list[float | None] = []

    async def stream(request: Request) -> Response:
        del request

        async def lines() -> object:  # type: ignore[misc]  # an async generator
            found = parsed(metrics.text().decode())
            seen.append(found.value("spendbeat_http_in_hand"))
            yield b": hello\n\n"

        return StreamingResponse(lines(), media_type="text/event-stream")  # type: ignore[arg-type]

    async def broken(request: Request) -> Response:
        metrics.limited(request)
        raise RuntimeError

    app = Starlette(routes=[Route("/stream", stream), Route("/broken/{id}", broken)])
    app.add_middleware(Measured, metrics=metrics)
    with TestClient(app, raise_server_exceptions=False) as client:
        assert client.get("/stream").status_code == 200
        assert client.get("/broken/7").status_code == 500
    assert seen == [0]
    found = parsed(metrics.text().decode())
    assert found.value(REQUESTS, route="/stream", status="2xx") == 1
    assert found.value(REQUESTS, route="/broken/{id}", status="5xx") == 1
    assert found.value("spendbeat_http_limited_total", route="/broken/{id}") == 1
    assert found.value("spendbeat_http_in_hand") == 0
