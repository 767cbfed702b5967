"""OTLP over HTTP into a real ledger: the SDK's own exporter, and what the protocol says."""

import gzip
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import orjson
import pytest
from google.rpc.status_pb2 import Status
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import (
    BatchSpanProcessor,
    SpanExporter,
    SpanExportResult,
)
from opentelemetry.trace import Status as SpanStatus
from opentelemetry.trace import StatusCode
from sqlalchemy import text

from tests.support.books import Books
from tests.support.service import Service, serving, token
from tests.support.spans import CHAT, START, Made, as_json, chat, export
from web.otlp import answer_refused
from web.refusals import invalid

PROTOBUF, JSON = "application/x-protobuf", "application/json"
PATH = "/v1/traces"
COUNT = "SELECT count(*) FROM cost_logs"
NOBODYS = {"http.request.method": "GET"}


def rows(books: Books, sql: str) -> list[tuple[Any, ...]]:
    with books.engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(sql))]


def change(books: Books, sql: str) -> None:
    with books.engine.begin() as connection:
        connection.execute(text(sql))


def send(service: Service, *spans: Made, **resource: str) -> httpx.Response:
    body = export(*spans, resource=resource).SerializeToString()
    return service.post(body, PATH, content_type=PROTOBUF)


def answer(response: httpx.Response) -> ExportTraceServiceResponse:
    assert response.status_code == 200, response.content
    assert response.headers["content-type"] == PROTOBUF
    return ExportTraceServiceResponse.FromString(response.content)


# The real exporter


def bearer(service: Service) -> dict[str, str]:
    return {"Authorization": service.client.headers["Authorization"]}


@contextmanager
def traced(exporter: SpanExporter, **resource: str) -> Iterator[TracerProvider]:
    """A program that is traced; all its spans are sent at its end."""
    named = {name.replace("__", "."): value for name, value in resource.items()}
    provider = TracerProvider(resource=Resource.create(named))
    provider.add_span_processor(BatchSpanProcessor(exporter))
    try:
        yield provider
    finally:
        provider.shutdown()


def work(provider: TracerProvider, calls: int) -> None:
    """An agent that makes so many calls, of which each fifth fails, beside other work."""
    tracer = provider.get_tracer("shop")
    with tracer.start_as_current_span("invoke_agent helper") as agent:
        agent.set_attributes({"gen_ai.operation.name": "invoke_agent"})
        agent.set_attributes({"gen_ai.usage.input_tokens": 1000 * calls})
        for number in range(calls):
            with tracer.start_as_current_span("chat gpt-4o") as span:
                span.set_attributes({**CHAT, "gen_ai.response.id": f"chatcmpl-{number:024d}"})
                if number % 5 == 4:
                    span.set_status(SpanStatus(StatusCode.ERROR, "overloaded"))
            with tracer.start_as_current_span("SELECT"):
                pass


@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_a_traced_programs_requests_are_each_booked_once(
    service: Service, books: Books, monkeypatch: pytest.MonkeyPatch, compression: str
) -> None:
    """Set up by nothing but the SDK's own variables, as the document has it."""
    headers = f"Authorization={bearer(service)['Authorization'].replace(' ', '%20')}"
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", service.url + PATH)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_HEADERS", headers)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", compression)
    exporter = OTLPSpanExporter()
    with traced(exporter, service__name="shop", spendbeat__team="blue") as provider:
        work(provider, 20)
    # 1,000 and 100 tokens of gpt-4o
    assert rows(
        books,
        "SELECT l.status, a.project, a.team, count(*), sum(l.input_tokens), sum(l.cost_usd)::text"
        " FROM cost_logs AS l JOIN attributions AS a ON a.id = l.attribution_id"
        " GROUP BY 1, 2, 3 ORDER BY 1",
    ) == [
        ("failure", "shop", "blue", 4, 4000, "0.014000000000"),
        ("success", "shop", "blue", 16, 16_000, "0.056000000000"),
    ]


class Twice(SpanExporter):
    """Hands everything to the real exporter two times, as after a lost answer."""

    def __init__(self, real: OTLPSpanExporter) -> None:
        self._real = real

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self._real.export(spans)
        return self._real.export(spans)

    def shutdown(self) -> None:
        self._real.shutdown()


