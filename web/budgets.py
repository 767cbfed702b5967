"""Budgets: made, found, changed, paused, removed; how they stand; a whole file of them."""

from datetime import UTC, datetime
from typing import Any

from fastapi import APIRouter
from sqlalchemy.orm import Session

from spend.budgets import files, lookup, reading, saying, standing, store, sums
from spend.budgets.definition import Budget
from spend.budgets.lookup import Place
from spend.budgets.store import Kind
from spend.errors import BadInputError
from web import asking, refusals
from web.calls import Answer, Call, Calls, Door
from web.described import budgets as described
from web.refusals import Refusal

_LOOK = ("read", "budgets")
_CHANGE = ("budgets",)
_MOST_WITH_STATUS = 100
_MOST_PERIODS = 400
_PERIODS = 12
_FILE = 16 << 20
_MOST_BUDGETS = 10_000


def listed(call: Call) -> Answer:
    """A page of budgets; with status how each stands, which reads what it spent day by day."""
    asking.only(call, "limit", "after", "removed", "status")
    with_status = asking.flag(call, "status")
    most = asking.count(call, most=_MOST_WITH_STATUS if with_status else asking.MOST)
    after = asking.place(call)
    removed = asking.flag(call, "removed")
    with call.looking() as session:
        # One more, to know whether there are others.
        found = lookup.page(session, most + 1, after and Place(*after), removed=removed)
        shown = found[:most]
        stands = _status(session, [budget.id for budget in shown]) if with_status else {}
    said = [saying.budget(budget) for budget in shown]
    if with_status:
        said = [{**one, "status": stands.get(one["id"])} for one in said]
    following = asking.next_place(shown[-1].name, shown[-1].id) if len(found) > most else None
    return Answer({"budgets": said, "next": following})


def shown(call: Call) -> Answer:
    """One budget, how it stands, and its newest periods; also a removed one."""
    asking.only(call, "periods")
    periods = asking.count(call, "periods", _PERIODS, _MOST_PERIODS)
    with call.looking() as session:
        found = lookup.find(session, call.path["which"], removed=True)
        past = standing.past(session, found, periods)
        stands = _status(session, [found.id])
    said = {
        **saying.budget(found),
        "status": stands.get(found.id),
        "periods": [saying.period(one) for one in past],
    }
    return Answer(said, headers={"ETag": _tag(found)})


def history(call: Call) -> Answer:
    """Every version of a budget, oldest first, a page at a time."""
    asking.only(call, "limit", "after")
    most = asking.count(call)
    after = asking.place(call) or ("", 0)
    with call.looking() as session:
        found = store.history(session, lookup.find(session, call.path["which"], removed=True))
    rest = [version for version in found if version.version > after[1]]
    following = asking.next_place("", rest[most - 1].version) if len(rest) > most else None
    said = [saying.budget(version) for version in rest[:most]]
    return Answer({"versions": said, "next": following})


def add(call: Call) -> Answer:
    """Make a budget; what its scope has spent so far is counted at once."""
    asking.only(call)
    wanted = files.single(call.said)
    with call.changing() as session:
        made = store.add(session, wanted.definition, call.by)
        if wanted.state == "paused":
            made = store.set_state(session, str(made.id), "paused", call.by)
    headers = {"Location": f"/budgets/{made.id}", "ETag": _tag(made)}
    return Answer(saying.budget(made), 201, headers)


def edit(call: Call) -> Answer:
    """Change what is said; the rest stays."""
    asking.only(call)
    said = {name: value for name, value in call.said.items() if name not in ("state", "version")}
    state = call.said.get("state")
    if state is not None and state not in files.STATES:
        raise BadInputError("state is active or paused; DELETE removes a budget.")
    with call.changing() as session:
        found = _held(session, call)
        after = store.change(session, found, reading.read(said, found.definition), call.by)
        if state not in (None, after.state):
            kind: Kind = "paused" if state == "paused" else "resumed"
            after = store.set_state(session, str(after.id), kind, call.by)
    return _answer(after)


def pause(call: Call) -> Answer:
    """Let a budget tell nobody; it goes on counting."""
    return _set(call, "paused")


def resume(call: Call) -> Answer:
    """Let a paused budget tell again."""
    return _set(call, "resumed")


