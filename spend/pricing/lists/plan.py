"""What importing a list changes: a pure decision, and recording it."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import text
from sqlalchemy.orm import Session

from spend.errors import BadInputError
from spend.pricing import overrides
from spend.pricing.lists.entries import Entry, Skipped
from spend.pricing.overrides import Override, Wanted
from spend.pricing.rates import Tier
from spend.pricing.tiers import checked, to_json

_CHUNK = 500


class Change(NamedTuple):
    """A price that an import records; `before` is what the list said of that time so far."""

    wanted: Wanted
    before: tuple[Tier, ...] | None


@dataclass(slots=True)
class Plan:
    """What an import does. gone: models that the list had and the file has not; they stay."""

    list_: str
    changes: list[Change] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    gone: list[tuple[str, str]] = field(default_factory=list)
    same: int = 0

    @property
    def new(self) -> int:
        """How many models or times the list did not have."""
        return sum(change.before is None for change in self.changes)

    @property
    def changed(self) -> int:
        """How many prices are others than before."""
        return len(self.changes) - self.new


def plan(
    existing: Iterable[Override],
    entries: Iterable[Entry],
    skipped: Iterable[Skipped],
    *,
    list_: str,
    since: datetime,
) -> Plan:
    """Compare a list's file with what was imported of it before.

    A price without a time of its own is valid from `since` until the next one that the list has,
    so the order in which files of different days are imported does not matter.
    """
    had: defaultdict[tuple[str, str], list[Override]] = defaultdict(list)
    for price in existing:
        if price.list == list_ and not price.withdrawn:
            had[price.provider.lower(), price.model.lower()].append(price)
    found, seen = Plan(list_, skipped=list(skipped)), set()
    for entry in entries:
        name = entry.provider.lower(), entry.model.lower()
        seen.add(name)
        try:
            checked(entry.tiers)
        except BadInputError as error:
            found.skipped.append(Skipped(f"{entry.provider} {entry.model}", str(error)))
            continue
        if (change := _change(entry, had[name], since)) is None:
            found.same += 1
        else:
            found.changes.append(change)
    found.gone = sorted(
        (prices[-1].provider, prices[-1].model)
        for name, prices in had.items()
        if name not in seen and _at(prices, since)
    )
    return found


def apply(
    session: Session, planned: Plan, *, note: str = "", on_progress: Callable[[int], None]
) -> None:
    """Record what a plan says, in the caller's transaction."""
    wanted = [change.wanted for change in planned.changes]
    for first in range(0, len(wanted), _CHUNK):
        chunk = wanted[first : first + _CHUNK]
        overrides.add_all(session, chunk, list_=planned.list_, note=note)
        on_progress(first + len(chunk))


def lock(session: Session, list_: str) -> None:
    """Hold off other imports of a list until the transaction ends."""
    lock = text("SELECT pg_advisory_xact_lock(hashtextextended('price list ' || :name, 0))")
    session.execute(lock, {"name": list_})


def _change(entry: Entry, had: Sequence[Override], since: datetime) -> Change | None:
    start = entry.valid_from or since
    now = _at(had, start)
    if (
        now is not None
        and to_json(now.tiers) == to_json(entry.tiers)
        and (entry.valid_to is None or now.until == entry.valid_to)
    ):
        return None
    following = [price.valid_from for price in had if price.valid_from > start]
    end = entry.valid_to or min(following, default=None)
    wanted = Wanted(entry.provider, entry.model, start, end, entry.tiers)
    return Change(wanted, None if now is None else now.tiers)


def _at(prices: Sequence[Override], moment: datetime) -> Override | None:
    """The price that holds at a moment: of several the one recorded last."""
    valid = (
        price
        for price in prices
        if price.valid_from <= moment and (price.until is None or moment < price.until)
    )
    return max(valid, key=lambda price: price.id, default=None)
