"""A channel, and sending a message to it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from spend.delivery import email, slack, webhook
from spend.delivery.destination import Networks, Resolve
from spend.delivery.email import MailServer
from spend.delivery.outcome import Message, Outcome
from spend.secrets import Keys, SecretKeyError

# So long at most an old signing secret signs beside a new one.
LONGEST_OVERLAP = timedelta(days=90)


@dataclass(frozen=True)
class Sealed:
    """An encrypted signing secret. until: when it ends, None for the newest."""

    ciphertext: str = field(repr=False)
    until: datetime | None


@dataclass(frozen=True)
class Channel:
    """kind: webhook, slack or email. address: as it may be shown. state: active, disabled or
    removed; only an active one is to be sent to. failing_since: None while it works.
    sealed_url, secrets: None and empty where they are not needed, such as in lists.
    """

    id: int
    name: str
    kind: str
    address: str
    state: str
    state_at: datetime
    state_reason: str
    failing_since: datetime | None
    created_at: datetime
    sealed_url: str | None = field(default=None, repr=False)
    secrets: tuple[Sealed, ...] = ()


def shown(channel: Channel) -> dict[str, Any]:
    """A channel as JSON, without its secrets."""
    times = ("state_at", "failing_since", "created_at")
    found: dict[str, Any] = {
        name: getattr(channel, name)
        for name in ("id", "name", "kind", "address", "state", "state_at", "state_reason",
                     "failing_since", "created_at")
    }  # fmt: skip
    return found | {name: found[name].isoformat() for name in times if found[name] is not None}


def send(
    channel: Channel,
    message: Message,
    keys: Keys | None,
    *,
    allowed: Networks,
    mail: MailServer | None = None,
    resolve: Resolve | None = None,
) -> Outcome:
    """One attempt, whatever the channel's state; it takes 15 to 20 seconds at most for HTTP.

    keys: None is fine for email. mail: the server for email. resolve: how host names are looked up.
    """
    if channel.kind == "email":
        if mail is None:
            return Outcome("retry", "unset", answer="SPENDBEAT_SMTP_URL is not set.")
        return email.send(email.recipients(channel.address), message, mail)
    if channel.sealed_url is None:
        return Outcome("gone", "gone", answer="The channel was removed.")
    try:
        url, signing = _unsealed(channel.sealed_url, live(channel), keys)
    except SecretKeyError as error:
        return Outcome("retry", "unreadable", answer=str(error))
    if channel.kind == "slack":
        return slack.send(url, message, allowed=allowed, resolve=resolve)
    return webhook.send(url, signing, message, allowed=allowed, resolve=resolve)


def live(channel: Channel) -> list[Sealed]:
    """The secrets to sign with now."""
    now = datetime.now(UTC)
    return [sealed for sealed in channel.secrets if sealed.until is None or sealed.until > now]


def _unsealed(url: str, signing: Sequence[Sealed], keys: Keys | None) -> tuple[str, list[str]]:
    if keys is None:
        raise SecretKeyError("There is no key for the stored secrets.")
    return keys.unseal(url), [keys.unseal(sealed.ciphertext) for sealed in signing]
