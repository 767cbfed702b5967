"""The message with which a channel is tried."""

from datetime import UTC, datetime

from spend.delivery import outbox
from spend.delivery.channels import Channel
from spend.delivery.outcome import Message


def message(channel: Channel) -> Message:
    """Says that it is a test; in no log of deliveries."""
    words = (
        f"This is a test of the channel {channel.name}. Nothing is wrong, nothing is to be done."
    )
    body = {"version": 1, "title": "Spendbeat: a test", "text": words, "channel": channel.name}
    return Message(outbox.new_id(), datetime.now(UTC), "channel.test", body)
