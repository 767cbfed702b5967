"""The outbox: messages that leave after the transaction that put them, in the order of their lane.

In each lane the first message that waits has a time when it is due; those behind it have none. Who
changes which message that is holds the lane's row, so that it is decided by one at a time.
"""

import json
import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy.orm import Session

from spend.delivery.outcome import Message, Outcome
from spend.errors import BadInputError
from spend.sql import query

# So many lanes of a channel are with workers at once: one that hangs cannot keep all others from
# being served.
MOST_PER_CHANNEL = 8
# A message of the broker that was lost costs so many seconds.
RING_AGAIN_SECONDS = 30.0


class Due(NamedTuple):
    """A message to be sent now. attempts: those that ended before."""

    lane: str
    channel_id: int
    message: Message
    attempts: int


def new_id() -> str:
    """A webhook-id: 128 bits of chance."""
    return f"msg_{secrets.token_hex(16)}"


def put(session: Session, *, lane: str, channel_id: int, message: Message) -> None:
    """Add a message in the caller's transaction; it leaves after the commit, and not without it.

    lane: such as "budget:7/channel:3"; its messages leave one at a time, in the order of their
    commits, and it has one channel. A transaction holds each lane it puts into until it ends, so
    several are best put in the lanes' order. Raises BadInputError for a channel that is not there.
    """
    position = session.execute(query("outbox", "place"), {"lane": lane}).scalar_one()
    added = session.execute(
        query("outbox", "put"),
        {
            "id": message.id,
            "lane": lane,
            "position": position,
            "channel_id": channel_id,
            "type": message.type,
            "at": message.at,
            "body": json.dumps(message.body, allow_nan=False),
        },
    ).first()
    if added is None:
        raise BadInputError(f"There is no channel with the id {channel_id}.")


def ring(session: Session) -> Sequence[str]:
    """Lanes of whose first message a worker is to be told now; give up what can go nowhere."""
    session.execute(query("outbox", "bury"), {"channel_id": 0})
    return _ring(session, 0, MOST_PER_CHANNEL, count=True)


def ring_one_more(session: Session, channel_id: int) -> Sequence[str]:
    """The lane that takes the place of one whose message just ended, if one waits for that."""
    return _ring(session, channel_id, 1, count=False)


def _ring(session: Session, channel_id: int, most: int, *, count: bool) -> Sequence[str]:
    binds = {"channel_id": channel_id, "most": most, "count": count, "again": RING_AGAIN_SECONDS}
    return session.execute(query("outbox", "ring"), binds).scalars().all()


def hold(session: Session, lane: str) -> bool:
    """Take a lane until this transaction ends; False while another one has it."""
    return bool(session.scalar(query("outbox", "hold"), {"lane": lane}))


def head(session: Session, lane: str) -> Due | None:
    """The first message that waits in a lane, if its time has come."""
    found = session.execute(query("outbox", "head"), {"lane": lane}).one_or_none()
    if found is None:
        return None
    message = Message(found.id, found.at, found.type, found.body)
    return Due(lane, found.channel_id, message, found.attempts)


def record(session: Session, due: Due, began: datetime, outcome: Outcome) -> None:
    """Log and count an attempt that ended, and lock its lane."""
    binds = {
        "id": due.message.id,
        "channel_id": due.channel_id,
        "attempt": due.attempts + 1,
        "at": began,
        "result": outcome.result,
        "reason": outcome.reason,
        "status": outcome.status,
        "seconds": outcome.seconds,
        # Postgres stores no NUL.
        "answer": outcome.answer.replace("\0", "")[:500],
    }
    # First, so that no put and no replay decides about the lane in between.
    session.execute(query("outbox", "lock_lane"), {"lane": due.lane})
    session.execute(query("outbox", "log"), binds)
    session.execute(query("outbox", "count"), binds)


def delivered(session: Session, due: Due, reason: str) -> None:
    """A message was taken; the next of its lane is due. The lane is locked."""
    session.execute(query("outbox", "delivered"), {"id": due.message.id, "reason": reason})
    _settle(session, due.lane)


def later(session: Session, due: Due, reason: str, pause: float) -> None:
    """Try a message again after so many seconds. The lane is locked."""
    binds = {"id": due.message.id, "reason": reason, "pause": pause}
    session.execute(query("outbox", "later"), binds)
    _settle(session, due.lane)


def dead(session: Session, due: Due, reason: str) -> None:
    """Give a message up after an attempt; the next of its lane is due. The lane is locked."""
    session.execute(query("outbox", "dead"), {"id": due.message.id, "reason": reason})
    _settle(session, due.lane)


def bury(session: Session, channel_id: int) -> int:
    """Give up all that waits for a channel that is off; how many that were."""
    found = session.execute(query("outbox", "bury"), {"channel_id": channel_id})
    return int(found.rowcount)  # type: ignore[attr-defined]  # of a cursor's result


def replay(session: Session, message_ids: Sequence[str]) -> int:
    """Send messages that ended again, with their ids, before what waits behind them.

    Those that wait already stay as they are, those of a channel that is not active too. How many
    are sent again. Raises BadInputError for an id that is not there.
    """
    lanes: dict[str, str] = {}
    for message_id in message_ids:
        found = session.execute(query("outbox", "show"), {"id": message_id}).one_or_none()
        if found is None:
            raise BadInputError(
                f"There is no message {message_id!r}; 'spendbeat deliveries list' shows them."
            )
        lanes[message_id] = found.lane
    for lane in sorted(set(lanes.values())):
        session.execute(query("outbox", "lock_lane"), {"lane": lane})
    again = 0
    for message_id in message_ids:
        done = session.execute(query("outbox", "revive"), {"id": message_id})
        again += int(done.rowcount)  # type: ignore[attr-defined]  # of a cursor's result
    for lane in set(lanes.values()):
        _settle(session, lane)
    return again


def repair(session: Session) -> int:
    """Give every lane that waits a message that is due; how many had none."""
    lanes = session.execute(query("outbox", "headless")).scalars().all()
    for lane in sorted(lanes):
        session.execute(query("outbox", "lock_lane"), {"lane": lane})
        _settle(session, lane)
    return len(lanes)


def prune(session: Session, *, days: int, dead_days: int) -> int:
    """Forget the log after `days`, messages `days` after their delivery or `dead_days` after
    they were given up; how many messages went.
    """
    session.execute(query("outbox", "prune_log"), {"days": days})
    gone = 0
    for state, kept in (("delivered", days), ("dead", dead_days)):
        done = session.execute(query("outbox", "prune"), {"state": state, "days": kept})
        gone += int(done.rowcount)  # type: ignore[attr-defined]  # of a cursor's result
    return gone


def _settle(session: Session, lane: str) -> None:
    session.execute(query("outbox", "settle_lane"), {"lane": lane})
