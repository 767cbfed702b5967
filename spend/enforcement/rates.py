"""Table `rate_limits`: how many requests of a scope may pass in a minute."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, insert, select, text, update
from sqlalchemy.orm import Session

from models import RateLimit as Row
from spend.budgets.checking import check_name, check_scope
from spend.errors import BadInputError, TakenError, UnknownError

_LOCK = text("SELECT pg_advisory_xact_lock(x'5BEA7000C'::bigint)")


@dataclass(frozen=True)
class RateLimit:
    """Of a request that is in all of `scope`, guards let `per_minute` pass in a minute."""

    id: int
    name: str
    scope: Mapping[str, str]
    per_minute: int
    state: str
    created_at: datetime
    created_by: str
    changed_at: datetime
    changed_by: str

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        times = {name: getattr(self, name).isoformat() for name in ("created_at", "changed_at")}
        return {**asdict(self), "scope": dict(self.scope), **times}


def listed(session: Session, *, removed: bool = False) -> list[RateLimit]:
    """Rate limits by name; also removed ones where asked for."""
    found = select(Row).order_by(Row.name, Row.id)
    if not removed:
        found = found.where(Row.state != "removed")
    return [_limit(row) for row in session.scalars(found)]


def find(session: Session, which: str) -> RateLimit:
    """A rate limit by its name or number. Raises UnknownError."""
    for limit in listed(session):
        if which in (limit.name, str(limit.id)):
            return limit
    raise UnknownError(f"There is no rate limit {which!r}; see 'spendbeat rates list'.")


def add(
    session: Session, name: str, scope: Mapping[str, str], per_minute: int, by: str
) -> RateLimit:
    """Make a rate limit. Raises BadInputError."""
    session.execute(_LOCK)
    _check(session, name, scope)
    made = insert(Row).values(
        name=name, scope=dict(scope), per_minute=per_minute, created_by=by, changed_by=by
    )
    return _limit(session.scalars(made.returning(Row)).one())


def change(
    session: Session,
    which: str,
    by: str,
    *,
    name: str | None = None,
    scope: Mapping[str, str] | None = None,
    per_minute: int | None = None,
    state: str | None = None,
) -> RateLimit:
    """Change what is given. Raises BadInputError."""
    session.execute(_LOCK)
    before = find(session, which)
    said = {"name": name, "scope": scope, "per_minute": per_minute, "state": state}
    wanted = {key: value for key, value in said.items() if value is not None}
    if all(getattr(before, key) == value for key, value in wanted.items()):
        return before
    if state != "removed":
        _check(session, name or before.name, scope or {}, but=before.id)
    changed = (
        update(Row)
        .where(Row.id == before.id)
        .values(**wanted, changed_by=by, changed_at=func.clock_timestamp())
        .returning(Row)
        .execution_options(populate_existing=True)
    )
    return _limit(session.scalars(changed).one())


def _check(session: Session, name: str, scope: Mapping[str, str], but: int | None = None) -> None:
    try:
        check_name(name)
        check_scope(scope)
    except BadInputError as error:
        raise BadInputError(f"Rate limit {name[:100]!r}: {error}") from None
    if any(limit.name == name and limit.id != but for limit in listed(session)):
        raise TakenError(f"There is a rate limit {name!r} already.")


def _limit(row: Row) -> RateLimit:
    return RateLimit(
        row.id, row.name, row.scope, row.per_minute, row.state,
        row.created_at, row.created_by, row.changed_at, row.changed_by,
    )  # fmt: skip
