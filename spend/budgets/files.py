"""Budgets from a YAML file: what it would change, and changing that."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml
from sqlalchemy.orm import Session

from spend.budgets import reading, store, sums
from spend.budgets.checking import check, check_names
from spend.budgets.definition import Budget, Definition
from spend.budgets.store import Change, Kind
from spend.errors import BadInputError

STATES = ("active", "paused")


@dataclass(frozen=True)
class Wanted:
    """One budget of a file."""

    definition: Definition
    state: str


@dataclass(frozen=True)
class Plan:
    """What a file changes, and the names of budgets that are as it says, or that it leaves out."""

    changes: tuple[Change, ...]
    same: tuple[str, ...]
    left: tuple[str, ...]


def parse(source: str) -> list[Wanted]:
    """The budgets in a file. Raises BadInputError, which says in which one the mistake is."""
    try:
        found = yaml.safe_load(source)
    except yaml.YAMLError as error:
        raise BadInputError(f"This is not YAML: {' '.join(str(error).split())}") from None
    return several(found)


def several(found: object) -> list[Wanted]:
    """The budgets in what a file or a request says. Raises BadInputError, which says in which one
    the mistake is.
    """
    if not isinstance(found, Mapping) or found.keys() != {"budgets"}:
        raise BadInputError("Budgets are a mapping with one key, budgets.")
    listed = found["budgets"] or []
    if not isinstance(listed, list):
        raise BadInputError("budgets is a list.")
    wanted = []
    for place, item in enumerate(listed, 1):
        name = item.get("name", place) if isinstance(item, Mapping) else place
        try:
            wanted.append(single(item))
        except BadInputError as error:
            raise BadInputError(f"Budget {name!r:.120}: {error}") from None
    counted = Counter(one.definition.name for one in wanted)
    for name, times in counted.items():
        if times > 1:
            raise BadInputError(f"Budget {name!r} is there twice.")
    return wanted


def plan(session: Session, wanted: list[Wanted], *, remove_others: bool = False) -> Plan:
    """What has to change so that budgets are as wanted; others are left unless told to remove.

    To act on it, hold() before. Raises BadInputError.
    """
    for one in wanted:
        check(one.definition)
    check_names(session, (one.definition for one in wanted))
    known = {budget.name: budget for budget in store.load(session)}
    changes: list[Change] = []
    same = []
    for one in wanted:
        found = _changes(known.pop(one.definition.name, None), one)
        changes += found
        if not found:
            same.append(one.definition.name)
    if remove_others:
        changes += [Change("removed", b, b.definition) for b in known.values()]
    return Plan(tuple(changes), tuple(same), () if remove_others else tuple(known))


def apply(session: Session, wanted: list[Wanted], by: str, *, remove_others: bool = False) -> Plan:
    """Make budgets as wanted, all or none, in this transaction. Raises BadInputError."""
    sums.hold(session)
    made = plan(session, wanted, remove_others=remove_others)
    # All at once, in the order in which a check locks them: both saves below lock some.
    store.lock(session, [c.before.id for c in made.changes if c.before is not None])
    # A change of state comes on top of the version that the same file adds or edits.
    definitions = [c for c in made.changes if c.kind in ("added", "edited", "removed")]
    saved = {b.name: b for b in (store.save(session, definitions, by) if definitions else ())}
    states = [
        Change(c.kind, saved.get(c.definition.name, c.before), c.definition)
        for c in made.changes
        if c.kind in ("paused", "resumed")
    ]
    if states:
        store.save(session, states, by)
    return made


def difference(change: Change) -> dict[str, tuple[Any, Any]]:
    """The fields that a change changes: as they were, and as they will be."""
    before = {} if change.before is None else reading.written(change.before.definition)
    after = reading.written(change.definition)
    return {
        name: (before.get(name), after.get(name))
        for name in reading.FIELDS
        if (before.get(name) or None) != (after.get(name) or None)
    }


def single(item: object) -> Wanted:
    """One budget and its state. Raises BadInputError."""
    if not isinstance(item, Mapping):
        raise BadInputError("A budget is a mapping of fields.")
    said = dict(item)
    state = said.pop("state", "active")
    if state not in STATES:
        raise BadInputError("state is active or paused.")
    return Wanted(reading.read(said), state)


def _changes(before: Budget | None, wanted: Wanted) -> list[Change]:
    changes = []
    if before is None:
        changes.append(Change("added", None, wanted.definition))
    elif before.definition != wanted.definition:
        changes.append(Change("edited", before, wanted.definition))
    state = "active" if before is None else before.state
    if state != wanted.state:
        kind: Kind = "paused" if wanted.state == "paused" else "resumed"
        changes.append(Change(kind, before, wanted.definition))
    return changes
