"""The two encodings of OTLP over HTTP, into the same spans.

JSON follows OTLP's own rules: ids are hexadecimal, enums are numbers, 64 bit integers are texts
or numbers, fields that are not known are ignored. Source: opentelemetry-proto, specification.md.
"""

import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any, cast

import orjson
from google.protobuf.message import DecodeError  # type: ignore[import-untyped] # ships no types
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from spend.capture.otlp.names import KNOWN
from spend.capture.otlp.span import Attributes, Span, Value
from spend.errors import BadInputError

PROTOBUF = "application/x-protobuf"
JSON = "application/json"
_ERROR = 2  # opentelemetry.proto.trace.v1.Status.STATUS_CODE_ERROR
_INTEGER = re.compile(r"-?\d{1,20}", re.ASCII)


class MalformedError(BadInputError):
    """The body is no ExportTraceServiceRequest."""


def decode(body: bytes, content_type: str) -> list[Span]:
    """All spans of an ExportTraceServiceRequest. Raises MalformedError."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind == PROTOBUF:
        return _from_protobuf(body)
    if kind == JSON:
        return list(_from_json(body))
    raise MalformedError(f"The content type is {kind!r:.60}, not {PROTOBUF} or {JSON}.")


def _from_protobuf(body: bytes) -> list[Span]:
    request = ExportTraceServiceRequest()
    try:
        request.ParseFromString(body)
    except DecodeError:
        raise MalformedError("The body is no ExportTraceServiceRequest in protobuf.") from None
    return [
        Span(
            trace_id=span.trace_id.hex(),
            span_id=span.span_id.hex(),
            parent_id=span.parent_span_id.hex(),
            name=span.name,
            start_ns=span.start_time_unix_nano,
            failed=span.status.code == _ERROR,
            scope=scope.scope.name,
            attributes=_attributes(span.attributes),
            resource=resource,
        )
        for group in request.resource_spans
        for resource in (_attributes(group.resource.attributes),)
        for scope in group.scope_spans
        for span in scope.spans
    ]


def _attributes(pairs: Iterable[KeyValue]) -> Attributes:
    found = {pair.key: _value(pair.value) for pair in pairs if pair.key in KNOWN}
    return {key: value for key, value in found.items() if value is not None}


def _value(value: AnyValue) -> Value | None:
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return tuple(part.string_value for part in value.array_value.values if part.string_value)
    if kind in ("string_value", "int_value", "double_value", "bool_value"):
        return cast(Value, getattr(value, kind))
    return None


def _from_json(body: bytes) -> Iterator[Span]:
    try:
        request = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise MalformedError(f"The body is not JSON: {error}.") from None
    top = _object(request, "the body")
    for i, group in enumerate(_list(top, "resourceSpans", "the body")):
        where = f"resourceSpans[{i}]"
        owner = _part(_object(group, where), "resource", where)
        resource = _json_attributes(owner, f"{where}.resource")
        for j, scoped in enumerate(_list(group, "scopeSpans", where)):
            inside = f"{where}.scopeSpans[{j}]"
            scope = _part(_object(scoped, inside), "scope", inside)
            for k, span in enumerate(_list(scoped, "spans", inside)):
                at = f"{inside}.spans[{k}]"
                yield _json_span(_object(span, at), _text(scope, "name", inside), resource, at)


def _json_span(span: dict[str, Any], scope: str, resource: Attributes, at: str) -> Span:
    status = _part(span, "status", at)
    return Span(
        trace_id=_text(span, "traceId", at).lower(),
        span_id=_text(span, "spanId", at).lower(),
        parent_id=_text(span, "parentSpanId", at).lower(),
        name=_text(span, "name", at),
        start_ns=_integer(span.get("startTimeUnixNano") or 0, f"{at}.startTimeUnixNano"),
        failed=_integer(status.get("code") or 0, f"{at}.status.code") == _ERROR,
        scope=scope,
        attributes=_json_attributes(span, at),
        resource=resource,
    )


def _json_attributes(owner: dict[str, Any], at: str) -> Attributes:
    found: dict[str, Value] = {}
    for n, pair in enumerate(_list(owner, "attributes", at)):
        where = f"{at}.attributes[{n}]"
        key = _text(_object(pair, where), "key", where)
        if key in KNOWN:
            value = _json_value(_part(pair, "value", where), where)
            if value is not None:
                found[key] = value
    return found


def _json_value(value: dict[str, Any], at: str) -> Value | None:
    if "stringValue" in value:
        return _text(value, "stringValue", at)
    if "intValue" in value:
        return _integer(value["intValue"], f"{at}.intValue")
    if "doubleValue" in value:
        return _double(value["doubleValue"], f"{at}.doubleValue")
    if "boolValue" in value:
        return bool(value["boolValue"])
    if "arrayValue" in value:
        parts = _list(_part(value, "arrayValue", at), "values", at)
        texts = [_text(_object(part, at), "stringValue", at) for part in parts]
        return tuple(text for text in texts if text)
    return None


def _object(value: object, at: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise MalformedError(f"In {at} there should be an object: {value!r:.40}.")
    return value


def _part(owner: dict[str, Any], name: str, at: str) -> dict[str, Any]:
    value = owner.get(name)
    return {} if value is None else _object(value, f"{at}.{name}")


def _list(owner: dict[str, Any], name: str, at: str) -> list[Any]:
    value = owner.get(name)
    if value is None:
        return []
    if not isinstance(value, list):
        raise MalformedError(f"In {at} {name} is no list: {value!r:.40}.")
    return value


def _text(owner: dict[str, Any], name: str, at: str) -> str:
    value = owner.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise MalformedError(f"In {at} {name} is no text: {value!r:.40}.")
    return value


def _integer(value: object, at: str) -> int:
    if isinstance(value, str):
        value = int(value) if _INTEGER.fullmatch(value) else value
    elif isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise MalformedError(f"{at} is no whole number: {value!r:.40}.")
    return value


def _double(value: object, at: str) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, str):
        with suppress(ValueError):
            return float(value)
    raise MalformedError(f"{at} is no number: {value!r:.40}.")
