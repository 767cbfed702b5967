"""The way of a request that asks or changes something: token, body, a thread, answer."""

import asyncio
import inspect
import logging
import traceback
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson
from fastapi import APIRouter
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.orm import Session
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response

from spend import tenancy, ticks
from spend.errors import (
    BadInputError,
    BusyError,
    ConflictError,
    SpendbeatError,
    UnavailableError,
    UnknownError,
)
from spend.tenancy import Binding
from spend.tokens import Token
from web import bodies, refusals
from web.refusals import Refusal
from web.service import Service
from web.turns import Turns

log = logging.getLogger(__name__)

# A change of budgets waits for the batches of rollups under way, and a test of a channel for its
# receiver, and a report reads much; whoever only looks waits for none of them.
Kind = Literal["look", "report", "change", "errand"]
THREADS: Mapping[Kind, int] = {"look": 2, "report": 2, "change": 2, "errand": 2}
_QUIET = frozenset({"look", "report"})
# Of each kind, per process; more get 503.
IN_FLIGHT = 16
# Of those, of one token: whoever floods the service leaves room for others.
OF_ONE_TOKEN = 12
BODY = 256 * 1024  # bytes as sent, but for routes that say otherwise
_UNPACKED = 16  # times as much as was sent, or as BODY
_LONGEST_MESSAGE = 1000
_FOR_TENANTS = "A token that is bound sees here what is attributed to its own, and nothing else."
_NEVER = "no-store"  # secrets and figures are nobody's to keep


@dataclass(frozen=True)
class Call:
    """A request that was let in. token: whose it is. said: the body's object, empty without."""

    token: Token
    path: Mapping[str, str]
    query: QueryParams
    headers: Mapping[str, str]
    said: dict[str, Any]
    engine: Engine = field(repr=False)

    @property
    def by(self) -> str:
        """The token's name."""
        return self.token.name

    @property
    def scopes(self) -> frozenset[str]:
        """What the token may do."""
        return self.token.scopes

    @property
    def binding(self) -> Binding | None:
        """What alone this request may see; None: everything."""
        return self.token.binding

    @contextmanager
    def looking(self) -> Iterator[Session]:
        """A transaction that sees one moment and can change nothing; for a bound token its own
        spend alone. session.info["counted"]: up to when that is counted, spend.ticks.Counted.
        """
        options = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        with Session(self.engine, expire_on_commit=False) as session, session.begin():
            session.connection(execution_options=options)
            # Before tenancy: ticks and cursors are nobody's to see who is bound.
            session.info["counted"] = ticks.counted(session)
            if self.binding is not None:
                tenancy.act_for(session, self.binding)
            yield session

    @contextmanager
    def changing(self) -> Iterator[Session]:
        """One transaction: committed at the end of the block, rolled back by an exception."""
        # It would see everything: no door that changes something may be opened to bound tokens.
        if self.binding is not None:
            raise refusals.bound()
        with Session(self.engine, expire_on_commit=False) as session, session.begin():
            yield session


@dataclass(frozen=True)
class Answer:
    """said: what becomes JSON, or bytes of another `kind`."""

    said: object
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    kind: str = bodies.JSON


# What a request does, in a thread. May raise Refusal and SpendbeatError.
Act = Callable[[Call], Answer]


@dataclass(frozen=True)
class Door:
    """One route. scopes: one of them is needed. body: its most bytes. extra: what OpenAPI says
    beyond the summary and the words of `act`. tenants: bound tokens are let in, so `act` reads
    nothing but through looking().
    """

    method: str
    path: str
    summary: str
    act: Act
    scopes: tuple[str, ...]
    kind: Kind = "look"
    body: int = BODY
    extra: Mapping[str, Any] = field(default_factory=dict)
    tenants: bool = False


