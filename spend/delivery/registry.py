"""Table `channels`: added, found, switched off and on, their secrets rotated and encrypted anew."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select, text, tuple_, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from models import CHANNEL_KINDS
from models import Channel as Row
from spend.delivery import destination, email, webhook
from spend.delivery.channels import Channel, Sealed
from spend.delivery.destination import ForbiddenError, Networks, Resolve, Url
from spend.errors import BadInputError, TakenError, UnknownError
from spend.secrets import Keys

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,99}", re.ASCII)
# So many rotations within one overlap are a mistake, and each makes the header longer.
_MOST_SECRETS = 5


@dataclass(frozen=True)
class Added:
    """secret: to sign with, shown once; None where the kind has none."""

    channel: Channel
    secret: str | None


def add(
    session: Session,
    name: str,
    kind: str,
    address: str,
    keys: Keys | None,
    *,
    allowed: Networks,
    resolve: Resolve | None = None,
) -> Added:
    """A new channel. keys: None is fine for email. Raises BadInputError, without the address,
    and TakenError where the name is another one's.
    """
    if not _NAME.fullmatch(name):
        raise BadInputError(
            f"{name!r:.120} cannot be a channel's name: use letters, digits and . _ @ - (at most"
            " 100, the first a letter or digit)."
        )
    if kind not in CHANNEL_KINDS:
        raise BadInputError(f"{kind!r:.50} is no kind of channel: {', '.join(CHANNEL_KINDS)}.")
    secret = webhook.new_secret() if kind == "webhook" else None
    values: dict[str, Any] = {"name": name, "kind": kind}
    if kind == "email":
        values["address"] = ", ".join(email.recipients(address))
    else:
        url = _fit(kind, address, allowed, resolve)
        sealing = _needed(keys)
        values |= {"address": shown(kind, url), "sealed_url": sealing.seal(url.text)}
        values["secrets"] = [_entry(sealing.seal(secret))] if secret else []
    row = session.execute(
        insert(Row)
        .values(**values)
        .on_conflict_do_nothing(index_elements=[Row.name], index_where=text("state <> 'removed'"))
        .returning(*_PUBLIC)
    ).first()
    if row is None:
        raise TakenError(
            f"There is a channel called {name} already. Remove it ('spendbeat channels remove"
            f" {name}'), or choose another name."
        )
    return Added(_channel(row), secret)


def shown(kind: str, url: Url) -> str:
    """A URL without what may be a secret: the path of Slack's, the query of any."""
    path, mark, _ = url.target.partition("?")
    if kind == "slack":
        return f"{url.origin}/..."
    return url.origin + path + ("?..." if mark else "")


def listed(
    session: Session,
    *,
    removed: bool = False,
    after: tuple[str, int] | None = None,
    most: int | None = None,
) -> list[Channel]:
    """Channels by name, without ciphertexts; those that were removed only when asked for.

    after: the name and id behind which they begin. most: None is all.
    """
    query = select(*_PUBLIC).order_by(Row.name, Row.id).limit(most)
    if not removed:
        query = query.where(Row.state != "removed")
    if after is not None:
        query = query.where(tuple_(Row.name, Row.id) > tuple_(*after))
    return [_channel(row) for row in session.execute(query)]


def find(session: Session, channel_id: int) -> Channel | None:
    """A channel to send to, whatever its state; None where that id never was."""
    row = session.execute(select(*_ALL).where(Row.id == channel_id)).first()
    return _channel(row) if row else None


def named(session: Session, name: str) -> Channel:
    """The channel of a name, without the removed. Raises UnknownError."""
    query = select(*_ALL).where(Row.name == name, Row.state != "removed")
    # What cannot be a name is not asked for: Postgres takes no NUL.
    row = session.execute(query).first() if _NAME.fullmatch(name) else None
    if row is None:
        raise UnknownError(f"There is no channel called {name!r:.120}; see 'channels list'.")
    return _channel(row)


def disable(session: Session, channel_id: int, reason: str) -> bool:
    """Send nothing to it from now on; False where it was not active."""
    return _turn(session, channel_id, "active", "disabled", reason)


def enable(session: Session, channel_id: int) -> bool:
    """Send to it again; False where it was not disabled. Its failures are forgotten."""
    return _turn(session, channel_id, "disabled", "active", "", failing_since=None)


def remove(session: Session, channel_id: int) -> bool:
    """End it for good, and forget its URL and secrets; False where it was removed before."""
    changed = session.execute(
        update(Row)
        .where(Row.id == channel_id, Row.state != "removed")
        .values(
            state="removed",
            state_at=func.clock_timestamp(),
            state_reason="",
            sealed_url=None,
            secrets=[],
        )
        .returning(Row.id)
    )
    return changed.first() is not None


