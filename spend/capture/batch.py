"""Rows on their way into the ledger together, and what became of those with equal keys."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import pyarrow as pa

from spend.capture.block import Column
from spend.capture.plain import Plain
from spend.capture.request import Request
from spend.pricing.booking import Booked

# Routes may round a time, but not by more.
CLOSE_US = 2_000_000

OTHER_CONTENT = "this id is known with other content"
OTHER_TIME = "this id is known with another time"
OTHER_REQUEST = "its ids are known for two requests"


@dataclass(frozen=True, slots=True)
class Conflict:
    """The line of a request whose id is known for something else, why, and what it says (JSON)."""

    line: int
    reason: str
    raw: str


class Compared(NamedTuple):
    """A request of which more than the booked cost is known, and its place in the batch."""

    place: int
    provider: str
    model: str
    started_us: int
    booked: Booked


# What a key was first met with in a batch: its digest, its microseconds, its row's place.
First = tuple[bytes, int, int]


@dataclass(slots=True)
class Batch:
    """Rows with distinct keys, encoded for COPY; and what was found out on the way.

    keys are lines of staged_keys without their number, rows are lines of cost_logs without their
    id: lists of Arrow arrays, each of as many texts as the other's. others are further lines of
    staged_keys, with their number. seen: what each key was first met with, and its row.
    """

    keys: list[Column] = field(default_factory=list)
    rows: list[Column] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)  # where each of them stood in the source
    unpriced: list[int] = field(default_factory=list)  # which of them have no price
    known: int = 0
    conflicts: list[Conflict] = field(default_factory=list)
    seen: dict[bytes, First] = field(default_factory=dict)
    others: list[str] = field(default_factory=list)
    compared: list[Compared] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.lines)


def fresh_rows(
    batch: Batch,
    plain: Plain,
    keys: Sequence[bytes],
    says: Sequence[First],
    lines: Sequence[int],
) -> Column:
    """Which rows have a key that the batch does not have yet; the others are settled."""
    fresh: list[int] = []
    start = len(batch)
    for index, key in enumerate(keys):
        digest, started, _ = says[index]
        if key in batch.seen:
            request = plain.request(index)
            settle(batch, lines[index], [batch.seen[key]], (digest, started), request)
        else:
            batch.seen[key] = digest, started, start + len(fresh)
            fresh.append(index)
    return pa.array(fresh, pa.int32())


def settle(
    batch: Batch, line: int, known: Sequence[First], says: tuple[bytes, int], request: Request
) -> None:
    """Count a request of which the batch has a key: (digest, microseconds) are compared."""
    digest, started, place = known[0]
    if any(other[2] != place for other in known):
        batch.conflicts.append(Conflict(line, OTHER_REQUEST, request.as_json()))
    elif digest != says[0]:
        batch.conflicts.append(Conflict(line, OTHER_CONTENT, request.as_json()))
    elif abs(started - says[1]) > CLOSE_US:
        batch.conflicts.append(Conflict(line, OTHER_TIME, request.as_json()))
    else:
        batch.known += 1


def also(batch: Batch, first: First, head: str, keys: Iterable[bytes]) -> None:
    """Give a row of the batch more keys, with the head of their staged lines."""
    for key in keys:
        if key not in batch.seen:
            batch.seen[key] = first
            batch.others.append(f"{first[2]}\t{head}{key.hex()}")
