"""Events as JSON: our own, and what LiteLLM's generic API logger sends."""

from dataclasses import replace
from functools import partial
from typing import Any

import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from spend.capture import litellm
from spend.capture.desk import Problem, Raw
from spend.capture.request import Rejected
from web import bodies
from web.arrivals import Arrivals
from web.described import ingest as openapi
from web.intake import Door, Events, Intake

_CONVERSATION = frozenset({"messages", "response", "model_parameters"})
TYPES = frozenset({bodies.JSON, *bodies.NDJSON})


def read_own(body: bytes, kind: str) -> Events:
    """Mappings of the fields of a request, as spend.capture.fields has them."""
    items = bodies.parsed(body, kind)
    rows: list[Raw] = [
        item if isinstance(item, dict) else Rejected("not a JSON object") for item in items
    ]
    return Events(rows, text=lambda problem: _text(items[problem.index]))


def read_litellm(body: bytes, kind: str, arrivals: Arrivals | None = None) -> Events:
    """LiteLLM's standard logging payloads. Its null, for a call without one, is passed over."""
    items = bodies.parsed(body, kind)
    claims = arrivals.claimed(items) if arrivals else None
    places = [place for place, item in enumerate(items) if item is not None]

    def named(problem: Problem) -> Problem:
        place = places[problem.index]
        return replace(problem, index=place, id=problem.id or _id(items[place]))

    rows = [_mapped(items[place]) for place in places]

    def after(booked: bool) -> None:
        if claims:
            claims.end(rows, booked=booked)

    return Events(rows, named, lambda problem: _text(items[problem.index]), after)


def _mapped(payload: Any) -> Raw:  # noqa: ANN401 - whatever JSON says
    if not isinstance(payload, dict):
        return Rejected("not a JSON object")
    try:
        return litellm.request(payload)
    except Rejected as verdict:
        return verdict
    except (AttributeError, KeyError, TypeError, ValueError):
        return Rejected("a field has a shape that LiteLLM does not give it")


def _text(item: Any) -> str:  # noqa: ANN401 - whatever JSON says
    """What is kept of an event that could not be booked: never what somebody said to a model."""
    if isinstance(item, dict):
        item = {name: value for name, value in item.items() if name not in _CONVERSATION}
    return orjson.dumps(item).decode().replace("\\u0000", "")


def _id(payload: Any) -> str | None:  # noqa: ANN401 - whatever JSON says
    if not isinstance(payload, dict):
        return None
    found = payload.get("litellm_call_id") or payload.get("id")
    return found[:100] if isinstance(found, str) else None


OWN = Door("ingest", TYPES, read_own, inbox="gateway")
LITELLM = Door("litellm", TYPES, read_litellm, inbox="litellm")


def router(intake: Intake, arrivals: Arrivals | None = None) -> APIRouter:
    """POST /ingest and /ingest/litellm."""
    routes = APIRouter()
    litellms = replace(LITELLM, read=partial(read_litellm, arrivals=arrivals))

    @routes.post(
        "/ingest",
        summary="Book events",
        responses=openapi.ANSWERS,
        openapi_extra=openapi.taking(openapi.OWN_BODY),
    )
    async def ingest(request: Request) -> Response:
        """Book a batch of events, all or none; the same again is known and changes nothing."""
        return await intake.take(request, OWN)

    @routes.post(
        "/ingest/litellm",
        summary="Book what LiteLLM logs",
        responses=openapi.ANSWERS,
        openapi_extra=openapi.taking(openapi.LITELLM_BODY),
    )
    async def ingest_litellm(request: Request) -> Response:
        """Book standard logging payloads, as LiteLLM's generic API logger sends them."""
        return await intake.take(request, litellms)

    return routes
