"""The ASGI application: `web.app:application` is a factory that reads the settings."""

import gc
import multiprocessing
import os
from importlib.metadata import version
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from web import (
    activity,
    alerts,
    budgets,
    channels,
    events,
    guard,
    health,
    ingest,
    litellm_guardrail,
    metrics,
    otlp,
    reports,
    requests,
    slots,
)
from web.calls import Calls
from web.dashboard import routes as dashboard
from web.described.ingest import SECURITY
from web.guarding import Guarding
from web.intake import Intake
from web.service import Service
from worker.processes import die_with_parent
from worker.settings import Settings, settings

_ABOUT = (
    "Takes what LLM requests used and books each once, with its cost; says what"
    " was spent; keeps budgets, alerts and channels. See docs/http.md."
)


def application() -> FastAPI:
    """The application of this process."""
    shared = None
    if multiprocessing.parent_process() is not None:
        # One of several: without the one who started it, nobody would end it.
        die_with_parent()
        shared = os.environ.get(slots.FOLDER)
    _collect_rarely()
    return create(settings(), Path(shared) if shared else None)


def _collect_rarely() -> None:
    """Look for reference cycles a hundred times less often: events have none, and are many.

    With the default threshold more than a quarter of the time of booking went there.
    """
    gc.freeze()
    gc.set_threshold(100_000, 20, 50)


def create(chosen: Settings, shared: Path | None = None) -> FastAPI:
    """The application with these settings; it connects to nothing before it is started.

    shared: where several processes add up what they count.
    """
    service = Service(chosen, shared)
    intake = Intake(service)
    calls = Calls(service)
    guarding = Guarding(service, chosen.guard_redis_url or chosen.broker_url)
    # No pages: they would load scripts from a host that is not ours.
    app = FastAPI(
        title="Spendbeat",
        summary="LLM spend that is known and proved",
        description=_ABOUT,
        version=version("spendbeat"),
        docs_url=None,
        redoc_url=None,
        lifespan=service.lifespan,
    )
    app.include_router(health.router(service, chosen))
    app.include_router(metrics.router(service))
    app.include_router(ingest.router(intake, guarding.arrivals))
    app.include_router(otlp.router(intake))
    for routes in (activity, alerts, budgets, channels, reports, requests):
        app.include_router(routes.router(calls))
    app.include_router(events.router(service))
    app.include_router(guard.router(guarding))
    app.include_router(litellm_guardrail.router(guarding))
    app.include_router(dashboard.router(service, calls))
    app.add_exception_handler(HTTPException, _answer_elsewhere)
    _describe_tokens(app)
    service.metrics.expect(app.routes)
    # Last, so that it stands around all else.
    app.add_middleware(metrics.Measured, metrics=service.metrics)
    return app


async def _answer_elsewhere(request: Request, error: Exception) -> Response:
    """404 and 405 in the form of all our answers."""
    del request
    assert isinstance(error, HTTPException)  # noqa: S101 - it is registered for nothing else
    return JSONResponse({"error": error.detail}, error.status_code, error.headers)


def _describe_tokens(app: FastAPI) -> None:
    made = app.openapi

    def described() -> dict[str, Any]:
        found = made()
        found.setdefault("components", {})["securitySchemes"] = SECURITY
        return found

    app.openapi = described  # type: ignore[method-assign]  # FastAPI's own way to add to it
