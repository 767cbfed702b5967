"""Channels and messages for the tests of the outbox."""

from datetime import UTC, datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from spend.delivery import outbox, registry
from spend.delivery.outcome import Message
from worker.database import transaction

_ADD = text(
    "INSERT INTO channels (name, kind, address) VALUES (:name, 'webhook', 'http://there/')"
    " RETURNING id"
)


def channel(name: str = "ops") -> int:
    """A channel without an address that could be used; its id."""
    with transaction() as session:
        return int(session.execute(_ADD, {"name": name}).scalar_one())


def message(number: int = 0, message_id: str | None = None) -> Message:
    body = {"version": 1, "title": f"Message {number}", "number": number}
    return Message(message_id or outbox.new_id(), datetime.now(UTC), "test.numbered", body)


def put(channel_id: int, lane: str = "one", count: int = 1) -> list[str]:
    """Messages of one transaction, numbered from 0; their ids in order."""
    with transaction() as session:
        return [put_one(session, channel_id, lane, number) for number in range(count)]


def put_one(session: Session, channel_id: int, lane: str, number: int) -> str:
    told = message(number)
    outbox.put(session, lane=lane, channel_id=channel_id, message=told)
    return told.id


def due_now() -> None:
    """Let the time of all pauses pass."""
    with transaction() as session:
        session.execute(
            text(
                "UPDATE outbox SET next_at = now() - interval '1 s', rung_at = NULL"
                " WHERE next_at IS NOT NULL"
            )
        )


def enable(channel_id: int) -> None:
    with transaction() as session:
        registry.enable(session, channel_id)
