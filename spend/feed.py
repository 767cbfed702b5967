"""Tables `feed_entries` and `feed_state`: what happened, in an order that listeners can resume.

Whoever does something puts an entry in its own transaction, without a position: a number given
before the commit would leave holes that a listener has passed when they fill. Positions are given
to committed entries, by one at a time, who holds the row of `feed_state` until its own commit.
"""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import text
from sqlalchemy.orm import Session

from spend.sql import query

# Of a batch of rollups: what most was spent on, each line an organization, team and key.
LINES = 200
# However little time has passed.
MOST_ENTRIES = 250_000
AT_ONCE = 1000
# Binds of a rollup that nobody is told of: what it counts is not new.
UNTOLD: Mapping[str, object] = {"feed": False, "lines": LINES, "counted_tick": None}
# Whoever holds the row and is not heard of again is let go by the server.
_PATIENCE = text(
    "SELECT set_config('lock_timeout', '10s', true),"
    " set_config('idle_in_transaction_session_timeout', '5s', true)"
)


@dataclass(frozen=True)
class Standing:
    """The newest position and its epoch. behind: entries wait, or the epoch is not from here."""

    epoch: str
    newest: int
    behind: bool


@dataclass(frozen=True)
class Entry:
    """kind: one of models.FEED_KINDS. at: when its transaction began."""

    position: int
    kind: str
    at: datetime
    body: dict[str, Any]


def put_alert(session: Session, alert_id: int, change: str, *, by: str) -> None:
    """Tell of a change of an alert, as it is now in this transaction."""
    session.execute(query("feed", "put_alert"), {"id": alert_id, "change": change, "by": by})


def put_reset(session: Session) -> None:
    """Tell that totals are others than the entries so far add up to."""
    session.execute(query("feed", "put"), {"kind": "reset", "body": "{}"})


def standing(session: Session) -> Standing:
    """How far the feed is numbered."""
    origin = session.scalar(query("feed", "origin"))
    found = session.execute(query("feed", "standing")).one_or_none()
    if found is None:
        return Standing("", 0, behind=True)
    return Standing(found.epoch, found.newest, behind=found.waiting or found.origin != origin)


def number(session: Session, most: int = AT_ONCE) -> bool:
    """Give positions to what is committed, in this transaction, which is to end at once.

    Whether there is more. It has to be READ COMMITTED: what it sees must be newer than the lock.
    """
    session.execute(_PATIENCE)
    newest = _hold(session)
    binds = {"newest": newest, "most": most}
    return int(session.scalars(query("feed", "number"), binds).one()) == newest + most


def _hold(session: Session) -> int:
    """Lock the state, in an epoch of this origin; the newest position."""
    origin = session.scalars(query("feed", "origin")).one()
    held = session.execute(query("feed", "hold")).one_or_none()
    if held is None:
        session.execute(query("feed", "begin"), {"epoch": "", "origin": ""})
        held = session.execute(query("feed", "hold")).one()
    if held.origin != origin:
        _begin_anew(session, origin)
        held = session.execute(query("feed", "hold")).one()
    return int(held.newest)


def _begin_anew(session: Session, origin: str) -> None:
    """Another epoch, below the lock: no id from before can be gone on from."""
    binds = {"epoch": secrets.token_hex(6), "origin": origin}
    session.execute(query("feed", "begin_anew"), binds)


def page(session: Session, after: int, most: int) -> list[Entry]:
    """Entries after a position. One that does not begin with the next position has lost some."""
    rows = session.execute(query("feed", "page"), {"after": after, "most": most})
    return [Entry(row.position, row.kind, row.at, orjson.loads(row.body)) for row in rows]


def prune(session: Session, before: datetime, most: int = MOST_ENTRIES) -> int:
    """Forget entries from before a moment, and all but the newest so many; how many.

    What goes without a position leaves no hole that anybody could find, so an epoch begins.
    """
    _hold(session)
    binds = {"before": before, "most": most}
    numbered = session.execute(query("feed", "prune"), binds)
    waiting = session.execute(query("feed", "prune_waiting"), binds)
    unheard = int(waiting.rowcount)  # type: ignore[attr-defined]  # of a DELETE
    if unheard:
        _begin_anew(session, session.scalars(query("feed", "origin")).one())
    return int(numbered.rowcount) + unheard  # type: ignore[attr-defined]  # likewise
