"""Taking a run back: each of its adjustments gets one with the opposite sign.

What a request came to before the run it comes to again, to the last digit. Where somebody else has
corrected it since, that would leave a figure that nobody ever meant, so the undo refuses and says
who, or leaves those requests alone if it is told to. A later correction that has been taken back
itself, such as a later run, is none: undo in the opposite order.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from spend import adjustments
from spend.errors import SpendbeatError
from spend.pricing.origin import Origin
from spend.pricing.versions import resolve
from spend.repricing import known
from spend.repricing.runs import Run, alone, get
from spend.sql import query

_WINDOW = 50_000  # ledger ids looked at in one transaction
_DAY = timedelta(days=1)


class CorrectedSinceError(SpendbeatError):
    """Requests of the run were corrected again after it."""


@dataclass(frozen=True)
class UndoResult:
    """rows: adjustments taken back now, and delta: what that adds up to, in dollars.

    kept: left as they are, since their requests were corrected again. gone: in months that were
    sealed since, whose figures nothing changes.
    """

    run: Run
    rows: int
    delta: Decimal
    kept: int
    gone: int


def undo(
    engine: Engine,
    run_id: int,
    *,
    by: str,
    keep_corrected: bool = False,
    window: int = _WINDOW,
    on_window: Callable[[int, int], None] = lambda _done, _of: None,
) -> UndoResult:
    """Take a run back in bounded transactions; stopped at any moment, the same undo goes on.

    Raises CorrectedSinceError, with nothing changed, unless keep_corrected; BusyError where a
    repricing runs; BadInputError for an unknown run. One that is undone already is left alone.
    """
    with alone(engine):
        with Session(engine) as session, session.begin():
            run = get(session, run_id)
            binds = _binds(session, run)
        if run.undone_at or run.first_id is None:
            return _close(engine, run, by, Counter())
        if not keep_corrected:
            _refuse_if_corrected(engine, run, binds, window)
        done: Counter[str] = Counter()
        delta = Decimal(0)
        for low, high in _windows(run, window):
            with Session(engine) as session, session.begin():
                rows, more, kept = _take_back(session, run, binds | {"low": low, "high": high})
            done["rows"] += rows
            done["kept"] += kept
            delta += more
            on_window(high - run.first_id, (run.last_id or 0) - run.first_id)
        return _close(engine, run, by, done, delta)


def _binds(session: Session, run: Run) -> dict[str, Any]:
    rows = session.execute(query("repricing", "undo_versions"), {"version": str(run.id)}).all()
    backward = {id_: Origin(known.UNDO, *origin) for id_, _, *origin in rows}
    ids = resolve(session, backward.values())
    return {
        "versions": list(backward),
        "undo_versions": [ids[origin] for origin in backward.values()],
        # What a run corrects keeps its time, so no other month is looked at.
        "since": run.since,
        "until": run.until,
    }


def _windows(run: Run, width: int) -> Iterator[tuple[int, int]]:
    first, last = run.first_id or 0, run.last_id or 0
    for low in range(first, last + 1, width):
        yield low, min(low + width - 1, last)


def _refuse_if_corrected(engine: Engine, run: Run, binds: dict[str, Any], window: int) -> None:
    found: Counter[tuple[str, str]] = Counter()
    for low, high in _windows(run, window):
        with Session(engine) as session:
            rows = session.execute(query("repricing", "later"), binds | {"low": low, "high": high})
            found.update({(source, version): count for source, version, count in rows})
    if found:
        named = ", ".join(f"{_said(*by)} ({count:,} requests)" for by, count in found.items())
        raise CorrectedSinceError(
            f"Repricing {run.id} was not undone: some of its requests were corrected again later,"
            f" by {named}. Undo later repricings first, or leave such requests as they are with"
            " --keep-corrected."
        )


def _said(source: str, version: str) -> str:
    return {known.REPRICE: f"repricing {version}", known.UNDO: f"the undo of {version}"}.get(
        source, f"a cost from '{source}'"
    )


def _take_back(session: Session, run: Run, binds: dict[str, Any]) -> tuple[int, Decimal, int]:
    adjustments.lock(session)
    rows, delta = session.execute(query("repricing", "take_back"), binds).one()
    kept = session.scalars(query("repricing", "left"), binds).one()
    session.execute(query("repricing", "undone"), {"id": run.id, "rows": rows})
    return rows, delta, kept


def _close(
    engine: Engine, run: Run, by: str, done: Counter[str], delta: Decimal = Decimal(0)
) -> UndoResult:
    kept = run.kept_rows if run.undone_at else done["kept"]
    with Session(engine) as session, session.begin():
        if not run.undone_at:
            session.execute(query("repricing", "close"), {"id": run.id, "by": by, "kept": kept})
        now = get(session, run.id)
    return UndoResult(now, done["rows"], delta, kept, now.rows - now.undone_rows - kept)
