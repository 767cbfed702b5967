"""The rules that the service publishes, and which of them a call is under."""

import json
from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from decimal import Decimal
from typing import Any, NamedTuple, TypeVar

from spendbeat_gateway.guard.attributing import FIELDS, fill, spread

_CACHED_CALLS = 1 << 12
_FOREVER = float("inf")
_ANY = ""  # the anchor of a rule that every call is under


class Period(NamedTuple):
    """first: its name. starts, ends: seconds since 1970, None for all of time."""

    first: str
    starts: float | None
    ends: float | None

    def has(self, now: float) -> bool:
        return (self.starts is None or self.starts <= now) and (
            self.ends is None or now < self.ends
        )


@dataclass(frozen=True)
class Budget:
    """per_minute: requests above the soft limit, None where it blocks only. ceiling: per token."""

    id: int
    name: str
    counter: str
    keys: frozenset[str]
    per_minute: int | None
    fails_open: bool
    allowance: int
    unpriced: str
    ceiling: Decimal
    periods: tuple[Period, ...]

    def period(self, now: float) -> Period | None:
        """The period that a moment is in; None when there is none, so the budget asks nothing.

        A calendar's two periods are this one and the next: who is before them has a slow clock. A
        range is one period, which may be over.
        """
        for period in self.periods:
            if period.has(now):
                return period
        if len(self.periods) > 1 and self.periods[0].starts is not None:
            return self.periods[0] if now < self.periods[0].starts else None
        return None

    def old(self, now: float) -> bool:
        """Whether the service has not said for so long which period it is that nobody knows."""
        last = self.periods[-1] if len(self.periods) > 1 else None
        return last is not None and last.ends is not None and now >= last.ends


@dataclass(frozen=True)
class Rate:
    id: int
    name: str
    keys: frozenset[str]
    per_minute: int


_R = TypeVar("_R", Budget, Rate)


@dataclass(frozen=True)
class Matched:
    """What a call is under. names, limits: for the script; since, until: when this holds."""

    budgets: tuple[Budget, ...]
    periods: tuple[Period, ...]
    rates: Mapping[str, Rate]
    counters: tuple[str, ...]
    names: str
    limits: str
    ceiling: Decimal
    blocks_unpriced: Budget | None
    old: bool
    since: float
    until: float

    def __bool__(self) -> bool:
        return bool(self.budgets or self.rates)

    def only(self, counters: Collection[str]) -> "Matched":
        """With the budgets of some of the counters, and all rates."""
        found = [
            (budget, period)
            for budget, period, name in zip(self.budgets, self.periods, self.counters, strict=True)
            if name in counters
        ]
        return _matched(found, self.rates, self.since, self.until)

    def ends(self, position: int) -> datetime | None:
        end = self.periods[position].ends
        return None if end is None else datetime.fromtimestamp(end, timezone.utc)


class Rules:
    """One version of the rules. Raises ValueError or KeyError for what are none."""

    def __init__(self, text: str | bytes) -> None:
        said = json.loads(text)
        self.version = str(said["version"])
        self._attribution: list[Mapping[str, Any]] = list(said.get("attribution") or ())
        budgets = [_budget(one) for one in said["budgets"]]
        self._turns = sorted(_turns(budgets, self._attribution))
        self._budgets = _by_anchor(budgets)
        self._rates = _by_anchor([_rate(one) for one in said.get("rates") or ()])
        self._known: dict[tuple[object, ...], Matched] = {}

    def match(
        self, attribution: Mapping[str, object], provider: str, model: str, now: float
    ) -> Matched:
        """The budgets and rates that a call is under at a time in seconds since 1970."""
        tags = attribution.get("tags")
        if isinstance(tags, str):
            tags = tags.split(",")
        many = tags if isinstance(tags, list | tuple | set | frozenset) else ()
        listed = tuple(map(_text, many))
        names = tuple(_text(attribution.get(field)) for field in FIELDS)
        call = (provider, model, listed, names)
        known = self._known.get(call)
        if known is None or not known.since <= now < known.until:
            known = self._match(names, listed, provider, model, now)
            if len(self._known) >= _CACHED_CALLS:
                self._known.clear()  # somebody's user_id has a value per request
            self._known[call] = known
        return known

    def _match(
        self,
        names: tuple[str, ...],
        tags: tuple[str, ...],
        provider: str,
        model: str,
        now: float,
    ) -> Matched:
        provider = provider.strip()
        model = model.strip().removeprefix(provider + "/")
        said = spread(dict(zip(FIELDS, names, strict=True)), filter(None, tags))
        if self._attribution:
            said = fill(self._attribution, said, provider, model, now)
        keys = set(_keys(said, provider, model))
        found = [
            (budget, period)
            for budget in _under(self._budgets, keys)
            for period in (budget.period(now),)
            if period is not None or budget.old(now)
        ]
        rates = {str(rate.id): rate for rate in _under(self._rates, keys)}
        turn = bisect_right(self._turns, now)
        since = self._turns[turn - 1] if turn else -_FOREVER
        until = self._turns[turn] if turn < len(self._turns) else _FOREVER
        return _matched(found, rates, since, until)


