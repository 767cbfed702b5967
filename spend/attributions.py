"""Table `attributions`: who and what for, each combination once."""

from collections.abc import Iterable
from hashlib import blake2b
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from models import Attribution


class Mix(NamedTuple):
    """A combination of attribution fields, in the order of models.ATTRIBUTION_FIELDS."""

    organization: str | None = None
    project: str | None = None
    sprint: str | None = None
    agent: str | None = None
    user_id: str | None = None
    team: str | None = None
    api_key: str | None = None
    tags: tuple[str, ...] = ()

    @property
    def digest(self) -> UUID:
        """What makes one row per combination; texts contain no NUL, so nothing runs together."""
        names = ("\1" if name is None else f"\2{name}" for name in self[:-1])
        line = "\0".join((*names, *self.tags))
        return UUID(bytes=blake2b(line.encode(), digest_size=16, person=b"spendbeat-mix").digest())


NOBODY = Mix()
# The row that the first migration makes.
UNATTRIBUTED = 0
_CHUNK = 1000


def resolve(session: Session, mixes: Iterable[Mix]) -> dict[Mix, int]:
    """The id of each combination; new ones are recorded, by whoever comes first."""
    ids = {NOBODY: UNATTRIBUTED}
    # In one order everywhere, so that two importers cannot wait for each other in a circle.
    wanted = sorted((mix.digest, mix) for mix in set(mixes) if mix != NOBODY)
    for start in range(0, len(wanted), _CHUNK):
        ids.update(_chunk(session, dict(wanted[start : start + _CHUNK])))
    return ids


def _chunk(session: Session, wanted: dict[UUID, Mix]) -> dict[Mix, int]:
    known = select(Attribution.digest, Attribution.id).where(Attribution.digest.in_(wanted))
    ids = {wanted[digest]: id_ for digest, id_ in session.execute(known)}
    new = [
        {**mix._asdict(), "tags": list(mix.tags), "digest": digest}
        for digest, mix in wanted.items()
        if mix not in ids
    ]
    if new:
        statement = insert(Attribution).on_conflict_do_nothing(index_elements=["digest"])
        session.execute(statement, new)
        ids.update((wanted[digest], id_) for digest, id_ in session.execute(known))
    return ids
