"""One page of spend logs: read, booked, settled and noted, under the source's lock.

The order of writes makes it safe to be killed anywhere: requests are booked first (each once, by
its ids), then in one transaction corrections, what the rows said and how far we are. A page that
was cut short is read again and finds its requests known and its figures right.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Engine
from sqlalchemy.orm import Session

from spend.capture.desk import Desk
from spend.capture.litellm_db import request as fields_of
from spend.capture.litellm_db import says_nothing
from spend.capture.normalise import Normaliser
from spend.capture.request import Rejected
from spend.litellm import names, state
from spend.litellm.booking import Asked, Booker
from spend.litellm.keys import key_of
from spend.litellm.logs import Head, Logs
from spend.litellm.source import Source

Place = tuple[datetime, str]


@dataclass(frozen=True, slots=True)
class PageResult:
    """What a page brought; last is the place behind its last row, None where it had none."""

    read: int = 0
    unchanged: int = 0
    empty: int = 0  # rows of no call of a model
    imported: int = 0
    known: int = 0
    settled: int = 0
    conflicts: int = 0
    rejected: int = 0
    unpriced: int = 0
    delta: Decimal = Decimal(0)
    last: Place | None = None
    reason: str | None = None  # of the first that was rejected

    def plus(self, other: "PageResult") -> "PageResult":
        """Both together; the place is the later one's."""
        numbers = [f.name for f in fields(self) if f.name not in {"last", "reason"}]
        added = {name: getattr(self, name) + getattr(other, name) for name in numbers}
        return replace(
            self, **added, last=other.last or self.last, reason=self.reason or other.reason
        )


class Pages:
    """Works through one source's logs; horizon is the time before which rows no longer change."""

    def __init__(
        self,
        engine: Engine,
        desk: Desk,
        source: Source,
        *,
        source_id: int,
        logs: Logs,
        horizon: datetime,
        wait: bool,
        dry_run: bool,
    ) -> None:
        self._engine = engine
        self._source = source
        self._logs = logs
        self._id = source_id
        self._horizon = horizon
        self._wait = wait
        self._dry = dry_run
        self._booker = Booker(desk, dry_run=dry_run)
        self._normaliser = Normaliser()

    def work(self, after: Place, until: datetime | None, limit: int) -> PageResult | None:
        """The rows after a place; None where another sync is at work here."""
        with Session(self._engine) as session, session.begin():
            if state.lock(session, self._id, wait=self._wait) is None:
                return None
            result = self._work(session, after, until, limit)
            if self._dry:
                session.rollback()
            return result

    def _work(
        self, session: Session, after: Place, until: datetime | None, limit: int
    ) -> PageResult:
        with self._source.connect() as connection:
            heads = self._logs.heads(connection, after, until, limit)
            if not heads:
                return PageResult()
            changed = self._changed(session, heads)
            rows = self._logs.rows(connection, changed) if changed else []
            called = self._names(session, rows, connection)
        calls = [row for row in rows if not says_nothing(row)]
        asked, rejected = read(calls, called, self._normaliser)
        outcome = self._booker.book(session, asked)
        self._note(session, rows, calls, called)
        bad = len(rejected) + outcome.rejected
        state.count(session, self._id, rows=outcome.imported, settled=outcome.settled, rejected=bad)
        return PageResult(
            read=len(heads),
            unchanged=len(heads) - len(rows),
            empty=len(rows) - len(calls),
            imported=outcome.imported,
            known=outcome.known,
            settled=outcome.settled,
            conflicts=outcome.conflicts,
            rejected=bad,
            unpriced=outcome.unpriced,
            delta=outcome.delta,
            last=state.after(heads[-1]),
            reason=rejected[0] if rejected else None,
        )

    def _changed(self, session: Session, heads: Sequence[Head]) -> list[Head]:
        keyed = {key_of(head.request_id): head for head in heads}
        said = [(key, UUID(head.hash)) for key, head in keyed.items()]
        same = state.unchanged(session, self._id, said)
        return [head for key, head in keyed.items() if key not in same]

    def _names(
        self, session: Session, rows: Sequence[Mapping[str, Any]], connection: Connection
    ) -> dict[str, str]:
        """Names of the keys of these rows: from the rows, from what we know, from LiteLLM."""
        said: dict[str, str] = {}
        hashes: set[str] = set()
        for row in rows:
            hash_, metadata = row.get("api_key"), row.get("metadata")
            if not isinstance(hash_, str) or not hash_:
                continue
            hashes.add(hash_)
            alias = metadata.get("user_api_key_alias") if isinstance(metadata, dict) else None
            if isinstance(alias, str) and alias:
                said[hash_] = alias
        found = {**names.known(session, hashes), **said} if hashes else {}
        if missing := hashes - found.keys():
            found.update(names.ask(self._source, connection, missing))
        return found

    def _note(
        self,
        session: Session,
        rows: Sequence[Mapping[str, Any]],
        calls: Sequence[Mapping[str, Any]],
        called: Mapping[str, str],
    ) -> None:
        names.learn(session, called)
        kept = [
            (key_of(row["request_id"]), UUID(row["hash"]), row["started_at"])
            for row in rows
            if row["started_at"] >= self._horizon
        ]
        state.saw(session, self._id, kept)
        state.mark_days(session, self._id, {r["started_at"].astimezone(UTC).date() for r in calls})


def read(
    rows: Sequence[Mapping[str, Any]], called: Mapping[str, str], normaliser: Normaliser
) -> tuple[list[Asked], list[str]]:
    """Rows as requests, and why the others cannot be one."""
    asked: list[Asked] = []
    rejected: list[str] = []
    for row in rows:
        try:
            asked.append(Asked.of(fields_of(row, called), normaliser))
        except Rejected as verdict:
            rejected.append(f"{row['request_id']!r:.60}: {verdict}")
    return asked, rejected
