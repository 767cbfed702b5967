"""Tables `attribution_values` and `attribution_limits`: no field may have values without end.

A request id sent as a tag would make a row of attribution, a series and buckets for each request.
Beyond its limit a field's new values become (other); those known before stay.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from models import ATTRIBUTION_FIELDS, AttributionLimit
from spend.attribution import caps
from spend.attribution.caps import COMBINATIONS, PLAIN_TAGS, TAG_KEYS, Value
from spend.attribution.mix import Mix
from spend.errors import BadInputError
from spend.sql import query

MOST = 10_000
MOST_TAG_KEYS = 1_000
MOST_COMBINATIONS = 1_000_000
EVERY_TAG_KEY = "tag:*"
FIELDS = (*ATTRIBUTION_FIELDS, PLAIN_TAGS, TAG_KEYS, COMBINATIONS)
_DEFAULTS = {TAG_KEYS: MOST_TAG_KEYS, COMBINATIONS: MOST_COMBINATIONS}
_HIGHEST = 2**31 - 1


@dataclass(frozen=True)
class Limit:
    """How many values a field has and may have. stored: somebody set it, so it is no default.

    replaced: about how many new values became (other); capped_since: the first time since the
    limit was set, None where it was never reached. example: one of them.
    """

    field: str
    known: int
    most: int
    stored: bool
    replaced: int
    capped_since: datetime | None
    capped_at: datetime | None
    example: str | None


def cap(session: Session, mixes: Collection[Mix]) -> dict[Mix, Mix]:
    """Each mix as it may be recorded; values that are new and within their limits are recorded.

    Rows of the fields concerned stay locked until the transaction ends, in an order that is the
    same for all: keys of tags, then by name. So let it be a short one, and call this once in it.
    """
    refused = _admit(session, caps.keys(mixes))
    refused |= _admit(session, caps.values(mixes, refused))
    return {mix: caps.capped(mix, refused) if refused else mix for mix in mixes}


def room(session: Session) -> int:
    """How many more combinations may be recorded; their count is locked from here on."""
    most, known = _hold(session, [COMBINATIONS])[COMBINATIONS]
    return max(0, most - known)


def count_combinations(session: Session, recorded: int, replaced: int, example: str) -> None:
    """Count combinations that were recorded and those that were made coarse."""
    _count(session, {COMBINATIONS: recorded})
    if replaced:
        _report(session, {COMBINATIONS: replaced}, {COMBINATIONS: example})


def listed(session: Session) -> list[Limit]:
    """The limit of every field that has values or may have them, in the order of FIELDS."""
    stored = {row.field: row for row in session.scalars(select(AttributionLimit))}
    fields = [*FIELDS, *(field for field in sorted(stored) if field not in FIELDS)]
    return [_limit(field, stored) for field in fields]


def store(session: Session, field: str, most: int | None) -> Limit:
    """Raise or lower a field's limit; None is the default again. Values known before stay.

    Raises BadInputError for a field that cannot have one.
    """
    tag = field.startswith(f"{PLAIN_TAGS}:")
    if field not in FIELDS and not tag:
        raise BadInputError(
            f"There is no field {field!r}; choose from {', '.join(FIELDS)}, tag:KEY for the values"
            " of one key of tags, tag:* for those of each other key."
        )
    if most is not None and not 0 <= most <= _HIGHEST:
        raise BadInputError(f"A limit is between 0 and {_HIGHEST:,}.")
    _open(session, [field])
    row = session.get_one(AttributionLimit, field, with_for_update=True)
    row.most = most
    row.capped_since = None
    session.flush()
    return next(limit for limit in listed(session) if limit.field == field)


def _admit(session: Session, asked: set[Value]) -> set[Value]:
    """Record what is new among values, as far as limits allow; returns those that are refused."""
    new = asked - _known(session, asked)
    if not new:
        return set()
    held = _hold(session, {field for field, _ in new})
    if any(known < most for most, known in held.values()):
        new -= _known(session, new)  # somebody may have come first
    rooms = {field: most - known for field, (most, known) in held.items()}
    admitted: list[Value] = []
    refused: list[Value] = []
    for field, value in sorted(new):
        (admitted if rooms[field] > 0 else refused).append((field, value))
        rooms[field] -= 1
    if admitted:
        session.execute(query("attribution", "add_values"), _columns(admitted))
        _count(session, Counter(field for field, _ in admitted))
    if refused:
        _report(session, Counter(field for field, _ in refused), dict(refused))
    return set(refused)


def _known(session: Session, asked: Collection[Value]) -> set[Value]:
    if not asked:
        return set()
    found = session.execute(query("attribution", "known_values"), _columns(asked))
    return {(field, value) for field, value in found}


def _hold(session: Session, fields: Iterable[str]) -> dict[str, tuple[int, int]]:
    """Lock the rows of fields; what each may have and what it has."""
    asked = sorted(fields)
    _open(session, asked)
    found = session.execute(query("attribution", "hold_limits"), {"fields": asked})
    return {
        field: (_default(field) if most is None else most, known) for field, most, known in found
    }


def _open(session: Session, fields: list[str]) -> None:
    session.execute(query("attribution", "open_limits"), {"fields": fields})


def _count(session: Session, added: Mapping[str, int]) -> None:
    binds = {"fields": list(added), "added": list(added.values())}
    session.execute(query("attribution", "count_known"), binds)


def _report(session: Session, times: Mapping[str, int], examples: Mapping[str, str]) -> None:
    binds = {
        "fields": list(times),
        "times": list(times.values()),
        "examples": [examples[field] for field in times],
    }
    session.execute(query("attribution", "count_replaced"), binds)


def _columns(asked: Iterable[Value]) -> dict[str, list[str]]:
    pairs = list(asked)
    return {"fields": [field for field, _ in pairs], "values": [value for _, value in pairs]}


def _default(field: str) -> int:
    return _DEFAULTS.get(field, MOST)


def _limit(field: str, stored: Mapping[str, AttributionLimit]) -> Limit:
    row = stored.get(field)
    most = row.most if row else None
    if most is None and field.startswith(f"{PLAIN_TAGS}:") and EVERY_TAG_KEY in stored:
        most = stored[EVERY_TAG_KEY].most
    return Limit(
        field,
        known=row.known if row else 0,
        most=_default(field) if most is None else most,
        stored=row is not None and row.most is not None,
        replaced=row.replaced if row else 0,
        capped_since=row.capped_since if row else None,
        capped_at=row.capped_at if row else None,
        example=row.example if row else None,
    )
