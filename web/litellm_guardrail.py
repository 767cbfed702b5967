"""POST /beta/litellm_basic_guardrail_api: LiteLLM's generic guardrail API, answered by the guard.

For proxies into which nothing of ours may be installed. LiteLLM asks once per HTTP request, before
it chooses a deployment, and tells the model's public name, what it knows of the key, the headers
`x-litellm-*` and the conversation; not the body's metadata or max_tokens. It always answers 200;
what LiteLLM makes of anything else is in its own settings.
"""

import contextlib
from collections.abc import Mapping
from typing import Any

import orjson
from fastapi import APIRouter
from genai_prices.data_snapshot import get_snapshot
from spendbeat_gateway.guard import Hold
from starlette.requests import Request
from starlette.responses import Response

from spend.capture.litellm.attribution import attribution
from spend.capture.litellm.naming import UNKNOWN, provider_and_model
from web import bodies
from web.described import guard as guard_description
from web.guarding import Guarding

PATH = "/beta/litellm_basic_guardrail_api"
# genai-prices' names of providers, where LiteLLM has others.
_LITELLMS = {"google": "gemini", "aws": "bedrock", "x-ai": "xai"}

Said = dict[str, Any]


async def ask(guarding: Guarding, said: Said) -> Response:
    """Hold what the request may cost, or say that it is blocked and why."""
    if said.get("input_type") == "response":
        return _answer({"action": "NONE"})
    settings = _mapping(said.get("additional_provider_specific_params"))
    provider, model = _model(said.get("model"), _mapping(settings.get("models")))
    content = {
        "messages": said.get("structured_messages") or said.get("texts") or [],
        "tools": said.get("tools"),
    }
    most = settings.get("max_tokens")
    estimate = await guarding.guard.estimate(
        provider, model, content, max_tokens=most if isinstance(most, int) else None
    )
    answer = await guarding.guard.reserve(_who(said), estimate, provider=provider, model=model)
    if not isinstance(answer, Hold):
        return _answer({"action": "BLOCKED", "blocked_reason": answer.message})
    call = said.get("litellm_call_id")
    if answer.enforced and isinstance(call, str):
        await guarding.arrivals.expect(call, answer)
    return _answer({"action": "NONE"})


def _who(said: Said) -> dict[str, object]:
    """The attribution that the event will have, as far as LiteLLM tells it before the call."""
    headers = {name.lower(): value for name, value in _mapping(said.get("request_headers")).items()}
    metadata = dict(_mapping(said.get("request_data")))
    with contextlib.suppress(KeyError, TypeError, orjson.JSONDecodeError):
        metadata["spend_logs_metadata"] = orjson.loads(headers["x-litellm-spend-logs-metadata"])
    tags = headers.get("x-litellm-tags")
    payload = {"metadata": metadata, "request_tags": tags if isinstance(tags, str) else []}
    return attribution(payload)


def _model(name: object, known: Mapping[str, Any]) -> tuple[str, str]:
    """Provider and model of a public name: as the settings say, else by its own looks."""
    found = known.get(name) if isinstance(name, str) else None
    provider, model = provider_and_model({"model": found or name})
    if provider == UNKNOWN and model != UNKNOWN:
        try:
            provider = get_snapshot().find_provider_model(model, None, None, None)[0].id
        except LookupError:
            return UNKNOWN, model
        provider = _LITELLMS.get(provider, provider)
    return provider, model


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _answer(said: object) -> Response:
    return Response(orjson.dumps(said), media_type=bodies.JSON)


def router(guarding: Guarding) -> APIRouter:
    """The one route."""
    routes = APIRouter()

    @routes.post(PATH, summary="LiteLLM's generic guardrail", **guard_description.GUARDRAIL)
    async def guardrail(request: Request) -> Response:
        """Hold what a request of LiteLLM may cost, or block it."""
        return await guarding.answer(request, ask)

    return routes