class Calls:
    """Lets requests in, at most so many at once, and answers them."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._pools: dict[Kind, Executor] = {
            kind: service.threads(threads, f"spendbeat-{kind}") for kind, threads in THREADS.items()
        }
        self._turns = {kind: Turns(threads) for kind, threads in THREADS.items()}
        self._in_flight: dict[Kind, Counter[int]] = {kind: Counter() for kind in THREADS}

    def router(self, doors: Iterable[Door]) -> APIRouter:
        """The routes of some doors."""
        routes = APIRouter()
        for door in doors:
            routes.add_api_route(
                door.path,
                self._endpoint(door),
                methods=[door.method],
                summary=door.summary,
                operation_id=f"{door.act.__module__.removeprefix('web.')}_{door.act.__name__}",
                description=_described(door),
                **door.extra,
            )
        return routes

    def _endpoint(self, door: Door) -> Callable[[Request], Awaitable[Response]]:
        async def endpoint(request: Request) -> Response:
            return await self.answer(request, door)

        return endpoint

    async def answer(self, request: Request, door: Door) -> Response:
        """Every outcome is an answer."""
        try:
            token = await self._service.tokens.require(request, *door.scopes, tenants=door.tenants)
            self._service.notes.used(token.id)
            await self._service.admit(request, token, "ask")
            answer = await self._acted(request, token, door)
            if door.kind not in _QUIET:
                log.info("%s by %s, answered %d", _route(request), token.name, answer.status)
        except Refusal as refusal:
            log.info("%s: %s, answered %d", _route(request), refusal.result, refusal.status)
            return _json(refusal.as_json(), refusal.status, refusal.headers)
        except Exception as error:  # noqa: BLE001 - an error of ours ends this request, not others
            _log_failure(request, error)
            failed = refusals.failed_here()
            return _json(failed.as_json(), failed.status, failed.headers)
        return _json(answer.said, answer.status, answer.headers, answer.kind)

    async def _acted(self, request: Request, token: Token, door: Door) -> Answer:
        with self._place(request, token, door.kind):
            body = await bodies.received(request, min(door.body, self._service.limits.body))
            work = _Work(request, token, body, door.act, self._service)
            async with self._turns[door.kind].turn(token.id):
                loop = asyncio.get_running_loop()
                return await loop.run_in_executor(self._pools[door.kind], work.done)

    @contextmanager
    def _place(self, request: Request, token: Token, kind: Kind) -> Iterator[None]:
        in_hand = self._in_flight[kind]
        if in_hand.total() >= IN_FLIGHT:
            raise refusals.busy(IN_FLIGHT)
        if in_hand[token.id] >= OF_ONE_TOKEN:
            self._service.metrics.limited(request)
            raise refusals.greedy(OF_ONE_TOKEN)
        in_hand[token.id] += 1
        try:
            yield
        finally:
            in_hand[token.id] -= 1
            if not in_hand[token.id]:
                del in_hand[token.id]


@dataclass(frozen=True)
class _Work:
    """What a thread does of a request."""

    request: Request
    token: Token
    body: bytes
    act: Act
    service: Service

    def done(self) -> Answer:
        request = self.request
        said = _said(request, self.body, self.service.limits.unpacked)
        call = Call(
            self.token,
            request.path_params,
            request.query_params,
            request.headers,
            said,
            self.service.engine,
        )
        try:
            return self.act(call)
        except SpendbeatError as error:
            raise _refused(error) from None
        except SQLAlchemyError as error:
            if not _away(error):
                raise
            log.warning("%s: Postgres does not answer: %s", _route(request), type(error).__name__)
            raise refusals.unavailable_here() from None


def _described(door: Door) -> str:
    words = inspect.cleandoc(door.act.__doc__ or "")
    return f"{words}\n\n{_FOR_TENANTS}" if door.tenants else words


def _said(request: Request, body: bytes, most: int) -> dict[str, Any]:
    if not body:
        return {}
    kind = bodies.content_type(request)
    if kind != bodies.JSON:
        raise refusals.unsupported(f"Content-Type must be {bodies.JSON}, not {kind!r:.80}.")
    most = min(most, _UNPACKED * max(len(body), BODY))
    plain = bodies.unpacked(body, request.headers.get("content-encoding", ""), most)
    try:
        found = orjson.loads(plain)
    except orjson.JSONDecodeError as error:
        raise refusals.invalid(f"The body is not JSON: {error}.") from None
    if not isinstance(found, dict):
        raise refusals.invalid("The body must be a JSON object.")
    return found


def _refused(error: SpendbeatError) -> Refusal:
    """What the domain says no to, in its own words: they name what, where and what to do."""
    words = str(error)
    if len(words) > _LONGEST_MESSAGE:
        words = f"{words[:_LONGEST_MESSAGE]}..."
    match error:
        case UnknownError():
            return Refusal(404, "unknown", words)
        case ConflictError():
            return Refusal(409, "conflict", words)
        case BadInputError():
            return Refusal(422, "invalid", words)
        case UnavailableError() | BusyError():
            return refusals.unavailable_here()
        case _:
            # A key that is missing, a database that was restored: for the operator to mend.
            return Refusal(503, "unavailable", words)


def _away(error: SQLAlchemyError) -> bool:
    """Whether the same may work later: no connection, no time, a lock that was not given."""
    if isinstance(error, OperationalError | InterfaceError | PoolTimeoutError):
        return True
    return isinstance(error, DBAPIError) and error.connection_invalidated


def _json(
    said: object, status: int, headers: Mapping[str, str], kind: str = bodies.JSON
) -> Response:
    named = {"Cache-Control": _NEVER, **headers}
    content = said if isinstance(said, bytes) else orjson.dumps(said)
    return Response(content, status, named, kind)


def _route(request: Request) -> str:
    # With the names of its parts instead of their values.
    return f"{request.method} {getattr(request.scope.get('route'), 'path', '')}"


def _log_failure(request: Request, error: Exception) -> None:
    """Where it happened, without its message, which may quote what was sent."""
    where = "".join(traceback.format_tb(error.__traceback__))
    log.error("%s failed with %s:\n%s", _route(request), type(error).__name__, where.rstrip())