def _turns(budgets: Iterable[Budget], attribution: Iterable[Mapping[str, Any]]) -> set[float]:
    """The moments at which what a call is under may change."""
    turns = {rule.get(end) for rule in attribution for end in ("from", "to")}
    turns |= {at for one in budgets for period in one.periods for at in period[1:]}
    return {float(turn) for turn in turns if turn is not None}


def _matched(
    found: Sequence[tuple[Budget, Period | None]],
    rates: Mapping[str, Rate],
    since: float,
    until: float,
) -> Matched:
    current = [(budget, period) for budget, period in found if period is not None]
    counters = tuple(f"{budget.counter}:{period.first}" for budget, period in current)
    limits = [f"{name}={rate.per_minute}" for name, rate in rates.items()]
    limits += [
        f"b{budget.id}={budget.per_minute}={position}"
        for position, (budget, _) in enumerate(current, 1)
        if budget.per_minute is not None
    ]
    budgets = tuple(budget for budget, _ in current)
    return Matched(
        budgets=budgets,
        periods=tuple(period for _, period in current),
        rates=rates,
        counters=counters,
        names=" ".join(counters),
        limits=" ".join(limits),
        ceiling=max(
            (one.ceiling for one in budgets if one.unpriced == "ceiling"),
            default=Decimal(0),
        ),
        blocks_unpriced=next((one for one in budgets if one.unpriced == "block"), None),
        old=len(current) < len(found),
        since=since,
        until=until,
    )


def _keys(said: Mapping[str, object], provider: str, model: str) -> Iterator[str]:
    yield f"provider={provider}"
    yield f"model={model}"
    yield from (f"{field}={value}" for field in FIELDS if (value := said.get(field)))
    tags = said["tags"]
    if isinstance(tags, list):
        yield from (f"tag={tag}" for tag in tags)


def _text(value: object) -> str:
    """As the ledger writes it: without spaces around, a number as its text, nothing as ""."""
    if isinstance(value, str):
        return value.strip()
    return str(value) if isinstance(value, int) else ""


def _under(rules: dict[str, list[_R]], keys: set[str]) -> list[_R]:
    """The rules all of whose keys a call has, by id; only those filed under one of its keys."""
    found = [
        rule for anchor in (_ANY, *keys) for rule in rules.get(anchor, ()) if rule.keys <= keys
    ]
    return sorted(found, key=lambda rule: rule.id)


def _by_anchor(rules: list[_R]) -> dict[str, list[_R]]:
    """Each rule under the one of its keys that the fewest others have."""
    have: dict[str, int] = {}
    for rule in rules:
        for key in rule.keys:
            have[key] = have.get(key, 0) + 1
    filed: dict[str, list[_R]] = {}
    for rule in rules:
        anchor = min(rule.keys, key=lambda key: (have[key], key), default=_ANY)
        filed.setdefault(anchor, []).append(rule)
    return filed


def _budget(said: Mapping[str, Any]) -> Budget:
    per_minute = said.get("per_minute")
    return Budget(
        id=int(said["id"]),
        name=str(said["name"]),
        counter=str(said["counter"]),
        keys=frozenset(said["keys"]),
        per_minute=int(per_minute)
        if said.get("enforce") == "throttle" and per_minute is not None
        else None,
        fails_open=said.get("unreachable") != "closed",
        allowance=int(said.get("allowance") or 0),
        unpriced=str(said.get("unpriced") or "allow"),
        ceiling=Decimal(said.get("ceiling") or 0),
        periods=tuple(
            Period(str(one["first"]), one.get("starts"), one.get("ends")) for one in said["periods"]
        ),
    )


def _rate(said: Mapping[str, Any]) -> Rate:
    return Rate(
        id=int(said["id"]),
        name=str(said["name"]),
        keys=frozenset(said["keys"]),
        per_minute=int(said["per_minute"]),
    )
