"""Webhooks as Standard Webhooks 1.0.0 describes them, with its own library for signing."""

import base64
import json
import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from standardwebhooks import Webhook

from spend.delivery import answers
from spend.delivery.destination import Networks, Resolve
from spend.delivery.outcome import Message, Outcome

# The standard asks for 24 to 64.
_SECRET_BYTES = 32


def new_secret() -> str:
    """A new signing secret, as receivers' libraries take it."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def send(
    address: str,
    signing: Sequence[str],
    message: Message,
    *,
    allowed: Networks,
    resolve: Resolve | None = None,
) -> Outcome:
    """One attempt, signed with each of the secrets, the newest first."""
    body = payload(message)
    return answers.attempt(
        address,
        body.encode(),
        # Signed when the look-up is over, so that the time is that of the attempt.
        lambda: headers(message, body, signing, datetime.now(UTC)),
        allowed=allowed,
        resolve=resolve,
    )


def payload(message: Message) -> str:
    """What is sent: the same bytes on each attempt."""
    content = {"type": message.type, "timestamp": message.at.isoformat(), "data": message.body}
    return json.dumps(content, separators=(",", ":"))


def headers(
    message: Message, body: str, signing: Sequence[str], now: datetime
) -> Mapping[str, str]:
    """now: of the attempt, in UTC."""
    return {
        "Content-Type": "application/json",
        "webhook-id": message.id,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": " ".join(
            Webhook(secret).sign(message.id, now, body) for secret in signing
        ),
    }
