"""A web service over the spend of several tenants, in which every text says whose it is.

Whatever has one of FOREIGN in it is not for a token that is bound to OURS.
"""

import os
import re
import secrets
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import requests

from models import SCOPES
from spend import tokens
from spend.tenancy import Binding
from tests.support import alerts, ledger
from tests.support.programs import Program
from tests.support.waiting import wait_for
from worker.database import engine, transaction
from worker.settings import settings

OURS, THEIRS, NOBODYS = "zqalpha", "zqbravo", "zqnobody"
MARKS = (OURS, THEIRS, NOBODYS)
FOREIGN = (THEIRS, NOBODYS)
FIELDS = ("organization", "project", "sprint", "agent", "user_id", "team", "api_key")
# Organizations that a careless comparison takes for ours.
ALIKE = (
    "zqalpha-organization-2",
    "ZQALPHA-ORGANIZATION",
    "zqalpha",
    "zqalpha%",
    "zqalpha_organization",
)
# Kinds of tokens: bound to what is ours, in part or in whole, or to what nobody has.
TENANTS = ("organization", "team", "api_key", "all three", "nobody's")
STRANGERS = ("none", "revoked", "made up")
_WEB = (sys.executable, "-m", "worker.cli", "web", "--port", "0")
NOW = datetime.now(UTC).replace(microsecond=250_000)
DAYS = ((NOW - timedelta(days=7)).date().isoformat(), (NOW + timedelta(days=1)).date().isoformat())


@dataclass(frozen=True)
class World:
    """secrets: of the tokens, by what kind they are; None is no token at all."""

    url: str
    database: str
    secrets: Mapping[str, str | None]
    session: requests.Session
    program: Program

    def headers(self, kind: str) -> dict[str, str]:
        secret = self.secrets[kind]
        return {} if secret is None else {"Authorization": f"Bearer {secret}"}

    def answers(self) -> bool:
        assert self.program.running, self.program.logs()
        try:
            return self.ask("GET", "/", "none").status_code == 200
        except requests.ConnectionError:
            return False

    def ask(self, method: str, path: str, kind: str = "operator", **more: Any) -> requests.Response:
        """Not followed, so that a redirect is an answer too."""
        named = {**self.headers(kind), **more.pop("headers", {})}
        return self.session.request(
            method, self.url + path, headers=named, timeout=30, allow_redirects=False, **more
        )

    @contextmanager
    def again(self) -> Iterator["World"]:
        """For another thread."""
        with requests.Session() as session:
            session.trust_env = False
            yield replace(self, session=session)

    def places(self, *paths: str) -> list[str]:
        """Where the second page of these lists begins, for who sees everything."""
        answers = [self.ask("GET", path, params={"limit": "1"}) for path in paths]
        return [answer.json()["next"] for answer in answers if answer.json()["next"]]

    def epoch(self) -> str:
        """Of the ids of events."""
        with at(self.database):
            return str(ledger.scalar("SELECT epoch FROM feed_state"))

    def more(self, mark: str, name: str) -> None:
        """One more request of somebody's, counted."""
        with at(self.database):
            self.book([{**_request(mark, 0), "id": f"{mark}-{name}", "other_ids": []}])
            ledger.roll()

    def book(self, events: Sequence[Mapping[str, Any]]) -> None:
        answer = self.ask("POST", "/ingest", json={"events": list(events)})
        assert answer.status_code == 200, answer.text
        assert answer.json()["imported"] == len(events), answer.text


@contextmanager
def at(database: str) -> Iterator[None]:
    """DATABASE_URL is this one for what runs in this process."""
    before = os.environ.get("DATABASE_URL")
    os.environ["DATABASE_URL"] = database
    _forget()
    try:
        yield
    finally:
        for role in ("spendbeat_writer", "spendbeat_reader"):
            engine(role).dispose()
        if before is None:
            del os.environ["DATABASE_URL"]
        else:
            os.environ["DATABASE_URL"] = before
        _forget()


def _forget() -> None:
    engine.cache_clear()
    settings.cache_clear()


