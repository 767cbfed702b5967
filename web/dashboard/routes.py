"""The routes of the dashboard: pages through the same doors as everything else that is asked."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal

import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from spend.tokens import Token
from web import alerts as alert_doors
from web.calls import Answer, Call, Calls, Door
from web.dashboard import alerts, budgets, entrance, files, overview, requests, spending
from web.dashboard.entrance import HOME, Entrance
from web.dashboard.rendering import HEADERS, KIND, Page, rendered
from web.service import Service
from web.tokens import own_page

_READ = ("read",)
_ALERTS = f"{HOME}/alerts"
_CHANGES = {"ack": "acknowledge", "snooze": "snooze", "resolve": "resolve"}
_SEE_OTHER = 303
_UNAUTHORIZED = 401
_BAD = 400
_RETRIED = frozenset({429, 500, 503})  # the page tries again by itself


@dataclass(frozen=True)
class Route:
    """A page. tenants: it shows nothing that a bound token may not see."""

    path: str
    name: str
    make: Callable[[Call], Page]
    tenants: bool = False
    kind: Literal["look", "report"] = "report"


ROUTES = (
    Route(HOME, "overview", overview.make, tenants=True),
    Route(f"{HOME}/spend", "spend", spending.make, tenants=True),
    Route(f"{HOME}/requests", "requests", requests.listed, tenants=True),
    Route(f"{HOME}/requests/{{id}}", "requests", requests.one, tenants=True),
    Route(f"{HOME}/budgets", "budgets", budgets.listed),
    Route(f"{HOME}/budgets/{{id}}", "budgets", budgets.one),
    Route(_ALERTS, "alerts", alerts.listed, kind="look"),
    Route(f"{_ALERTS}/{{id}}", "alerts", alerts.one, kind="look"),
)


class Dashboard:
    """Answers with pages, also where the answer is no."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._doors = {
            name: next(door for door in alert_doors.DOORS if door.act.__name__ == act)
            for name, act in _CHANGES.items()
        }

    def endpoint(self, route: Route) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            return await self._page(request, route)

        return endpoint

    async def _page(self, request: Request, route: Route) -> Response:
        token: list[Token] = []

        def act(call: Call) -> Answer:
            token.append(call.token)
            page = route.make(call)
            content = rendered(page, **_frame(request, route.name, call.token))
            return Answer(content, page.status, HEADERS, KIND)

        door = Door("GET", route.path, "", act, _READ, route.kind, tenants=route.tenants)
        answer = await self._calls.answer(request, door)
        if answer.status_code < _BAD or answer.media_type == KIND:
            return answer
        return _refused(request, answer, route.name, token[0] if token else None)

    async def change(self, request: Request) -> Response:
        """What a button of an alert does; then back to where it was pressed."""
        said = await entrance.form(request) if own_page(request) else {}
        back = entrance.place(said.pop("back", None))
        door = self._doors.get(request.path_params["change"])
        if door is None:
            return _error(request, 404, "There is no such button.", "alerts")
        answer = await self._calls.answer(_with_json(request, said), door)
        if answer.status_code < _BAD:
            return Response(status_code=_SEE_OTHER, headers={**HEADERS, "Location": back})
        return _refused(request, answer, "alerts", None)


def router(service: Service, calls: Calls) -> APIRouter:
    """Everything under /dashboard; none of it is for programs, so OpenAPI is silent about it."""
    dashboard, way_in = Dashboard(calls), Entrance(service.tokens)
    routes = APIRouter(include_in_schema=False)
    routes.add_api_route(entrance.LOGIN, way_in.show, methods=["GET"])
    routes.add_api_route(entrance.LOGIN, way_in.enter, methods=["POST"])
    routes.add_api_route(f"{HOME}/logout", way_in.leave, methods=["POST"])
    routes.add_api_route(f"{files.PATH}/{{name}}", files.serve, methods=["GET"])
    routes.add_api_route(f"{_ALERTS}/{{id}}/{{change}}", dashboard.change, methods=["POST"])
    for route in ROUTES:
        routes.add_api_route(route.path, dashboard.endpoint(route), methods=["GET"])
    return routes


def _frame(request: Request, name: str, token: Token | None) -> dict[str, Any]:
    """What every page has around it."""
    return {
        "here": name,
        "theme": entrance.theme(request),
        "token": token,
        "bound": token is not None and token.binding is not None,
        "origin": str(request.base_url).rstrip("/"),
        "address": entrance.address(request),
    }


def _refused(request: Request, answer: Response, name: str, token: Token | None) -> Response:
    """A refusal as a page; without a token that is known, the login."""
    if answer.status_code == _UNAUTHORIZED:
        return entrance.to_login(request)
    message = orjson.loads(answer.body)["error"]
    return _error(request, answer.status_code, message, name, token)


def _error(
    request: Request, status: int, message: str, name: str, token: Token | None = None
) -> Response:
    retried = status in _RETRIED and request.method == "GET"
    page = Page("error.html", {"status": status, "message": message, "retried": retried})
    content = rendered(page, **_frame(request, name, token))
    return Response(content, status, dict(HEADERS), KIND)


def _with_json(request: Request, said: dict[str, str]) -> Request:
    """The same request with its form as JSON, which is what the door of the API takes."""
    body = orjson.dumps({name: value for name, value in said.items() if value})
    replaced = (b"content-type", b"content-length", b"content-encoding")
    headers = [(n, value) for n, value in request.scope["headers"] if n not in replaced]
    headers += [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    return Request({**request.scope, "headers": headers}, receive)
