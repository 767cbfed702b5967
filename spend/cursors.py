"""Where each shard's rollups are: the one module that writes `cursors`."""

from collections.abc import Iterable
from dataclasses import dataclass

from sqlalchemy.orm import Session

from spend.sql import query


@dataclass(frozen=True)
class Position:
    """Everything visible in tick_id is counted, and up to cut_id of what leads to cut_tick_id."""

    tick_id: int
    cut_tick_id: int | None = None
    cut_id: int | None = None


@dataclass(frozen=True)
class News:
    """What one tick brought to a shard: how many rows, and between which ledger ids."""

    tick_id: int
    rows: int
    first_id: int
    last_id: int


def open_for(session: Session, providers: Iterable[str], tick_id: int) -> None:
    """Give providers that have none a cursor at a tick in which none of their rows is visible."""
    for provider in providers:
        session.execute(query("cursors", "open"), {"provider": provider, "tick": tick_id})


def lagging(session: Session) -> tuple[str, ...]:
    """The shards that have something to count, by name."""
    return tuple(session.scalars(query("cursors", "lagging")))


def take(session: Session, provider: str, *, wait: bool = False) -> Position | None:
    """Lock a shard's cursor until the transaction ends; None if another worker has it."""
    name = "wait" if wait else "take"
    row = session.execute(query("cursors", name), {"provider": provider}).one_or_none()
    return Position(*row) if row else None


def news(session: Session, provider: str, position: Position) -> list[News]:
    """What lies ahead of a position, oldest first."""
    rows = session.execute(
        query("cursors", "news"), {"provider": provider, "tick": position.tick_id}
    )
    return [News(*row) for row in rows]


def move(session: Session, provider: str, position: Position, *, rows: int, seconds: float) -> None:
    """Record that a batch of `rows` ledger rows, taking `seconds`, has been counted."""
    session.execute(
        query("cursors", "move"),
        {
            "provider": provider,
            "tick": position.tick_id,
            "cut_tick": position.cut_tick_id,
            "cut_id": position.cut_id,
            "rows": rows,
            "seconds": seconds,
        },
    )


def reset(session: Session, provider: str, tick_id: int) -> None:
    """Put a shard at a tick at which its rollups were recomputed."""
    session.execute(query("cursors", "reset"), {"provider": provider, "tick": tick_id})
