"""The way of a request with events: token, body, events, ledger, answer."""

import asyncio
import logging
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import orjson
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.orm import Session
from starlette.requests import Request
from starlette.responses import Response

from spend import inbox
from spend.capture.desk import Booked, Problem, Raw, Refused
from spend.errors import UnavailableError
from web import bodies, refusals
from web.refusals import Refusal
from web.service import Service

log = logging.getLogger(__name__)

SPOOL_HEADER = "spendbeat-spool"


class Events(NamedTuple):
    """What a body holds: rows for the desk.

    named: gives a problem the index and id that its sender knows, where the rows have others.
    text: the event of a problem that was named, as JSON, to be kept and tried again.
    after: called with whether they were booked; raises nothing.
    """

    rows: Sequence[Raw]
    named: Callable[[Problem], Problem] = lambda problem: problem
    text: Callable[[Problem], str] | None = None
    after: Callable[[bool], None] | None = None


@dataclass(frozen=True)
class Door:
    """One way in.

    route: its name in spend.ingest_counts.ROUTES. types: the content types that it takes.
    read: from an unpacked body and its type to events; runs in a thread; may raise Refusal.
    booked, refused: the answers, given the content type of the request; JSON unless others.
    strict: one bad event refuses all; a request may ask for the other with ?partial=true.
    inbox: the inbox's route for events that could not be booked although others were.
    """

    route: str
    types: frozenset[str]
    read: Callable[[bytes, str], Events]
    booked: Callable[[Booked, str], Response] | None = None
    refused: Callable[[Refusal, str], Response] | None = None
    strict: bool = True
    inbox: str | None = None


class Intake:
    """Takes requests through a door; at most so many at once."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def take(self, request: Request, door: Door) -> Response:
        """Book what a request brings. Every outcome is an answer and is counted."""
        notes = self._service.notes
        kind = bodies.content_type(request)
        try:
            token = await self._service.tokens.require(request, "ingest")
            notes.used(token.id)
            await self._service.admit(request, token, "ingest")
            booked = await self._booked(request, door, kind)
        except Refusal as refusal:
            notes.request(door.route, refusal.result)
            _log(door, refusal)
            return (door.refused or answer_refused)(refusal, kind)
        except Exception as error:  # noqa: BLE001 - an error of ours ends this request, not others
            notes.request(door.route, "failed")
            _log_failure(door, error)
            return (door.refused or answer_refused)(refusals.failed(), kind)
        notes.request(door.route, "booked")
        notes.booked(door.route, booked)
        if said := request.headers.get(SPOOL_HEADER):
            notes.spool(said)
        return (door.booked or answer_booked)(booked, kind)

    async def _booked(self, request: Request, door: Door, kind: str) -> Booked:
        service = self._service
        if kind not in door.types:
            raise refusals.unsupported(
                f"Content-Type must be {' or '.join(sorted(door.types))}, not {kind!r:.80}."
            )
        partial = request.query_params.get("partial", "").lower() in {"1", "true", "yes"}
        encoding = request.headers.get("content-encoding", "")
        with self._slot():
            body = await bodies.received(request, service.limits.body)
            return await asyncio.get_running_loop().run_in_executor(
                service.pool, self._book, door, body, encoding, kind, door.strict and not partial
            )

    @contextmanager
    def _slot(self) -> Iterator[None]:
        service = self._service
        if service.in_flight >= service.limits.in_flight:
            raise refusals.busy(service.limits.in_flight)
        service.in_flight += 1
        try:
            yield
        finally:
            service.in_flight -= 1

    def _book(self, door: Door, body: bytes, encoding: str, kind: str, strict: bool) -> Booked:
        limits = self._service.limits
        events = door.read(bodies.unpacked(body, encoding, limits.unpacked), kind)
        found = len(events.rows)
        done = False
        try:
            if found > limits.events:
                raise refusals.too_large(
                    f"{found:,} events in one request; the limit is {limits.events:,}."
                )
            booked = self._service.desk.book(events.rows, route=door.route, strict=strict)
            rejected = tuple(map(events.named, booked.rejected))
            if rejected and door.inbox and events.text:
                self._keep(door.inbox, rejected, events.text)
            done = True
        except Refused as error:
            problems = [events.named(problem) for problem in error.problems]
            raise refusals.refused(problems, found) from None
        except (UnavailableError, SQLAlchemyError) as error:
            log.warning("Events of %s wait: %s", door.route, _reason(error))
            raise refusals.unavailable() from None
        finally:
            if events.after:
                events.after(done)
        conflicts = tuple(map(events.named, booked.conflicts))
        return replace(booked, conflicts=conflicts, rejected=rejected)

    def _keep(
        self, route: str, rejected: Sequence[Problem], text: Callable[[Problem], str]
    ) -> None:
        with Session(self._service.engine) as session, session.begin():
            inbox.keep(session, route, [text(p) for p in rejected], [p.reason for p in rejected])


def answer_booked(booked: Booked, kind: str) -> Response:
    """200: how many events are new, how many were known, and which contradict what is known."""
    del kind
    said: dict[str, Any] = {
        "imported": booked.imported,
        "known": booked.known,
        "unpriced": booked.unpriced,
        "conflicts": refusals.listed(booked.conflicts),
    }
    if booked.rejected:
        said["rejected"] = refusals.listed(booked.rejected)
    return _json(said, 200)


def answer_refused(refusal: Refusal, kind: str) -> Response:
    del kind
    return _json(refusal.as_json(), refusal.status, refusal.headers)


def _json(said: object, status: int, headers: dict[str, str] | None = None) -> Response:
    return Response(orjson.dumps(said), status, headers, bodies.JSON)


def _log(door: Door, refusal: Refusal) -> None:
    # Without the message: it quotes what was sent.
    log.info("%s: %s, answered %d", door.route, refusal.result, refusal.status)


def _log_failure(door: Door, error: Exception) -> None:
    """Where it happened, without its message, which may quote what was sent."""
    where = "".join(traceback.format_tb(error.__traceback__))
    log.error("%s failed with %s:\n%s", door.route, type(error).__name__, where.rstrip())


def _reason(error: Exception) -> str:
    """Why Postgres did not take it; its own words only where they cannot quote an event."""
    cause = error.__cause__ if isinstance(error, UnavailableError) else error
    driver = cause.orig if isinstance(cause, DBAPIError) else cause
    name = type(driver or error).__name__
    code = getattr(driver, "pgcode", None)
    if code is None and str(driver).strip():
        return f"{name}: {str(driver).strip().splitlines()[0]}"
    return f"{name} ({code})"