def note(session: Session, channel_id: int, *, delivered: bool) -> datetime | None:
    """Remember that an attempt went well or not; since when it fails, None where it does not.

    Writes only where that changes something, so that deliveries do not wait for one another.
    """
    before = Row.failing_since.is_not(None) if delivered else Row.failing_since.is_(None)
    session.execute(
        update(Row)
        .where(Row.id == channel_id, before)
        .values(failing_since=None if delivered else func.clock_timestamp())
    )
    return session.scalar(select(Row.failing_since).where(Row.id == channel_id))


def rotate_secret(session: Session, channel_id: int, keys: Keys, overlap: timedelta) -> str:
    """A new signing secret; the old ones sign too for that time. Raises BadInputError."""
    row = session.execute(select(*_ALL).where(Row.id == channel_id).with_for_update()).one()
    if row.kind != "webhook" or row.state == "removed":
        raise BadInputError(f"{row.name} has no signing secret: only a webhook has.")
    now = session.scalar(select(func.clock_timestamp()))
    if now is None:
        raise AssertionError
    ends = now + overlap
    olds = [old for old in _sealed(row.secrets) if old.until is None or old.until > now]
    kept = [old for old in olds if overlap > timedelta(0)]
    if len(kept) >= _MOST_SECRETS:
        raise BadInputError(
            f"{row.name} has {len(kept)} secrets that still sign. Wait for the end of the oldest,"
            " or end them all now with --overlap 0."
        )
    secret = webhook.new_secret()
    entries = [_entry(keys.seal(secret))]
    entries += [_entry(old.ciphertext, min(old.until or ends, ends)) for old in kept]
    session.execute(update(Row).where(Row.id == channel_id).values(secrets=entries))
    return secret


def seal_again(session: Session, keys: Keys) -> int:
    """Every ciphertext under the first key; returns how many. Raises SecretKeyError, and then
    nothing changed.
    """
    count = 0
    for row in session.execute(select(*_ALL).order_by(Row.id).with_for_update()).all():
        sealed = [_entry(keys.renewed(x.ciphertext), x.until) for x in _sealed(row.secrets)]
        url = keys.renewed(row.sealed_url) if row.sealed_url else None
        count += len(sealed) + (url is not None)
        session.execute(update(Row).where(Row.id == row.id).values(secrets=sealed, sealed_url=url))
    return count


def any_sealed(session: Session) -> bool:
    """Whether there is anything encrypted, for which a key has to exist."""
    return bool(session.scalar(select(select(Row.id).where(Row.sealed_url.is_not(None)).exists())))


def _fit(kind: str, address: str, allowed: Networks, resolve: Resolve | None) -> Url:
    url = destination.parse(address)
    checked = destination.check(url, allowed, resolve)
    if kind == "slack" and url.scheme != "https" and not checked.listed:
        raise ForbiddenError(
            "The URL of a Slack channel is its password, so it has to begin with https://, unless"
            " an operator lists the host in SPENDBEAT_WEBHOOK_ALLOWED."
        )
    return url


def _needed(keys: Keys | None) -> Keys:
    if keys is None:
        raise AssertionError("keys are needed for a URL")
    return keys


def _turn(
    session: Session, channel_id: int, before: str, after: str, reason: str, **values: Any
) -> bool:
    changed = session.execute(
        update(Row)
        .where(Row.id == channel_id, Row.state == before)
        .values(state=after, state_at=func.clock_timestamp(), state_reason=reason, **values)
        .returning(Row.id)
    )
    return changed.first() is not None


def _entry(ciphertext: str, until: datetime | None = None) -> dict[str, str | None]:
    return {"sealed": ciphertext, "until": until.isoformat() if until else None}


def _sealed(entries: Sequence[dict[str, Any]]) -> tuple[Sealed, ...]:
    return tuple(
        Sealed(x["sealed"], datetime.fromisoformat(x["until"]) if x["until"] else None)
        for x in entries
    )


_PUBLIC = (
    Row.id,
    Row.name,
    Row.kind,
    Row.address,
    Row.state,
    Row.state_at,
    Row.state_reason,
    Row.failing_since,
    Row.created_at,
)
_ALL = (*_PUBLIC, Row.sealed_url, Row.secrets)


def _channel(row: Any) -> Channel:  # noqa: ANN401 - a row with at least _PUBLIC
    values = row._asdict()
    if "secrets" in values:
        values["secrets"] = _sealed(values["secrets"])
    return Channel(**values)
