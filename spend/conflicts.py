"""Table `request_conflicts`: requests whose id was known for something else."""

import json
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sqlalchemy import RowMapping
from sqlalchemy.orm import Session

from spend.sql import query


class Conflict(NamedTuple):
    """A request that was not booked, by which route it came, and what it says (JSON)."""

    route: str
    request_id: str | None
    reason: str
    said: str


def report(session: Session, conflicts: Iterable[Conflict]) -> None:
    """Note conflicts, each of them once however often it comes."""
    said = json.dumps([conflict._asdict() for conflict in conflicts])
    session.execute(query("conflicts", "report"), {"conflicts": said})


def newest(session: Session, limit: int) -> Sequence[RowMapping]:
    """The newest conflicts: at, route, request_id, reason and what was said."""
    return session.execute(query("conflicts", "newest"), {"limit": limit}).mappings().all()


def prune(session: Session) -> None:
    """Forget conflicts that nobody will look into any more."""
    session.execute(query("conflicts", "prune"))
