"""What a delivery says about its channel: that it works, that it fails, that it is gone; and the
message to the other channels when one is disabled.
"""

from datetime import UTC, datetime
from typing import Literal

from sqlalchemy.orm import Session

from spend.delivery import outbox, registry
from spend.delivery.channels import Channel
from spend.delivery.outcome import Message, Outcome
from spend.sql import query

TYPE = "channel.disabled"
# A channel is given up when it took nothing for so many days, though it was tried through this
# many hours of them: one failure after a quiet month is not enough.
FAILING_DAYS = 5
FAILING_HOURS = 12


def heed(session: Session, channel: Channel, outcome: Outcome) -> None:
    """Note success or failure with the channel; disable it where it is gone."""
    registry.note(session, channel.id, delivered=outcome.result == "delivered")
    if outcome.result == "gone":
        disable(session, channel, "gone", "It answered that it is gone for good.")


def disable_failing(session: Session) -> int:
    """Disable the channels that only failed for days; how many."""
    binds = {"days": FAILING_DAYS, "hours": FAILING_HOURS}
    found = session.execute(query("outbox", "failing"), binds).all()
    for row in found:
        channel = registry.find(session, row.id)
        if channel is not None:
            since = f"{row.failing_since.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
            disable(session, channel, "failing", f"Every delivery failed since {since}.")
    return len(found)


def disable(
    session: Session, channel: Channel, reason: Literal["gone", "failing"], words: str
) -> None:
    """Disable a channel, give up what waits for it, and tell the other active channels."""
    if not registry.disable(session, channel.id, words):
        return  # somebody did so already
    message = _message(channel, reason, words, given_up=outbox.bury(session, channel.id))
    for other in sorted(registry.listed(session), key=lambda found: found.id):
        if other.state == "active":
            lane = f"channel:{channel.id}/channel:{other.id}"
            own = Message(outbox.new_id(), message.at, message.type, message.body)
            outbox.put(session, lane=lane, channel_id=other.id, message=own)


def _message(channel: Channel, reason: str, words: str, *, given_up: int) -> Message:
    text = (
        f"{words} Nothing is sent to it until somebody enables it: 'spendbeat channels enable"
        f" {channel.name}'."
    )
    if given_up:
        text += f" {given_up:,} messages were given up: 'spendbeat deliveries dead' lists them."
    body = {
        "version": 1,
        "title": f"Channel {channel.name} was disabled",
        "text": text,
        "channel": {"id": channel.id, "name": channel.name, "kind": channel.kind},
        "reason": reason,
        "given_up": given_up,
    }
    return Message(outbox.new_id(), datetime.now(UTC), TYPE, body)
