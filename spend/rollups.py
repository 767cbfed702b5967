"""Rollups: moving one shard's totals from one tick of the ledger to a later one."""

from dataclasses import dataclass
from time import perf_counter
from typing import Literal

from sqlalchemy.orm import Session

from spend import cursors, feed, ticks
from spend.budgets.sums import LOCK
from spend.cursors import News, Position
from spend.errors import SpendbeatError
from spend.sql import query


class LostRowsError(SpendbeatError):
    """A batch did not hold the rows that its ticks announced."""


@dataclass(frozen=True)
class RollupResult:
    """One batch of one shard. 'current' had nothing to count, 'busy' is another worker's.

    budgets: some moved, and wait for a check. more: the shard has further batches waiting.
    seconds: database time of this one.
    """

    provider: str
    outcome: Literal["moved", "current", "busy"]
    rows: int = 0
    buckets: int = 0
    tick_id: int | None = None
    budgets: bool = False
    more: bool = False
    seconds: float = 0.0


@dataclass(frozen=True)
class Batch:
    """Which rows to count next: between two ticks, with ids from first_id to last_id.

    expected: how many they are, where that is known (a cut batch is known only as a whole).
    """

    earlier: int
    later: int
    first_id: int
    last_id: int
    after: Position
    expected: int | None
    more: bool


def plan(position: Position, news: list[News], batch_rows: int) -> Batch | None:
    """The next batch of about `batch_rows` rows; None if there is nothing to count.

    As many ticks as fit; a single tick that does not fit is cut by ledger id, at a distance
    that holds `batch_rows` rows of this shard if they lie evenly.
    """
    if not news:
        return None
    first = news[0]
    if position.cut_tick_id is not None or first.rows > batch_rows:
        return _cut(position, news, batch_rows)
    fitting = [first]
    for item in news[1:]:
        if sum(n.rows for n in fitting) + item.rows > batch_rows:
            break
        fitting.append(item)
    later = fitting[-1].tick_id
    return Batch(
        earlier=position.tick_id,
        later=later,
        first_id=min(n.first_id for n in fitting),
        last_id=max(n.last_id for n in fitting),
        after=Position(later),
        expected=sum(n.rows for n in fitting),
        more=len(fitting) < len(news),
    )


def _cut(position: Position, news: list[News], batch_rows: int) -> Batch:
    whole = news[0]
    start = whole.first_id if position.cut_id is None else position.cut_id + 1
    width = -(-(whole.last_id - whole.first_id + 1) * batch_rows // whole.rows)
    end = min(start + max(width, 1) - 1, whole.last_id)
    done = end == whole.last_id
    return Batch(
        earlier=position.tick_id,
        later=whole.tick_id,
        first_id=start,
        last_id=end,
        after=Position(whole.tick_id) if done else Position(position.tick_id, whole.tick_id, end),
        expected=None,
        more=not done or len(news) > 1,
    )


def advance(session: Session, provider: str, batch_rows: int = 2_000_000) -> RollupResult:
    """Count a shard's next batch in this transaction: its totals and its cursor move together.

    A deterministic set of rows, so a worker that dies, a task that comes twice or two workers at
    once can delay it but not change it. Raises RestoredClusterError, LostRowsError.
    """
    started = perf_counter()
    position = cursors.take(session, provider)
    if position is None:
        return RollupResult(provider, "busy")
    batch = plan(position, cursors.news(session, provider, position), batch_rows)
    if batch is None:
        return RollupResult(provider, "current", tick_id=position.tick_id)
    rows, buckets, budgets = _apply(session, provider, batch)
    seconds = perf_counter() - started
    cursors.move(session, provider, batch.after, rows=rows, seconds=seconds)
    return RollupResult(
        provider, "moved", rows, buckets, batch.after.tick_id, budgets, batch.more, seconds
    )


def _apply(session: Session, provider: str, batch: Batch) -> tuple[int, int, bool]:
    binds = ticks.window(session, batch.earlier, batch.later)
    session.execute(query("rollups", "prepare"), {"lock": LOCK})
    # After the lock, in statements of their own: what an edit has just committed is seen.
    zone, budgets = session.execute(query("rollups", "zone")).one()
    binds |= {
        "provider": provider,
        "first_id": batch.first_id,
        "last_id": batch.last_id,
        "zone": zone,
        "budgets": budgets,
        "feed": True,
        "lines": feed.LINES,
        # In the middle of a tick there is no moment up to which all is counted.
        "counted_tick": None if batch.after.cut_tick_id else batch.after.tick_id,
    }
    rows, buckets, moved = session.execute(query("rollups", "apply"), binds).one()
    if batch.expected is not None and rows != batch.expected:
        raise LostRowsError(
            f"Shard {provider!r}: ticks {batch.earlier} to {batch.later} announced"
            f" {batch.expected} ledger rows, but {rows} were found. Nothing was counted."
            " Was the ledger changed by hand? 'spendbeat rollups rebuild' recomputes the shard."
        )
    return int(rows), int(buckets), bool(moved)
