"""Spans as exporters send them, and what libraries really put on them."""

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

TRACE = "5b8efff798038103d269b633813fc60c"
START = 1_793_613_600_250_000_000  # 2026-11-02T10:00:00.25Z

CHAT = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.response.model": "gpt-4o-2024-08-06",
    "gen_ai.response.id": "chatcmpl-BhqTe8JbQ2m4vYcW1xNrZ5aLd7Pk",
    "gen_ai.usage.input_tokens": 1000,
    "gen_ai.usage.output_tokens": 100,
}


@dataclass(frozen=True)
class Made:
    """A span; number makes its id, parent is the number of another one."""

    attributes: Mapping[str, Any] = field(default_factory=dict)
    number: int = 1
    parent: int = 0
    trace: str = TRACE
    start: int = START
    failed: bool = False
    scope: str = "test"
    name: str = "chat gpt-4o"


def chat(number: int = 1, *, without: Sequence[str] = (), **changed: Any) -> Made:
    """A span of a chat; further attributes with two underscores for each dot."""
    more = {name.replace("__", "."): value for name, value in changed.items()}
    said = {key: value for key, value in {**CHAT, **more}.items() if key not in without}
    return Made(said, number)


def export(*spans: Made, resource: Mapping[str, Any] | None = None) -> ExportTraceServiceRequest:
    request = ExportTraceServiceRequest()
    group = request.resource_spans.add()
    group.resource.attributes.extend(_pairs(resource or {}))
    for made in spans:
        scoped = group.scope_spans.add()
        scoped.scope.name = made.scope
        span = scoped.spans.add(
            trace_id=bytes.fromhex(made.trace),
            span_id=made.number.to_bytes(8, "big"),
            parent_span_id=made.parent.to_bytes(8, "big") if made.parent else b"",
            name=made.name,
            start_time_unix_nano=made.start,
            end_time_unix_nano=made.start + 1_000_000,
        )
        span.status.code = 2 if made.failed else 0
        span.attributes.extend(_pairs(made.attributes))
    return request


def _pairs(attributes: Mapping[str, Any]) -> Iterator[KeyValue]:
    for key, value in attributes.items():
        yield KeyValue(key=key, value=_value(value))


def _value(value: object) -> AnyValue:
    if isinstance(value, bool):
        return AnyValue(bool_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value)
    if isinstance(value, float):
        return AnyValue(double_value=value)
    if isinstance(value, list | tuple):
        found = AnyValue()
        found.array_value.values.extend(_value(part) for part in value)
        return found
    return AnyValue(string_value=str(value))


def as_json(request: ExportTraceServiceRequest) -> dict[str, Any]:
    """The request in OTLP's JSON: protobuf's own, but with hexadecimal ids."""
    found: dict[str, Any] = MessageToDict(request, use_integers_for_enums=True)
    for group in found.get("resourceSpans", []):
        for scoped in group.get("scopeSpans", []):
            for span in scoped.get("spans", []):
                for name in ("traceId", "spanId", "parentSpanId"):
                    if name in span:
                        span[name] = base64.b64decode(span[name]).hex()
    return found
