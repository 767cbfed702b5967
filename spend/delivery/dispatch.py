"""One delivery: the first message of a lane is sent while the lane is held, then what came of it
is recorded, in one transaction.

What is left when the process dies (SIGKILL, power) between two steps:

1. after taking the lane: nothing has happened; the lane is free as soon as Postgres sees that the
   connection is gone, which for a killed process is at once
2. while sending, or after the answer and before the commit: the receiver may have the message, the
   outbox does not know it. It is sent again with the same id, and nothing behind it was sent: the
   one case in which a message comes twice
3. after the commit, before the next lane is rung: the next ring finds it
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from sqlalchemy.orm import Session

from spend.delivery import notices, outbox, registry
from spend.delivery.channels import Channel
from spend.delivery.outbox import Due
from spend.delivery.outcome import Message, Outcome
from spend.delivery.schedule import pause

Send = Callable[[Channel, Message], Outcome]


@dataclass(frozen=True)
class Dispatched:
    """What became of a ring.

    result: held (somebody else has the lane), idle (nothing is due in it), disabled (its channel
    is off), or what became of the message. lanes: to be rung next.
    """

    result: Literal["held", "idle", "disabled", "delivered", "retry", "dead"]
    message_id: str | None = None
    reason: str | None = None
    seconds: float = 0.0
    lanes: tuple[str, ...] = ()


def deliver(session: Session, lane: str, send: Send, chance: float) -> Dispatched:
    """Send the first message of a lane, if it is due. chance: from 0 to 1, for the next pause.

    The transaction lasts as long as `send`. Raises what `send` raises, with nothing recorded.
    """
    if not outbox.hold(session, lane):
        return Dispatched("held")
    # A statement of its own after the lock: it sees what the lane's last holder has committed.
    due = outbox.head(session, lane)
    if due is None:
        return Dispatched("idle")
    channel = registry.find(session, due.channel_id)
    if channel is None or channel.state != "active":
        outbox.bury(session, due.channel_id)
        return Dispatched("disabled")
    began = datetime.now(UTC)
    outcome = send(channel, due.message)
    outbox.record(session, due, began, outcome)
    result = _decide(session, due, outcome, chance)
    notices.heed(session, channel, outcome)
    lanes = tuple(outbox.ring_one_more(session, channel.id))
    return Dispatched(result, due.message.id, outcome.reason, outcome.seconds, lanes)


def _decide(
    session: Session, due: Due, outcome: Outcome, chance: float
) -> Literal["delivered", "retry", "dead"]:
    if outcome.result == "delivered":
        outbox.delivered(session, due, outcome.reason)
        return "delivered"
    again = outcome.result == "retry"
    wait = pause(due.attempts + 1, outcome.retry_after, chance) if again else None
    if wait is None:
        outbox.dead(session, due, outcome.reason)
        return "dead"
    outbox.later(session, due, outcome.reason, wait)
    return "retry"
