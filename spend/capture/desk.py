"""Where events are booked as they come: one transaction per call, from as many threads as ask."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from threading import Lock

from sqlalchemy import Engine
from sqlalchemy.orm import Session

from spend.attribution import rules
from spend.attribution.tags import spread
from spend.capture.batch import OTHER_CONTENT, Batch
from spend.capture.completion import complete
from spend.capture.dimensions import Dimensions
from spend.capture.fields import arrange
from spend.capture.normalise import Normaliser
from spend.capture.priced import decided
from spend.capture.request import Rejected, Request
from spend.capture.staging import Attribute, Stager, attribute
from spend.capture.store import Store, StoreResult
from spend.conflicts import Conflict, report
from spend.errors import BadInputError
from spend.pricing import PriceBook
from spend.pricing.newest import Prices

_DAY = 86_400_000_000
_RELOAD_SECONDS = 1.0
# A normaliser remembers the values that it has seen, and how far ahead a time may lie.
_CALLS_PER_NORMALISER = 10_000
_NAMED = 3

Raw = Mapping[str, object] | Rejected


@dataclass(frozen=True, slots=True)
class Problem:
    """An event that was not booked: its place in what was sent (from 0), its id, and why."""

    index: int
    id: str | None
    reason: str


class Refused(BadInputError):  # noqa: N818 - a verdict on what was sent
    """Events that cannot be booked, so that nothing of what came with them is either."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        named = "; ".join(f"event {p.index}: {p.reason}" for p in problems[:_NAMED])
        more = f"; and {len(problems) - _NAMED} more" if len(problems) > _NAMED else ""
        super().__init__(f"Nothing was booked: {named}{more}.")


@dataclass(frozen=True, slots=True)
class Booked:
    """What became of the events of one call; each is in one of them, the unpriced in two."""

    imported: int
    known: int
    unpriced: int  # of the imported
    conflicts: tuple[Problem, ...]
    rejected: tuple[Problem, ...]


class Desk:
    """Books events of any route; thread-safe, one per process.

    Prices and rules that change are seen within a second. The engine acts as the writer.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._lock = Lock()
        self._dimensions = Dimensions(engine)
        self._prices = Prices()
        self._book = PriceBook()
        self._rules = ""
        self._attribute: Attribute | None = None
        self._loaded = float("-inf")
        self._normaliser = Normaliser()
        self._calls = 0

    def book(self, rows: Sequence[Raw], *, route: str, strict: bool = True) -> Booked:
        """Book events, each a mapping of FIELDS to values or the verdict of whoever mapped it.

        strict: one that cannot be booked refuses all (Refused); otherwise the others go in.
        Raises UnavailableError where Postgres does not take them; then nothing is in, and the
        same call may be made again: an event that is in already is counted as known.
        """
        with self._lock:
            requests, rejected = self._read(rows)
            if rejected and strict:
                raise Refused(rejected)
            batch = self._stage(requests)
        with self._engine.connect() as connection:
            result = Store(connection)(batch)
        conflicts = _conflicts(result, requests)
        completed = self._complete(conflicts, requests)
        conflicts = tuple(c for c in conflicts if c.index not in completed)
        if conflicts:
            self._report(route, conflicts, requests)
        known = result.known + len(completed)
        return Booked(result.imported, known, result.unpriced, conflicts, tuple(rejected))

    def _read(self, rows: Sequence[Raw]) -> tuple[dict[int, Request], list[Problem]]:
        self._calls += 1
        if self._calls % _CALLS_PER_NORMALISER == 0:
            self._normaliser = Normaliser()
        requests: dict[int, Request] = {}
        rejected: list[Problem] = []
        for index, row in enumerate(rows):
            try:
                if isinstance(row, Rejected):
                    raise row
                values = arrange(_spread(row))
                if isinstance(values[-1], list):
                    values[-1] = tuple(values[-1])  # can be looked up: most mixes come again
                requests[index] = self._normaliser.row(values)
            except Rejected as verdict:
                rejected.append(Problem(index, _id(row), str(verdict)))
        return requests, rejected

    def _stage(self, requests: Mapping[int, Request]) -> Batch:
        self._refresh()
        dimensions = self._dimensions
        stager = Stager(self._book, dimensions.attributions, dimensions.versions, self._attribute)
        found = list(requests.values())
        dimensions.prepare(stager.mixes(found), {r.started_us // _DAY for r in found})
        batch = Batch()
        stager.add(batch, list(requests), found)
        return batch

    def _refresh(self) -> None:
        if time.monotonic() - self._loaded < _RELOAD_SECONDS:
            return
        with Session(self._engine) as session:
            self._book = self._prices.book(session)
            version = rules.version(session)
            if version != self._rules:
                self._attribute = attribute(rules.load(session))
                self._dimensions.attributions.clear()  # a limit may let in what was (other)
                self._rules = version
        self._loaded = time.monotonic()

    def _complete(self, conflicts: Sequence[Problem], requests: Mapping[int, Request]) -> set[int]:
        """Which of them say more of a request that was booked without its usage."""
        telling = {
            c.index: requests[c.index]
            for c in conflicts
            if c.reason == OTHER_CONTENT and any(requests[c.index].usage)
        }
        if not telling:
            return set()
        with self._lock:  # the price versions' cache
            costs = {request: self._decided(request) for request in telling.values()}
        with Session(self._engine) as session, session.begin():
            return complete(session, telling, costs.__getitem__)

    def _decided(self, request: Request) -> tuple[int | None, int]:
        booked = decided(self._book, request)
        return booked.pico, self._dimensions.versions[booked.origin]

    def _report(
        self, route: str, conflicts: Sequence[Problem], requests: Mapping[int, Request]
    ) -> None:
        found = [
            Conflict(route, conflict.id, conflict.reason, requests[conflict.index].as_json())
            for conflict in conflicts
        ]
        with Session(self._engine) as session, session.begin():
            report(session, found)


def _spread(row: Mapping[str, object]) -> Mapping[str, object]:
    """With the fields that its tags name, as for the routes that know of them."""
    tags = row.get("tags")
    parts = tags.split(",") if isinstance(tags, str) else tags
    if not isinstance(parts, list | tuple) or not any(":" in str(part) for part in parts):
        return row
    if "user" in row and "user_id" not in row:  # its other name
        row = {("user_id" if name == "user" else name): value for name, value in row.items()}
    return spread(row, parts)


def _id(row: Raw) -> str | None:
    if isinstance(row, Rejected):
        return None
    found = row.get("id") or row.get("request_id")
    return found[:100] if isinstance(found, str) else None


def _conflicts(result: StoreResult, requests: Mapping[int, Request]) -> tuple[Problem, ...]:
    return tuple(Problem(c.line, requests[c.line].id, c.reason) for c in result.conflicts)
