"""Events go straight into the ledger's database, as a role that can do nothing else."""

import json
from collections.abc import Iterator
from pathlib import Path

import psycopg2
import pytest
from spendbeat_gateway import Recorder
from spendbeat_gateway.answers import Later, Taken
from spendbeat_gateway.postgres import Postgres

from tests.support.gateway import response
from tests.support.waiting import wait_for


@pytest.fixture
def spendbeat(database: str, tmp_path: Path) -> Iterator[Recorder]:
    made = Recorder(database_url=database.replace("+psycopg2", ""), spool=tmp_path)
    yield made
    made.close()


def rows(database: str) -> list[tuple[str, str, str]]:
    """Who sent it, the route, the body."""
    connection = psycopg2.connect(database.replace("+psycopg2", ""))
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT route, body FROM event_inbox ORDER BY id")
        found = cursor.fetchall()
    connection.close()
    return found


def test_events_arrive_one_row_each(database: str, spendbeat: Recorder) -> None:
    ids = [spendbeat.record(response(n), provider="openai") for n in range(600)]
    assert spendbeat.put("litellm", {"id": "of litellm"})
    assert spendbeat.flush()
    found = rows(database)
    assert [json.loads(body)["id"] for route, body in found if route == "gateway"] == ids
    assert [json.loads(body)["id"] for route, body in found if route == "litellm"] == ["of litellm"]


def test_it_may_add_events_and_read_nothing(database: str, spendbeat: Recorder) -> None:
    sender = Postgres(database)
    assert sender.send("gateway", ["{}"], state={}, timeout=10) == Taken()
    assert sender._connection is not None
    with (
        pytest.raises(psycopg2.errors.InsufficientPrivilege),
        sender._connection.cursor() as cursor,
    ):
        cursor.execute("SELECT * FROM event_inbox")
    sender._connection.close()


def test_a_connection_that_is_cut_is_made_again(database: str, spendbeat: Recorder) -> None:
    spendbeat.record(response(1), provider="openai")
    assert spendbeat.flush()
    admin = psycopg2.connect(database.replace("+psycopg2", ""))
    admin.autocommit = True
    with admin.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'spendbeat-gateway' AND datname = current_database()"
        )
    admin.close()
    spendbeat.record(response(2), provider="openai")
    wait_for(lambda: len(rows(database)) == 2, "the second event")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://someone:a-password-nobody-knows@127.0.0.1:9/none",
        "postgresql:/someone:a-password-nobody-knows@127.0.0.1:9/none",
        "host=127.0.0.1 port=9 nonsense password=a-password-nobody-knows",
    ],
    ids=["away", "wrong", "words"],
)
def test_a_database_that_is_away_keeps_events_and_its_password(url: str) -> None:
    answer = Postgres(url).send("gateway", ["{}"], state={}, timeout=2)
    assert isinstance(answer, Later)
    assert "nobody-knows" not in answer.reason + Postgres(url).where