def remove(call: Call) -> Answer:
    """Remove a budget for good; its history stays."""
    return _set(call, "removed")


def apply(call: Call) -> Answer:
    """Make budgets what a list says, all or none; the same list again changes nothing."""
    asking.only(call, "dry_run", "remove_others")
    dry = asking.flag(call, "dry_run")
    others = asking.flag(call, "remove_others")
    wanted = files.several(call.said)
    if len(wanted) > _MOST_BUDGETS:
        raise refusals.too_large(
            f"{len(wanted):,} budgets in one request; the limit is {_MOST_BUDGETS:,}."
        )
    if dry:
        with call.looking() as session:
            plan = files.plan(session, wanted, remove_others=others)
    else:
        with call.changing() as session:
            plan = files.apply(session, wanted, call.by, remove_others=others)
    return Answer(saying.plan(plan, applied=not dry))


def _set(call: Call, kind: Kind) -> Answer:
    asking.only(call)
    if unknown := sorted(call.said.keys() - {"version"}):
        raise BadInputError(f"{unknown[0]!r:.60} says nothing here; the body can have version.")
    with call.changing() as session:
        found = _held(session, call)
        after = store.set_state(session, str(found.id), kind, call.by)
    return _answer(after)


def _held(session: Session, call: Call) -> Budget:
    """The budget of the path, which nobody else changes until the end of the transaction."""
    sums.hold(session)
    found = lookup.find(session, call.path["which"])
    _match(call, found)
    return found


def _answer(budget: Budget) -> Answer:
    return Answer(saying.budget(budget), headers={"ETag": _tag(budget)})


def _status(session: Session, ids: list[int]) -> dict[int, dict[str, Any]]:
    return {
        one.budget.id: saying.status(one)
        for one in standing.status(session, datetime.now(UTC), ids)
    }


def _tag(budget: Budget) -> str:
    """The ETag of a budget as it is now."""
    return f'"{budget.id}.{budget.version}"'


def _match(call: Call, budget: Budget) -> None:
    """Refuse where the caller changes a budget that somebody else changed meanwhile.

    If-Match is the ETag of what was read; `version` in the body says the same in a number.
    """
    wanted = call.headers.get("if-match")
    if wanted is not None and wanted.strip() != "*":
        tags = {one.strip() for one in wanted.split(",")}
        if _tag(budget) not in tags:
            raise Refusal(412, "changed", _changed(budget))
    version = call.said.get("version")
    if version is None:
        return
    if not isinstance(version, int) or isinstance(version, bool):
        raise BadInputError("version is a number.")
    if version != budget.version:
        raise Refusal(409, "changed", _changed(budget))


def _changed(budget: Budget) -> str:
    return (
        f"Budget {budget.name!r} is at version {budget.version}, of"
        f" {budget.changed_at:%Y-%m-%d %H:%M:%S} UTC by {budget.changed_by or 'nobody named'}:"
        " read it again, and change that."
    )


_ONE = "/budgets/{which}"
DOORS = (
    Door("GET", "/budgets", "List budgets", listed, _LOOK, extra=described.LIST),
    Door("POST", "/budgets", "Make a budget", add, _CHANGE, "change", extra=described.ADD),
    Door(
        "PUT", "/budgets", "Apply a list of budgets", apply, _CHANGE, "change", _FILE,
        described.APPLY,
    ),
    Door("GET", _ONE, "Show a budget", shown, _LOOK, extra=described.SHOW),
    Door("PATCH", _ONE, "Change a budget", edit, _CHANGE, "change", extra=described.EDIT),
    Door("DELETE", _ONE, "Remove a budget", remove, _CHANGE, "change", extra=described.STATE),
    Door(
        "POST", f"{_ONE}/pause", "Pause a budget", pause, _CHANGE, "change", extra=described.STATE
    ),
    Door(
        "POST", f"{_ONE}/resume", "Resume a budget", resume, _CHANGE, "change",
        extra=described.STATE,
    ),
    Door("GET", f"{_ONE}/history", "History of a budget", history, _LOOK, extra=described.HISTORY),
)  # fmt: skip


def router(calls: Calls) -> APIRouter:
    """Routes under /budgets."""
    return calls.router(DOORS)
