"""Whether a service says that it is ready: only where all that it needs is there."""

import os
import signal
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine

from spend import ticks
from tests.support.books import Books
from tests.support.databases import away
from tests.support.service import Service, serving
from tests.support.valkey import Valkey, valkey
from tests.support.waiting import wait_for
from web import health
from web.health import PATIENCE, Seen, at_most
from worker import schema, schema_version
from worker.database import transaction


@pytest.fixture
def broker() -> Iterator[Valkey]:
    with valkey() as found:
        yield found


@pytest.fixture
def service(database: str, broker: Valkey, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    """With a broker of its own, and a tick that was just taken. It remembers only for a moment."""
    monkeypatch.setattr("web.health.REMEMBERED_SECONDS", 0.05)
    url = f"redis+socket://{broker.url.removeprefix('unix://')}?virtual_host=0"
    with serving(redis_url=url) as service:
        with transaction() as session:
            ticks.take(session)
        yield service


def ready(service: Service) -> tuple[int, dict[str, Any]]:
    """Asked as anybody may: without a token, and without patience."""
    found = httpx.get(f"{service.url}/ready", trust_env=False, timeout=2 * PATIENCE)
    return found.status_code, found.json()


def lacking(service: Service, *names: str) -> dict[str, Any]:
    """Waits until exactly this is missing; what is remembered for a moment may come first."""

    def now() -> dict[str, Any] | None:
        status, said = ready(service)
        assert status == (503 if said["lacks"] else 200)
        return said if said["lacks"] == list(names) else None

    return wait_for(now, f"it to lack {names}")


def test_a_service_with_all_that_it_needs_is_ready(service: Service) -> None:
    said = lacking(service)
    assert said.pop("tick_seconds_ago") >= 0
    assert said == {
        "status": "ready",
        "lacks": [],
        "database": True,
        "broker": True,
        "schema": schema.head(),
        "schema_wanted": schema.head(),
        "tick_at_most": 60.0,
    }


def test_without_a_tick_or_with_an_old_one_it_is_not(service: Service, books: Books) -> None:
    """Nothing is counted then; how old a tick may be follows the time between two."""
    with books.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE ticks SET at = at - interval '50 seconds'")
    wait_for(lambda: ready(service)[1]["tick_seconds_ago"] > 50, "the older tick")
    lacking(service)
    with books.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE ticks SET at = at - interval '15 seconds'")
    assert lacking(service, "tick")["tick_seconds_ago"] > 60
    with books.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM ticks")
    wait_for(lambda: ready(service)[1]["tick_seconds_ago"] is None, "no tick")
    lacking(service, "tick")
    assert (at_most(5), at_most(600)) == (60, 1800)


def test_without_a_broker_it_is_not_and_is_again(service: Service, broker: Valkey) -> None:
    broker.kill()
    assert lacking(service, "broker")["broker"] is False
    broker.start()
    lacking(service)


def test_another_version_of_the_schema_is_not_what_it_needs(service: Service, books: Books) -> None:
    with books.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0001'")
    assert lacking(service, "schema")["schema"] == "0001"
    with books.engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE alembic_version RENAME TO another")
    wait_for(lambda: ready(service)[1]["schema"] is None, "no version")
    lacking(service, "schema", "tick")


def test_without_a_database_it_is_not_and_the_broker_is_still_seen(
    service: Service, database: str
) -> None:
    with away(database):
        lacking(service, "database", "schema", "tick")
    lacking(service)


def test_a_server_that_never_answers_keeps_nobody_waiting(
    service: Service, broker: Valkey, books: Books
) -> None:
    """Not even where both are stuck: about a second, whoever asks."""
    os.kill(broker.pid, signal.SIGSTOP)
    try:
        with books.engine.begin() as connection:
            connection.exec_driver_sql("LOCK TABLE ticks IN ACCESS EXCLUSIVE MODE")
            lacking(service, "database", "broker", "schema", "tick")
            for _ in range(3):
                assert ready(service)[0] == 503
    finally:
        os.kill(broker.pid, signal.SIGCONT)
    lacking(service)


def test_however_often_it_is_asked_it_looks_once(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody needs a token to ask, so asking must cost the database nothing."""
    looked: list[int] = []
    look = health.look

    def seen(engine: Engine) -> Seen | None:
        looked.append(1)
        return look(engine)

    monkeypatch.setattr("web.health.REMEMBERED_SECONDS", 60.0)
    lacking(service)
    monkeypatch.setattr("web.health.look", seen)
    assert [ready(service)[0] for _ in range(20)] == [200] * 20
    assert service.client.get("/").json()["database"] is True
    assert looked == []


def test_a_browser_is_sent_to_the_dashboard_and_a_program_hears_of_health(
    service: Service,
) -> None:
    browser = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
    for accept in (browser, "Text/HTML;q=1, */*"):
        answer = service.client.get("/", headers={"accept": accept})
        assert answer.status_code == 303
        assert answer.headers["location"] == "/dashboard"
    for accept in ("*/*", "application/json, text/html", "", "text/plain"):
        answer = service.client.get("/", headers={"accept": accept})
        assert answer.json()["status"] == "ok"
        assert answer.headers["vary"] == "Accept"


def test_the_version_that_is_wanted_is_the_newest_migration() -> None:
    assert schema_version.wanted() == schema.head()
