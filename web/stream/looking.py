"""Looks into the feed, by threads: positions are given, entries and tokens read in one moment."""

from collections.abc import Collection
from dataclasses import dataclass

import orjson
from fastapi.sse import format_sse_event
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from spend import feed, tokens
from spend.feed import Entry, Standing
from spend.feed_events import told
from spend.tenancy import Binding
from web.stream.listeners import MOST_WAITING, Place

# Of one look, for all listeners; and for one that resumes, who may be slow to take it.
ENTRIES = MOST_WAITING // 2
PART_ENTRIES = 100
PART_BYTES = 64 * 1024


@dataclass(frozen=True)
class Seen:
    """One moment. live: which of the tokens that were asked about are not revoked."""

    standing: Standing
    entries: list[Entry]
    live: frozenset[int]

    def follows(self, after: int) -> bool:
        """Whether nothing is missing between a position and these entries."""
        if not self.entries:
            return after == self.standing.newest
        return self.entries[0].position == after + 1


def look(engine: Engine, after: int | None, ids: Collection[int], most: int = ENTRIES) -> Seen:
    """Entries after a position (None: none of them), and which of these tokens are live."""
    options = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
    with Session(engine) as session, session.begin():
        session.connection(execution_options=options)
        standing = feed.standing(session)
        entries = [] if after is None else feed.page(session, after, most)
        return Seen(standing, entries, tokens.live(session, ids))


def look_and_number(engine: Engine, after: int | None, ids: Collection[int]) -> Seen:
    """The same, once all that is committed has a position."""
    while (seen := look(engine, after, ids)).standing.behind:
        with Session(engine) as session, session.begin():
            feed.number(session)
    return seen


@dataclass(frozen=True)
class Part:
    """Of what a listener missed. place: up to where. None: that cannot be told any more."""

    events: list[tuple[str, bytes]]
    place: Place | None
    live: bool


def part(
    engine: Engine, place: Place, token_id: int, binding: Binding | None, kinds: Collection[str]
) -> Part:
    """What comes next for a listener that has come to a place, ready to be sent."""
    seen = look(engine, place.position, [token_id], PART_ENTRIES)
    live = token_id in seen.live
    if seen.standing.epoch != place.epoch or not seen.follows(place.position):
        return Part([], None, live)
    events: list[tuple[str, bytes]] = []
    size = 0
    for entry in seen.entries:
        if size > PART_BYTES:
            break
        place = Place(place.epoch, entry.position)
        said = event(place, entry, binding) if wanted(entry, kinds) else None
        if said is not None:
            events.append((entry.kind, said))
            size += len(said)
    return Part(events, place, live)


def wanted(entry: Entry, kinds: Collection[str]) -> bool:
    return entry.kind in kinds or entry.kind == "reset"


def event(place: Place, entry: Entry, binding: Binding | None) -> bytes | None:
    """An entry as it is sent to whoever is bound so; None: nothing of it."""
    data = told(entry, binding)
    if data is None:
        return None
    text = orjson.dumps(data).decode()
    return format_sse_event(event=entry.kind, data_str=text, id=str(place))


def reset(place: Place) -> bytes:
    """What a listener is told that cannot go on from where it was: load anew, and go on here."""
    return format_sse_event(event="reset", data_str="{}", id=str(place))
