"""POST /v1/traces: OTLP over HTTP, as its specification has it.

Answers are ExportTraceServiceResponse and google.rpc.Status, in the encoding of the request.
Source: opentelemetry-proto, docs/specification.md, OTLP/HTTP Response.
"""

from collections.abc import Sequence
from typing import Any

import orjson
from fastapi import APIRouter
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from starlette.requests import Request
from starlette.responses import Response

from spend.capture import otlp
from spend.capture.desk import Booked, Problem
from web.intake import Door, Events, Intake
from web.refusals import Refusal, invalid

PROTOBUF = "application/x-protobuf"
JSON = "application/json"
_NAMED = 5
# google.rpc.Code of an HTTP status; senders may note it and must not act on it.
_CODES = {400: 3, 401: 16, 403: 7, 408: 4, 413: 3, 415: 3, 429: 8, 500: 13, 503: 14}
_UNKNOWN = 2


def read(body: bytes, kind: str) -> Events:
    """The spans that are LLM requests; others are taken and passed over."""
    try:
        return Events(otlp.requests(body, kind))
    except otlp.MalformedError as error:
        raise invalid(str(error)) from None


def answer_booked(booked: Booked, kind: str) -> Response:
    """200. partial_success is there for spans that cannot be booked, or as a warning."""
    rejected, warning = len(booked.rejected), _warning(booked)
    if kind == PROTOBUF:
        answer = ExportTraceServiceResponse()
        if warning:
            answer.partial_success.rejected_spans = rejected
            answer.partial_success.error_message = warning
        return Response(answer.SerializeToString(), media_type=PROTOBUF)
    # An int64 is a text in protobuf's JSON.
    partial = {"rejectedSpans": str(rejected), "errorMessage": warning}
    said = {"partialSuccess": partial} if warning else {}
    return Response(orjson.dumps(said), media_type=JSON)


def _warning(booked: Booked) -> str:
    parts = []
    if booked.rejected:
        parts.append(f"{len(booked.rejected)} not booked: {_listed(booked.rejected)}.")
    if booked.conflicts:
        parts.append(
            f"{len(booked.conflicts)} known with other content, which stays as it was:"
            f" {_listed(booked.conflicts)}."
        )
    return " ".join(parts)


def _listed(problems: Sequence[Problem]) -> str:
    named = [f"{p.id}: {p.reason}" if p.id else p.reason for p in problems[:_NAMED]]
    more = len(problems) - len(named)
    return "; ".join(named) + (f"; and {more} more" if more else "")


def answer_refused(refusal: Refusal, kind: str) -> Response:
    """A google.rpc.Status; in JSON where the request was in neither encoding."""
    code = _CODES.get(refusal.status, _UNKNOWN)
    if kind == PROTOBUF:
        return Response(_status(code, refusal.message), refusal.status, refusal.headers, PROTOBUF)
    said = orjson.dumps({"code": code, "message": refusal.message})
    return Response(said, refusal.status, refusal.headers, JSON)


def _status(code: int, message: str) -> bytes:
    """google.rpc.Status: code is field 1, message field 2. Its Python package is not ours."""
    text = message.encode()
    return b"\x08" + _varint(code) + b"\x12" + _varint(len(text)) + text


def _varint(number: int) -> bytes:
    found = bytearray()
    while number > 0x7F:  # noqa: PLR2004 - seven bits at a time
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)


# Good spans are booked beside bad ones: an exporter does not send an export twice.
DOOR = Door("otlp", frozenset({PROTOBUF, JSON}), read, answer_booked, answer_refused, strict=False)


def _either(meaning: str, schema: dict[str, Any]) -> dict[str, Any]:
    content = {JSON: {"schema": schema}, PROTOBUF: {"schema": {"type": "string"}}}
    return {"description": meaning, "content": content}


_STATUS = {
    "type": "object",
    "title": "google.rpc.Status",
    "properties": {"code": {"type": "integer"}, "message": {"type": "string"}},
}
_PARTIAL = {
    "type": "object",
    "title": "ExportTraceServiceResponse",
    "properties": {
        "partialSuccess": {
            "type": "object",
            "properties": {
                "rejectedSpans": {"type": "string", "description": "how many, as text"},
                "errorMessage": {"type": "string"},
            },
        }
    },
}


def _again(meaning: str) -> dict[str, Any]:
    header = {"description": "Seconds to wait.", "schema": {"type": "integer"}}
    return {**_either(meaning, _STATUS), "headers": {"Retry-After": header}}


_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: _either("Booked; partialSuccess names spans that cannot be.", _PARTIAL),
    400: _either("No ExportTraceServiceRequest, or damaged gzip.", _STATUS),
    401: _either("No token, or one that is unknown or revoked.", _STATUS),
    403: _either("The token lacks the scope ingest.", _STATUS),
    413: _either("Too many bytes or spans; the limit is named.", _STATUS),
    415: _either("A Content-Type or Content-Encoding that is not taken.", _STATUS),
    429: _again("More requests of this token in a minute than a limit that was set."),
    503: _again("Too much at once, or no database; send the same again."),
}
_TAKES = {
    "requestBody": {
        "required": True,
        **_either(
            "An ExportTraceServiceRequest; may be gzipped (Content-Encoding: gzip).",
            {"type": "object", "properties": {"resourceSpans": {"type": "array", "items": {}}}},
        ),
    },
    "security": [{"token": []}],
}


def router(intake: Intake) -> APIRouter:
    """POST /v1/traces."""
    routes = APIRouter()

    @routes.post(
        "/v1/traces", summary="Book spans (OTLP)", responses=_ANSWERS, openapi_extra=_TAKES
    )
    async def traces(request: Request) -> Response:
        """Book the spans of an export that are LLM requests; the others are ignored."""
        return await intake.take(request, DOOR)

    return routes
