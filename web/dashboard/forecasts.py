"""How budgets stand now, with forecasts that may be a minute old.

A forecast reads what a scope spent on each of many days, which takes far longer than all else on a
page; open pages would ask for it once a second, and it hardly moves.
"""

import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime
from weakref import WeakKeyDictionary

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from spend.budgets import standing
from spend.budgets.standing import BudgetStatus
from spend.forecast import Forecast

SECONDS = 60.0
_MOST = 10_000

# Of a version of a budget in one of its periods: until when it is good, and what was said.
_Key = tuple[int, int, date]
_Said = tuple[float, Forecast | None, str | None]
_known: WeakKeyDictionary[Engine, dict[_Key, _Said]] = WeakKeyDictionary()


def stands(session: Session, now: datetime, ids: Sequence[int]) -> list[BudgetStatus]:
    """Some budgets in their current period, by name; what they spent is of this moment."""
    known = _known.setdefault(session.get_bind().engine, {})
    plain = standing.status(session, now, ids, with_forecast=False)
    due = [one.budget.id for one in plain if _old(known.get(_key(one)))]
    if due:
        if len(known) > _MOST:
            known.clear()
        for one in standing.status(session, now, due):
            known[_key(one)] = (time.monotonic() + SECONDS, one.forecast, one.silent)
    return [_with(one, known.get(_key(one))) for one in plain]


def _key(one: BudgetStatus) -> _Key:
    return one.budget.id, one.budget.version, one.span.first


def _old(said: _Said | None) -> bool:
    return said is None or said[0] < time.monotonic()


def _with(one: BudgetStatus, said: _Said | None) -> BudgetStatus:
    if said is None:
        return one
    _, expected, silent = said
    if expected is not None:
        # Nothing ends below what is spent already.
        expected = Forecast(*(max(figure, one.spend) for figure in expected))
    return replace(one, forecast=expected, silent=silent)
