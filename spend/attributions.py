"""Table `attributions`: who and what for, each combination once."""

from collections.abc import Collection, Iterable, Iterator
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from models import Attribution
from spend.attribution import caps, limits
from spend.attribution.mix import NOBODY, Mix

__all__ = ["NOBODY", "UNATTRIBUTED", "Mix", "resolve"]

# The row that the first migration makes.
UNATTRIBUTED = 0
_CHUNK = 1000


def resolve(session: Session, mixes: Iterable[Mix]) -> dict[Mix, int]:
    """The id of each combination; new ones are recorded, by whoever comes first.

    A value beyond the limit of its field is recorded as (other), so that ids are few whatever
    comes in; the answer has the mixes as they were given. Locks what it counts until the
    transaction ends: give it a short one of its own.
    """
    ids = {NOBODY: UNATTRIBUTED}
    wanted = set(mixes) - ids.keys()
    ids.update(_known(session, wanted))
    if new := wanted - ids.keys():
        as_recorded = limits.cap(session, new)
        found = _record(session, set(as_recorded.values()))
        ids.update((mix, found[recorded]) for mix, recorded in as_recorded.items())
    return ids


def _record(session: Session, mixes: set[Mix]) -> dict[Mix, int]:
    """The id of each mix; what is new is recorded, as far as there is room for combinations."""
    ids = _known(session, mixes)
    if not (new := mixes - ids.keys()):
        return ids
    room = limits.room(session)
    ids.update(_known(session, new))  # somebody may have come first
    in_order = sorted(new - ids.keys(), key=lambda mix: mix.digest)
    coarse = {mix: caps.coarse(mix) for mix in in_order[room:]}
    within = {*in_order[:room], *coarse.values()}
    missing = within - _known(session, within).keys()
    _insert(session, missing)
    found = _known(session, within)
    ids.update((mix, found[coarse.get(mix, mix)]) for mix in in_order)
    replaced = [mix for mix, instead in coarse.items() if mix != instead]
    limits.count_combinations(
        session, len(missing), len(replaced), _described(replaced[0]) if replaced else ""
    )
    return ids


def _known(session: Session, mixes: Collection[Mix]) -> dict[Mix, int]:
    ids: dict[Mix, int] = {}
    for wanted in _chunks({mix.digest: mix for mix in mixes}):
        known = select(Attribution.digest, Attribution.id).where(Attribution.digest.in_(wanted))
        ids.update((wanted[digest], id_) for digest, id_ in session.execute(known))
    return ids


def _chunks(wanted: dict[UUID, Mix]) -> Iterator[dict[UUID, Mix]]:
    # In one order everywhere, so that nobody waits for another in a circle.
    items = sorted(wanted.items())
    for start in range(0, len(items), _CHUNK):
        yield dict(items[start : start + _CHUNK])


def _insert(session: Session, mixes: set[Mix]) -> None:
    statement = insert(Attribution).on_conflict_do_nothing(index_elements=["digest"])
    rows = [
        {**mix._asdict(), "tags": list(mix.tags), "digest": digest}
        for digest, mix in sorted((mix.digest, mix) for mix in mixes)
    ]
    if rows:
        session.execute(statement, rows)


def _described(mix: Mix) -> str:
    said = [*mix[:-1], *mix.tags]
    return " ".join(str(value) for value in said if value is not None)
