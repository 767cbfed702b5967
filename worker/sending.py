"""What sending needs of the settings: keys, networks that are allowed, the mail server."""

from pathlib import Path

from sqlalchemy.orm import Session

from spend import secrets
from spend.delivery import channels, destination, email, registry
from spend.delivery.channels import Channel
from spend.delivery.destination import Networks
from spend.delivery.email import MailServer
from spend.delivery.outcome import Message, Outcome
from spend.secrets import Keys, SecretKeyError
from worker.settings import settings


def keys() -> Keys:
    """The keys of the stored secrets. Raises SecretKeyError.

    A file is read each time, so that a process that runs sees a key that was put into it.
    """
    given = settings().secret_key
    if given is not None:
        return secrets.parse(given.get_secret_value(), "SPENDBEAT_SECRET_KEY")
    return secrets.read(key_file())


def key_file() -> Path:
    """The file with the keys, where SPENDBEAT_SECRET_KEY is not set."""
    return settings().secret_key_file or settings().home / "secret.key"


def first_keys() -> Keys:
    """Likewise, for the first secret of all: makes the key file where there is none."""
    if settings().secret_key is None:
        secrets.make(key_file())
    return keys()


def sealing_keys(session: Session, kind: str) -> Keys | None:
    """The keys to seal a new channel's address and secret with; None for a kind that has neither.

    Raises SecretKeyError.
    """
    if kind == "email":
        return None
    # A new key while there are secrets of another one would only hide that it is lost.
    return keys() if registry.any_sealed(session) else first_keys()


def allowed() -> Networks:
    """What SPENDBEAT_WEBHOOK_ALLOWED lists."""
    return destination.networks(settings().webhook_allowed)


def mail_server() -> MailServer | None:
    """None where SPENDBEAT_SMTP_URL is not set."""
    url = settings().smtp_url
    return email.server(url, settings().mail_from) if url else None


def send(channel: Channel, message: Message) -> Outcome:
    """One attempt with this process's settings."""
    try:
        # Mail has no secrets of its own, so no key is needed for it.
        fitting = keys() if channel.kind != "email" else None
    except SecretKeyError as error:
        return Outcome("retry", "unreadable", answer=str(error))
    return channels.send(channel, message, fitting, allowed=allowed(), mail=mail_server())
