"""Table `attributions`: who and what for, each combination once."""

import json
from collections.abc import Collection, Iterable, Iterator

from sqlalchemy.orm import Session

from spend.attribution import caps, limits
from spend.attribution.mix import NOBODY, Mix
from spend.sql import query

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
    in_order = sorted(new - ids.keys(), key=lambda mix: mix.digest.int)
    coarse = {mix: caps.coarse(mix) for mix in in_order[room:]}
    found = _known(session, set(coarse.values()))
    missing = {*in_order[:room], *coarse.values()} - found.keys()
    found.update(_insert(session, missing))
    ids.update((mix, found[coarse.get(mix, mix)]) for mix in in_order)
    replaced = [mix for mix, instead in coarse.items() if mix != instead]
    limits.count_combinations(
        session, len(missing), len(replaced), _described(replaced[0]) if replaced else ""
    )
    return ids


def _known(session: Session, mixes: Collection[Mix]) -> dict[Mix, int]:
    ids: dict[Mix, int] = {}
    for wanted in _chunks(mixes):
        found = session.execute(query("attribution", "known_mixes"), {"digests": list(wanted)})
        ids.update((wanted[str(digest)], id_) for digest, id_ in found)
    return ids


def _insert(session: Session, mixes: set[Mix]) -> dict[Mix, int]:
    """Record mixes that nobody has recorded: whoever does holds the count of combinations."""
    ids: dict[Mix, int] = {}
    for wanted in _chunks(mixes):
        rows = [{**mix._asdict(), "digest": digest} for digest, mix in wanted.items()]
        found = session.execute(query("attribution", "record"), {"mixes": json.dumps(rows)})
        ids.update((wanted[str(digest)], id_) for digest, id_ in found)
    return ids


def _chunks(mixes: Collection[Mix]) -> Iterator[dict[str, Mix]]:
    """Digests, as texts, to their mixes; not too many at once."""
    items = [(str(mix.digest), mix) for mix in mixes]
    for start in range(0, len(items), _CHUNK):
        yield dict(items[start : start + _CHUNK])


def _described(mix: Mix) -> str:
    said = [*mix[:-1], *mix.tags]
    return " ".join(str(value) for value in said if value is not None)