@contextmanager
def world(folder: Path, database: str, redis: str, marks: Sequence[str]) -> Iterator[World]:
    """Whoever is named has spend, a budget, a channel and alerts; the first of them came first.

    database: migrated and empty. redis: of nobody else.
    """
    environment = {
        "DATABASE_URL": database,
        "REDIS_URL": redis,
        "SPENDBEAT_HOME": str(folder / "home"),
        "SPENDBEAT_WEB_RATE": "0",
        "SPENDBEAT_SECRET_KEY": "c3BlbmRiZWF0IHRlc3RzIG9uIGxvb3BiYWNrIG9ubHk=",
    }
    with at(database):
        made = _tokens()
    web = Program("web", _WEB, folder / f"web-{secrets.token_hex(3)}.log", environment).start()
    try:
        web.wait_for_log("HTTP: ")
        found = re.search(r"http://\S+", web.logs())
        assert found
        with requests.Session() as session:
            session.trust_env = False
            there = World(found[0], database, made, session, web)
            wait_for(there.answers, "the service to answer")
            with at(database):
                for mark in marks:
                    _settle(there, mark)
            yield there
    finally:
        web.stop()


def _tokens() -> dict[str, str | None]:
    ours = {name: f"{OURS}-{name}" for name in ("organization", "team", "api_key")}
    theirs = Binding(organization=f"{THEIRS}-organization")
    bound = {name: Binding(**{name: said}) for name, said in ours.items()}
    bound |= {"all three": Binding(**ours), "theirs": theirs}
    bound |= {"nobody's": Binding(organization="zqcharlie-organization")}
    with transaction() as session:
        found: dict[str, str | None] = {
            kind: tokens.create(session, kind.replace(" ", "-").replace("'", ""), ["read"], of)[1]
            for kind, of in bound.items()
        }
        found["operator"] = tokens.create(session, "operator", SCOPES)[1]
        found["revoked"] = tokens.create(session, "revoked", SCOPES)[1]
        tokens.revoke(session, "revoked")
    return {**found, "made up": "sb_" + "a" * 43, "none": None}


def _request(mark: str, number: int) -> dict[str, Any]:
    """Odd ones differ from everybody's in the organization, the team, the key and the ids alone."""
    own = {name: f"{mark}-{name}" for name in FIELDS} | {
        "provider": f"{mark}-provider",
        "model": f"{mark}-model",
        "end_user": f"{mark}-end_user",
        "trace_id": f"{mark}-trace_id",
        "session_id": f"{mark}-session_id",
        "tags": [f"{mark}-tag", f"{mark}-key:1", f"env:{mark}"],
    }
    if number % 2:
        shared = {name: f"shared-{name}" for name in FIELDS} | {"provider": "openai"}
        own |= shared | {"model": "gpt-4o", "tags": ["shared-tag"], "trace_id": "shared-trace_id"}
        own |= {name: f"{mark}-{name}" for name in ("organization", "team", "api_key")}
    if mark == NOBODYS:
        own = {name: said for name, said in own.items() if name not in FIELDS}
    return own | {
        "id": f"{mark}-request_id-{number}",
        "other_ids": [f"{mark}-other-{number}"],
        "started_at": (NOW - timedelta(hours=5 * number + 1)).isoformat(),
        "input_tokens": 1000 + number,
        "output_tokens": 10,
        # Of theirs, sums are as easily known as names.
        "cost_usd": "0.5" if mark == OURS else "777.777",
        "status": "failure" if number == 4 else "success",
    }


def _settle(there: World, mark: str) -> None:
    there.book([_request(mark, number) for number in range(8)])
    unpriced = _request(mark, 8) | {"id": f"{mark}-request_id-unpriced", "cost_usd": None}
    there.book([unpriced | {"model": "orchid-preview" if mark == OURS else f"{mark}-model-2"}])
    if mark == THEIRS:
        alike = [_request(mark, n) | {"id": f"{mark}-alike-{n}"} for n in range(len(ALIKE))]
        there.book(
            [
                {**event, "other_ids": [], "organization": said, "team": said, "api_key": said}
                for event, said in zip(alike, ALIKE, strict=True)
            ]
        )
    ledger.roll()
    channel = {"name": f"{mark}-name", "kind": "email", "address": f"{mark}@example.com"}
    scope = (
        {"model": f"{mark}-model"} if mark == NOBODYS else {"organization": f"{mark}-organization"}
    )
    budgets = [
        {"name": f"{mark}-which", "scope": scope, "hard_limit": "0.01", "note": f"{mark}-note"}
    ]
    if mark == THEIRS:
        budgets.append({"name": f"{mark}-all", "hard_limit": "0.01"})
    for path, bodies in (("/channels", [channel]), ("/budgets", budgets)):
        for body in bodies:
            answer = there.ask("POST", path, json=body)
            assert answer.status_code == 201, answer.text
    alerts.check(NOW)
