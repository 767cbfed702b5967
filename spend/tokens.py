"""Table `api_tokens`: who may use the HTTP service."""

import re
import secrets
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from sqlalchemy import func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from models import SCOPES, ApiToken
from spend.errors import BadInputError
from spend.tenancy import Binding

# 32 random bytes: nobody guesses one, so a plain hash of it is as good as a slow one.
_RANDOM_BYTES = 32
_SECRET = re.compile(r"sb_[A-Za-z0-9_-]{43}", re.ASCII)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,99}", re.ASCII)
# The service asks all the time; a write for each answer would cost more than it says.
_COARSE = timedelta(minutes=1)
# What a bound token may be for: all else shows or changes what others have, too.
BOUND_SCOPES = frozenset({"read"})


@dataclass(frozen=True)
class Token:
    """A token as people see it, without its secret. revoked_at: None while it is live.

    binding: what alone it may see; None: everything.
    """

    id: int
    name: str
    scopes: frozenset[str]
    created_at: datetime
    revoked_at: datetime | None
    last_used_at: datetime | None
    binding: Binding | None = None


def create(
    session: Session, name: str, scopes: Collection[str], binding: Binding | None = None
) -> tuple[Token, str]:
    """A new token and its secret, which exists nowhere else. Raises BadInputError."""
    if not _NAME.fullmatch(name):
        raise BadInputError(
            f"{name!r:.120} cannot be a token's name: use letters, digits and . _ @ - (at most"
            " 100, the first a letter or digit)."
        )
    unknown = sorted(set(scopes) - set(SCOPES))
    if unknown or not scopes:
        raise BadInputError(
            f"A token needs scopes out of {', '.join(SCOPES)}; not {', '.join(unknown) or 'none'}."
        )
    if binding is not None and set(scopes) != BOUND_SCOPES:
        raise BadInputError(
            "A token that is bound to an organization, team or key can have the scope read only."
        )
    bound = {} if binding is None else binding.fields()
    secret = "sb_" + secrets.token_urlsafe(_RANDOM_BYTES)
    row = session.execute(
        insert(ApiToken)
        .values(name=name, digest=digest(secret), scopes=sorted(set(scopes)), **bound)
        .on_conflict_do_nothing(
            index_elements=[ApiToken.name], index_where=ApiToken.revoked_at.is_(None)
        )
        .returning(*_COLUMNS)
    ).first()
    if row is None:
        raise BadInputError(
            f"There is a token called {name} already. Revoke it ('spendbeat tokens revoke"
            f" {name}'), or choose another name."
        )
    return _token(row), secret


def listed(session: Session) -> list[Token]:
    """All tokens, the revoked ones too, oldest first."""
    return [_token(row) for row in session.execute(select(*_COLUMNS).order_by(ApiToken.id))]


def revoke(session: Session, name: str) -> Token:
    """End the live token of this name. Raises BadInputError where there is none."""
    row = session.execute(
        update(ApiToken)
        .where(ApiToken.name == name, ApiToken.revoked_at.is_(None))
        .values(revoked_at=func.clock_timestamp())
        .returning(*_COLUMNS)
    ).first()
    if row is None:
        raise BadInputError(f"There is no live token called {name!r:.120}; see 'tokens list'.")
    return _token(row)


def find(session: Session, digests: Sequence[bytes]) -> dict[bytes, Token]:
    """The live tokens among these digests of secrets."""
    rows = session.execute(
        select(ApiToken.digest, *_COLUMNS).where(
            ApiToken.digest.in_(digests), ApiToken.revoked_at.is_(None)
        )
    )
    return {row.digest: _token(row) for row in rows}


def live(session: Session, ids: Collection[int]) -> frozenset[int]:
    """Those of some tokens, by id, that are not revoked."""
    if not ids:
        return frozenset()
    found = select(ApiToken.id).where(ApiToken.id.in_(ids), ApiToken.revoked_at.is_(None))
    return frozenset(session.scalars(found))


def touch(session: Session, ids: Iterable[int]) -> None:
    """Note that tokens were used just now, once a minute for each."""
    stale = func.now() - _COARSE
    session.execute(
        update(ApiToken)
        .where(
            ApiToken.id.in_(sorted(ids)),
            or_(ApiToken.last_used_at.is_(None), ApiToken.last_used_at < stale),
        )
        .values(last_used_at=func.now())
    )


def digest(secret: str) -> bytes:
    """What is stored of a secret."""
    return sha256(secret.encode()).digest()


def looks_right(secret: str) -> bool:
    """Whether it has the form of a secret, so that asking for it makes sense."""
    return _SECRET.fullmatch(secret) is not None


_COLUMNS = (
    ApiToken.id,
    ApiToken.name,
    ApiToken.scopes,
    ApiToken.created_at,
    ApiToken.revoked_at,
    ApiToken.last_used_at,
    ApiToken.organization,
    ApiToken.team,
    ApiToken.api_key,
)


def _token(row: Any) -> Token:  # noqa: ANN401 - a row with at least _COLUMNS
    bound = (row.organization, row.team, row.api_key)
    return Token(
        row.id,
        row.name,
        frozenset(row.scopes),
        row.created_at,
        row.revoked_at,
        row.last_used_at,
        None if bound == (None, None, None) else Binding(*bound),
    )
