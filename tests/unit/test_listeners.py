"""A listener's buffer: what waits, what is passed over, and what ends it."""

import asyncio
from collections.abc import Coroutine
from datetime import UTC, datetime
from typing import Any

import pytest

from spend.tokens import Token
from web.stream.listeners import MOST_WAITING, Listener, Place, parse

TOKEN = Token(1, "t", frozenset({"read"}), datetime.now(UTC), None, None, None)


def listener(position: int = 0) -> Listener:
    made = Listener(TOKEN, ["spend"])
    made.place = Place("e", position)
    return made


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


def test_one_that_has_too_much_waiting_is_ended_and_lets_go_of_it() -> None:
    async def work() -> None:
        found = listener()
        for position in range(1, MOST_WAITING + 1):
            found.offer(Place("e", position), "spend", b"x")
        assert not found.over.done()
        found.offer(Place("e", MOST_WAITING + 1), "spend", b"x")
        assert found.over.result() == "slow"
        assert await found.next(0.01) is None
        found.offer(Place("e", MOST_WAITING + 2), "spend", b"x")
        found.end("gone")
        assert found.over.result() == "slow"

    run(work())


def test_what_it_had_already_does_not_come_again() -> None:
    async def work() -> None:
        found = listener(5)
        for position in (4, 5, 6):
            found.offer(Place("e", position), "spend", b"x")
        found.offer(Place("f", 1), "spend", b"y")  # of another epoch
        assert await found.next(1) == (Place("e", 6), "spend", b"x")
        assert await found.next(1) == (Place("f", 1), "spend", b"y")
        assert await found.next(0.01) is None

    run(work())


def test_what_is_not_for_it_moves_its_place_once_nothing_waits() -> None:
    async def work() -> None:
        found = listener()
        found.offer(Place("e", 1), "alert", None)
        assert found.place == Place("e", 1)
        found.offer(Place("e", 2), "spend", b"x")
        found.offer(Place("e", 3), "alert", None)
        # It was not sent the second one yet.
        assert found.place == Place("e", 1)

    run(work())


def test_a_reset_takes_the_place_of_what_waits() -> None:
    async def work() -> None:
        found = listener()
        found.offer(Place("e", 1), "spend", b"x")
        found.reset(Place("f", 9), b"reset")
        assert await found.next(1) == (Place("f", 9), "reset", b"reset")
        assert await found.next(0.01) is None

    run(work())


@pytest.mark.parametrize(
    ("id_", "place"),
    [
        ("5f0c9a-17", Place("5f0c9a", 17)),
        (" a-b-3 ", Place("a-b", 3)),
        ("17", None),
        ("-17", None),
        ("a-", None),
        ("a-1.5", None),
        ("a--1", Place("a-", 1)),
        ("a-\u0661", None),
        (f"a-{'9' * 19}", None),
        ("", None),
    ],
)
def test_ids_are_read_and_others_are_none_of_ours(id_: str, place: Place | None) -> None:
    assert parse(id_) == place
