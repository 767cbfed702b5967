"""Events that gateways put straight into Postgres reach the ledger, once each."""

import json
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from spend import inbox
from spend.capture.desk import Desk
from spend.inbox import DrainResult
from tests.support.captured import counted, spendbeat
from tests.support.desks import event
from tests.support.ledger import run_as, scalar
from worker.database import engine, transaction

PUT = "INSERT INTO event_inbox (route, body) VALUES (:route, :body)"


def put(*bodies: Any, route: str = "gateway") -> None:
    for body in bodies:
        said = body if isinstance(body, str) else json.dumps(body)
        run_as("spendbeat_sender", PUT, route=route, body=said)


def drain(limit: int = 100) -> DrainResult:
    with transaction() as session:
        return inbox.drain(session, Desk(engine()), limit)


def waiting() -> bool:
    with transaction() as session:
        return inbox.waiting(session)


def test_what_is_put_in_is_booked_and_gone(database: str) -> None:
    put(event(id="1"), event(id="2"), event(id="3"))
    assert waiting()
    assert drain(2) == DrainResult(rows=2, imported=2, known=0, conflicts=0, rejected=0, more=True)
    assert drain(2).rows == 1
    assert not waiting()
    assert counted()[0] == 3
    assert scalar("SELECT count(*) FROM event_inbox") == 0


def test_a_drain_that_dies_after_booking_books_nothing_twice(database: str) -> None:
    put(event(id="1"))
    with transaction() as session:
        inbox.drain(session, Desk(engine()))
        session.rollback()
    assert (counted()[0], waiting()) == (1, True)
    assert drain().known == 1
    assert (counted()[0], waiting()) == (1, False)


def test_two_drains_take_different_events(database: str) -> None:
    put(event(id="1"), event(id="2"))
    with transaction() as session:
        assert inbox.drain(session, Desk(engine()), 1).rows == 1
        assert drain().rows == 1
    assert (counted()[0], waiting()) == (2, False)


def test_what_cannot_be_booked_stays_with_its_reason_and_can_be_tried_again(database: str) -> None:
    put(event(id="good"), event(id="bad", input_tokens=-1), "no json", "[1]")
    assert (drain().rejected, waiting()) == (3, False)
    listed = json.loads(spendbeat("inbox", "rejected", "--json").stdout)
    assert [row["reason"] for row in listed] == [
        "a token count is negative: -1",
        "not JSON: Expecting value: line 1 column 1 (char 0)",
        "not a JSON object",
    ]
    assert "3 events" in spendbeat("inbox", "retry").stdout
    assert waiting()
    assert drain().rejected == 3


def test_a_sender_may_do_nothing_but_add(database: str) -> None:
    put(event())
    for sql in ("SELECT * FROM event_inbox", "DELETE FROM event_inbox", "SELECT * FROM cost_logs"):
        with pytest.raises(ProgrammingError, match="permission denied"):
            run_as("spendbeat_sender", sql)


def test_the_inbox_shows_what_waits(database: str) -> None:
    put(event(id="1"), event(id="2", input_tokens=-1))
    drain()
    put(event(id="3"))
    shown = json.loads(spendbeat("inbox", "status", "--json").stdout)
    assert (shown["waiting"], shown["rejected"]) == (1, 1)


def test_conflicts_are_listed(database: str) -> None:
    put(event(), event(output_tokens=7))
    drain()
    (row,) = json.loads(spendbeat("conflicts", "--json").stdout)
    assert (row["route"], row["request_id"]) == ("inbox", "call-1")
    assert row["reason"] == "this id is known with other content"
    assert "call-1" in spendbeat("conflicts").stdout
    with transaction() as session:
        session.execute(text("DELETE FROM request_conflicts"))
    assert "no conflicts" in spendbeat("conflicts").stdout