def test_spans_that_are_exported_again_are_known(service: Service, books: Books) -> None:
    with traced(Twice(OTLPSpanExporter(service.url + PATH, headers=bearer(service)))) as provider:
        work(provider, 10)
    assert books.scalar(COUNT) == 10
    assert books.scalar("SELECT count(*) FROM request_conflicts") == 0


@contextmanager
def losing_the_first_answer(url: str) -> Iterator[tuple[str, list[int]]]:
    """A relay that says 503 to the first request after the service has booked it."""
    seen: list[int] = []

    class Relay(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            kept = {k: v for k, v in self.headers.items() if k.lower() != "host"}
            found = httpx.post(url + self.path, content=body, headers=kept, trust_env=False)
            seen.append(found.status_code)
            self.send_response(503 if len(seen) == 1 else found.status_code)
            self.send_header("Retry-After", "0")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Relay) as relay:
        thread = threading.Thread(target=relay.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{relay.server_port}", seen
        finally:
            relay.shutdown()
            thread.join()


def test_the_exporters_own_retry_after_a_lost_answer_is_harmless(
    service: Service, books: Books
) -> None:
    with losing_the_first_answer(service.url) as (url, seen):
        with traced(OTLPSpanExporter(url + PATH, headers=bearer(service))) as provider:
            work(provider, 3)
        assert seen == [200, 200]
    assert books.scalar(COUNT) == 3


# One request, several ways


STARTED = (START + 400_000_000) / 1e9  # the other route looked at its clock a little later
EVENT = {
    "id": CHAT["gen_ai.response.id"],
    "started_at": STARTED,
    "provider": "openai",
    "model": "gpt-4o",
    "input_tokens": 1000,
    "output_tokens": 100,
}
LITELLM = {
    "id": CHAT["gen_ai.response.id"],
    "litellm_call_id": "3f2b8c1e-9a4d-4f7e-8b6a-1c2d3e4f5a6b",
    "call_type": "completion",
    "status": "success",
    "custom_llm_provider": "openai",
    "model": "gpt-4o",
    "startTime": STARTED,
    "endTime": STARTED + 1,
    "prompt_tokens": 1000,
    "completion_tokens": 100,
    "response_cost": 0.0035,
}


@pytest.mark.parametrize("spans_first", [True, False])
@pytest.mark.parametrize(
    ("path", "event"), [("/ingest", EVENT), ("/ingest/litellm", LITELLM)], ids=["own", "LiteLLM"]
)
def test_a_request_that_comes_by_spans_and_by_another_route_is_one(
    service: Service, books: Books, path: str, event: dict[str, Any], *, spans_first: bool
) -> None:
    """The id of its response joins them; the requested model and equal counts agree."""
    ways = [lambda: send(service, chat()), lambda: service.post([event], path)]
    for way in ways if spans_first else reversed(ways):
        assert way().status_code == 200
    assert books.scalar(COUNT) == 1
    assert books.scalar("SELECT count(*) FROM request_conflicts") == 0


def test_two_libraries_whose_spans_come_one_after_the_other_are_one_request(
    service: Service, books: Books
) -> None:
    send(service, chat(1))
    send(service, chat(2))
    assert books.scalar(COUNT) == 1


def test_a_request_whose_span_says_no_usage_is_unpriced_and_not_free(
    service: Service, books: Books
) -> None:
    usage = ("gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens")
    assert answer(send(service, chat(without=usage))) is not None
    assert rows(books, "SELECT model, cost_usd FROM cost_logs") == [("gpt-4o", None)]


def test_a_span_that_contradicts_what_is_known_is_a_warning(service: Service, books: Books) -> None:
    """It is in the ledger already, so it is not counted as rejected."""
    send(service, chat(1))
    said = answer(send(service, chat(2, gen_ai__usage__output_tokens=7))).partial_success
    assert said.rejected_spans == 0
    assert "1 known with other content" in said.error_message
    assert books.scalar("SELECT sum(output_tokens) FROM cost_logs") == 100


# The protocol


def test_success_says_nothing_about_parts(service: Service, books: Books) -> None:
    assert not answer(send(service, chat(), Made(NOBODYS, 2))).HasField("partial_success")
    said = service.post(orjson.dumps(as_json(export(chat(3)))), PATH, content_type=JSON)
    assert (said.status_code, said.headers["content-type"], said.json()) == (200, JSON, {})


@pytest.mark.parametrize("body", [b"", export(Made(NOBODYS)).SerializeToString()])
def test_an_export_without_requests_is_fine(service: Service, books: Books, body: bytes) -> None:
    response = service.post(body, PATH, content_type=PROTOBUF)
    assert not answer(response).HasField("partial_success")
    assert books.scalar(COUNT) == 0


def test_good_spans_are_booked_and_the_others_named(service: Service, books: Books) -> None:
    """Some are refused where they are mapped, some where all requests are checked."""
    bad = (
        chat(2, gen_ai__operation__name="ponder", gen_ai__response__id="r2"),
        chat(3, gen_ai__usage__output_tokens=2**60, gen_ai__response__id="r3"),
        Made({**CHAT, "gen_ai.response.id": "r4"}, 4, start=1),
    )
    said = answer(send(service, chat(), *bad)).partial_success
    assert said.rejected_spans == 3
    assert "3 not booked: span 0000000000000002 (chat gpt-4o): " in said.error_message
    assert "r4: started_at" in said.error_message
    assert books.scalar(COUNT) == 1
    body = orjson.dumps(as_json(export(*bad)))
    partial = service.post(body, PATH, content_type=JSON).json()["partialSuccess"]
    assert partial["rejectedSpans"] == "3"
    assert "ponder" in partial["errorMessage"]


def test_of_many_bad_spans_five_are_named(service: Service) -> None:
    bad = [chat(n, gen_ai__operation__name="ponder") for n in range(1, 21)]
    said = answer(send(service, *bad)).partial_success
    assert said.rejected_spans == 20
    assert said.error_message.endswith("; and 15 more.")


def test_gzip_is_taken(service: Service, books: Books) -> None:
    body = gzip.compress(export(chat()).SerializeToString())
    headers = {"content_type": PROTOBUF, "content_encoding": "gzip"}
    assert service.post(body, PATH, **headers).status_code == 200
    assert books.scalar(COUNT) == 1


@pytest.mark.parametrize(
    ("status", "headers", "body"),
    [
        (400, {"content_type": PROTOBUF}, b"\xff\xff\xff\xff"),
        (400, {"content_type": JSON}, b'{"resourceSpans": 7}'),
        (400, {"content_type": PROTOBUF, "content_encoding": "gzip"}, b"no gzip"),
        (401, {"content_type": PROTOBUF, "authorization": "Bearer sb_wrong"}, b""),
        (413, {"content_type": PROTOBUF}, b"x" * ((1 << 20) + 1)),
        (415, {"content_type": "text/plain"}, b""),
        (415, {"content_type": PROTOBUF, "content_encoding": "br"}, b""),
    ],
)
def test_a_refusal_is_a_status_in_the_encoding_of_the_request(
    database: str, status: int, headers: dict[str, str], body: bytes
) -> None:
    with serving(web_body_mib=1) as service:
        response = service.post(body, PATH, **headers)
    assert response.status_code == status
    if headers["content_type"] == PROTOBUF:
        assert response.headers["content-type"] == PROTOBUF
        said = Status.FromString(response.content)
        code, message = said.code, said.message
    else:
        assert response.headers["content-type"] == JSON
        code, message = response.json()["code"], response.json()["message"]
    assert code
    assert message


@pytest.mark.parametrize("length", [0, 63, 64, 10_000])
def test_a_status_holds_any_message(length: int) -> None:
    """Its protobuf is written by hand: lengths of more than seven bits, letters of two bytes."""
    said = Status.FromString(bytes(answer_refused(invalid("é" * length), PROTOBUF).body))
    assert (said.code, said.message) == (3, "é" * length)


def test_a_token_without_the_scope_is_refused(database: str) -> None:
    with serving(token("reads", "read")) as service:
        response = send(service, chat())
    assert response.status_code == 403
    assert "ingest" in Status.FromString(response.content).message


def test_without_a_database_the_exporter_is_asked_to_come_again(
    service: Service, books: Books
) -> None:
    assert answer(send(service, chat())) is not None
    change(books, "ALTER TABLE cost_logs RENAME TO cost_logs_away")
    try:
        response = send(service, chat(2, gen_ai__response__id="another"))
    finally:
        change(books, "ALTER TABLE cost_logs_away RENAME TO cost_logs")
    assert response.status_code == 503
    assert int(response.headers["retry-after"]) > 0
    assert "Send the same again" in Status.FromString(response.content).message
    assert send(service, chat(2, gen_ai__response__id="another")).status_code == 200
    assert books.scalar(COUNT) == 2
