"""Tables `budgets`, `budget_versions` and `budget_queries`: every change is a version."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from operator import itemgetter
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import RowMapping, func, insert, select, update
from sqlalchemy.orm import Session

from models import Budget as Row
from models import BudgetQuery, BudgetVersion
from spend.budgets import guarding, sums
from spend.budgets.checking import check, check_names
from spend.budgets.definition import Budget, Definition, Threshold
from spend.errors import TakenError, UnknownError
from spend.sql import query

Kind = Literal["added", "edited", "paused", "resumed", "removed"]
_STATE = {"added": "active", "paused": "paused", "resumed": "active", "removed": "removed"}


@dataclass(frozen=True)
class Change:
    """What becomes of a budget; `before` is None for one that is added."""

    kind: Kind
    before: Budget | None
    definition: Definition

    @property
    def state(self) -> str:
        """The state it has afterwards."""
        return _STATE.get(self.kind) or (self.before.state if self.before else "active")


def load(
    session: Session, ids: Collection[int] | None = None, *, removed: bool = False
) -> list[Budget]:
    """Budgets as they are now, by name; also removed ones where asked for."""
    binds = {"ids": list(ids) if ids is not None else None, "removed": removed}
    return [_budget(row) for row in session.execute(query("budgets", "listed"), binds).mappings()]


def find(session: Session, which: str, *, removed: bool = False) -> Budget:
    """A budget by its name or number. Raises UnknownError."""
    found = [
        budget
        for budget in load(session, removed=removed)
        if which in (budget.name, str(budget.id))
    ]
    if not found:
        raise UnknownError(f"There is no budget {which!r:.120}; see 'spendbeat budgets list'.")
    return max(found, key=lambda budget: (budget.state != "removed", budget.id))


def history(session: Session, budget: Budget) -> list[Budget]:
    """Every version of a budget, oldest first."""
    rows = session.execute(query("budgets", "history"), {"budget": budget.id})
    return [_budget(row) for row in rows.mappings()]


def add(session: Session, definition: Definition, by: str) -> Budget:
    """Make a budget; what it has spent so far is there at once. Raises BadInputError."""
    return save(session, [Change("added", None, definition)], by)[0]


def change(session: Session, before: Budget, definition: Definition, by: str) -> Budget:
    """Let a budget say something else; right at once for every period. Raises BadInputError.

    `before` was read under sums.hold().
    """
    if definition == before.definition:
        return before
    return save(session, [Change("edited", before, definition)], by)[0]


def set_state(session: Session, which: str, kind: Kind, by: str) -> Budget:
    """Pause, resume or remove. A paused budget counts and tells nobody. Raises BadInputError."""
    sums.hold(session)
    before = find(session, which)
    if before.state == _STATE[kind]:
        return before
    return save(session, [Change(kind, before, before.definition)], by)[0]


def lock(session: Session, ids: Collection[int]) -> None:
    """Keep checks and edits of budgets waiting until the transaction ends."""
    rows = select(Row.id).where(Row.id.in_(ids)).order_by(Row.id)
    session.execute(rows.with_for_update(key_share=True))


def save(session: Session, changes: Sequence[Change], by: str) -> list[Budget]:
    """Make changes in this transaction, spend included, and return the budgets as they are then.

    Rollups wait from here to the commit. `before` of each change was read under sums.hold().
    Raises BadInputError; nothing is changed then.
    """
    for change in changes:
        check(change.definition)
    check_names(session, (change.definition for change in changes if change.kind != "removed"))
    sums.hold(session)
    _check_unique(session, changes)
    queries = _queries(session, [change.definition for change in changes])
    moved = [change for change in changes if _moves(change)]
    ids = _write(session, changes, queries, by)
    session.execute(query("budgets", "forget_queries"))
    by_change = dict(zip(map(id, changes), ids, strict=True))
    if moved:
        sums.recompute(session, [by_change[id(change)] for change in moved])
    found = {budget.id: budget for budget in load(session, ids, removed=True)}
    return [found[id_] for id_ in ids]


def _arms(change: Change) -> bool:
    """Whether crossings of the current period count from now on, also those told already."""
    if change.before is None:
        return True
    old, new = change.before.definition, change.definition
    return (old.digest, old.limits) != (new.digest, new.limits)


def _moves(change: Change) -> bool:
    """Whether a change decides about what is spent in which period."""
    if change.before is None or change.kind == "removed":
        return True
    return change.before.definition.digest != change.definition.digest


def _check_unique(session: Session, changes: Sequence[Change]) -> None:
    names = [change.definition.name for change in changes if change.kind != "removed"]
    touched = [change.before.id for change in changes if change.before is not None]
    binds = {"names": names, "ids": touched}
    taken = Counter([*names, *session.scalars(query("budgets", "namesakes"), binds)])
    if twice := [name for name, times in taken.items() if times > 1]:
        raise TakenError(f"There is a budget {twice[0]!r} already.")


def _queries(session: Session, definitions: Iterable[Definition]) -> dict[UUID, int]:
    """The id of what each definition asks; recorded where it is new."""
    wanted = {definition.digest: definition for definition in definitions}
    known = query("budgets", "known_queries")
    binds = {"digests": [str(digest) for digest in wanted]}
    found = {UUID(str(digest)): id_ for digest, id_ in session.execute(known, binds)}
    counted: Counter[str] = Counter()
    for key, times in session.execute(query("budgets", "anchors")):
        counted[key] = times
    rows = []
    for digest in wanted.keys() - found.keys():
        definition = wanted[digest]
        counted.update(definition.keys)
        calendar = definition.calendar
        rows.append(
            {
                "digest": digest,
                "anchor": min(definition.keys, key=lambda key: (counted[key], key), default=""),
                "keys": definition.keys,
                "period": calendar.period,
                "zone": calendar.zone,
                "week_start": calendar.week_start if calendar.period == "week" else 1,
                "starts_on": calendar.starts_on,
                "ends_on": calendar.ends_on,
            }
        )
    if rows:
        made = insert(BudgetQuery).returning(BudgetQuery.digest, BudgetQuery.id)
        found.update((digest, id_) for digest, id_ in session.execute(made, rows))
    return found


def _write(
    session: Session, changes: Sequence[Change], queries: Mapping[UUID, int], by: str
) -> list[int]:
    """The budgets and their versions; returns ids in the order of the changes."""
    added = [
        {"name": c.definition.name, "query_id": queries[c.definition.digest], "created_by": by}
        for c in changes
        if c.before is None
    ]
    fresh: list[int] = []
    if added:
        made = insert(Row).returning(Row.id, sort_by_parameter_order=True)
        fresh = list(session.scalars(made, added))
    new_ids = iter(fresh)
    now = session.scalar(func.now())
    ids = [next(new_ids) if c.before is None else c.before.id for c in changes]
    updated = [
        {
            "id": c.before.id,
            "name": c.definition.name,
            "state": c.state,
            "version": c.before.version + 1,
            "query_id": queries[c.definition.digest],
            "arming": c.before.version + 1 if _arms(c) else c.before.arming,
            # The transaction's time, as of the version that arms it.
            "armed_at": now if _arms(c) else c.before.armed_at,
        }
        for c in changes
        if c.before is not None
    ]
    if updated:
        # In the order in which a check locks them.
        session.execute(update(Row), sorted(updated, key=itemgetter("id")))
    versions = [_version(c, id_, by) for c, id_ in zip(changes, ids, strict=True)]
    session.execute(insert(BudgetVersion), versions)
    return ids


def _version(change: Change, id_: int, by: str) -> dict[str, Any]:
    definition = change.definition
    return {
        "budget_id": id_,
        "version": 1 if change.before is None else change.before.version + 1,
        "changed_by": by,
        "change": change.kind,
        "name": definition.name,
        "scope": dict(definition.scope),
        "period": definition.period,
        "zone": definition.zone,
        "week_start": definition.week_start,
        "starts_on": definition.starts_on,
        "ends_on": definition.ends_on,
        "soft_limit": definition.soft_limit,
        "hard_limit": definition.hard_limit,
        "thresholds": [threshold.stored() for threshold in definition.thresholds],
        "raise_by": definition.raise_by,
        "raise_until": definition.raise_until,
        "note": definition.note,
        **{name: getattr(definition, name) for name in guarding.COLUMNS},
    }


_ITSELF = ("id", "state", "version", "created_at", "created_by", "arming", "armed_at",
           "changed_at", "changed_by", "change")  # fmt: skip


def _budget(row: RowMapping) -> Budget:
    said: dict[str, Any] = {name: row[name] for name in row if name not in _ITSELF}
    said["thresholds"] = tuple(_threshold(stored) for stored in row["thresholds"])
    return Budget(definition=Definition(**said), **{name: row[name] for name in _ITSELF})


def _threshold(stored: Mapping[str, Any]) -> Threshold:
    percent, amount = stored.get("percent"), stored.get("amount")
    return Threshold(
        None if percent is None else Decimal(percent),
        None if amount is None else Decimal(amount),
        stored["basis"],
        stored["severity"],
        tuple(stored["channels"]),
        stored.get("escalate_after"),
        tuple(stored.get("escalate_to", ())),
    )
