"""Whatever happens to the ledger, in whatever order, rollups are what a plain model says."""

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, text

from spend import rebuild, sealing
from tests.support import ledger
from worker.database import engine, transaction

ZONE = "Asia/Kathmandu"  # 5:45 ahead of UTC: its days begin inside an hour
TIMES = st.one_of(
    st.datetimes(datetime(2026, 10, 25), datetime(2026, 11, 5)),  # noqa: DTZ001 - set below
    st.datetimes(datetime(2015, 1, 1), datetime(2028, 12, 31)),  # noqa: DTZ001
).map(lambda moment: moment.replace(tzinfo=UTC))
ROWS = st.fixed_dictionaries(
    {
        "provider": st.sampled_from(["a", "b", "new-" * 3, "Ünï'cøde"]),
        "model": st.sampled_from(["m", "n"]),
        "attribution_id": st.integers(0, 2),
        "started_at": TIMES,
        "input_tokens": st.integers(0, 10**12),
        "cost_usd": st.none() | st.decimals(0, 10**9, places=12),
    }
)
OPERATIONS = st.one_of(
    st.tuples(st.just("write"), st.lists(ROWS, min_size=1, max_size=4)),
    st.tuples(st.just("hold"), st.lists(ROWS, min_size=1, max_size=3)),
    st.tuples(st.just("commit held"), st.none()),
    st.tuples(st.just("roll held back"), st.none()),
    st.tuples(st.just("correct"), st.decimals(-5, 5, places=12)),
    st.tuples(st.just("tick"), st.none()),
    st.tuples(st.just("roll"), st.sampled_from([1, 2, 5, 1000])),
    st.tuples(st.just("rebuild"), st.none()),
    st.tuples(st.just("seal"), st.none()),
)


class World:
    """The ledger, one transaction held open in it, and the model: a list of committed rows."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.held: Connection | None = None
        self.held_rows: list[dict[str, Any]] = []

    def do(self, operation: str, argument: Any) -> None:
        getattr(self, operation.replace(" ", "_"))(argument)

    def write(self, rows: list[dict[str, Any]]) -> None:
        with transaction() as session:
            ledger.add(session, rows)
        self.rows += rows

    def hold(self, rows: list[dict[str, Any]]) -> None:
        if self.held is not None:
            return
        for row in rows:
            ledger.run_as(
                "spendbeat_writer", "SELECT spendbeat_ensure_month(:at)", at=row["started_at"]
            )
        self.held = engine().connect()
        columns = ", ".join(rows[0])
        binds = ", ".join(f":{name}" for name in rows[0])
        self.held.execute(text(f"INSERT INTO cost_logs ({columns}) VALUES ({binds})"), rows)
        self.held_rows = rows

    def commit_held(self, _: None) -> None:
        if self.held is not None:
            self.held.commit()
            self.held.close()
            self.rows += self.held_rows
            self.held = None

    def roll_held_back(self, _: None) -> None:
        if self.held is not None:
            self.held.rollback()
            self.held.close()
            self.held = None

    def correct(self, dollars: Decimal) -> None:
        """Adjust the last row: same place, no request, and settle it if it had no price."""
        if not self.rows:
            return
        last = self.rows[-1]
        adjustment = {
            **last,
            "cost_usd": dollars,
            "input_tokens": 0,
            "unpriced": -1 if last["cost_usd"] is None else 0,
            "adjusts_id": len(self.rows),
            "price_version_id": len(self.rows),
        }
        self.write([adjustment])

    def tick(self, _: None) -> None:
        ledger.tick()

    def roll(self, batch_rows: int) -> None:
        for shard in ledger.tick().shards:
            ledger.advance(shard, batch_rows)
        assert ledger.verify().agrees

    def rebuild(self, _: None) -> None:
        for shard in ledger.tick().shards[:1]:
            with transaction() as session:
                rebuild.shard(session, shard)

    def seal(self, _: None) -> None:
        """Drop the month of the first row, if it may be dropped now."""
        past = [row["started_at"] for row in self.rows if row["started_at"].year < 2026]
        if not past or self.held is not None:
            return
        ledger.roll()
        with transaction("spendbeat_owner") as session:
            sealing.seal(session, past[0].date(), datetime(2026, 11, 21, tzinfo=UTC))


def figures(rows: list[dict[str, Any]], key: Any) -> dict[Any, tuple[Any, ...]]:
    """The plain model: requests, unpriced, input tokens and dollars per key."""
    sums: dict[Any, list[Any]] = defaultdict(lambda: [0, 0, 0, Decimal(0)])
    for row in rows:
        entry = sums[key(row)]
        entry[0] += "adjusts_id" not in row
        entry[1] += row.get("unpriced", int(row["cost_usd"] is None))
        entry[2] += row["input_tokens"]
        entry[3] += row["cost_usd"] or 0
    return {name: tuple(entry) for name, entry in sums.items()}


def stored(sql: str) -> dict[Any, tuple[Any, ...]]:
    with transaction("spendbeat_reader") as session:
        return {tuple(row[:-4]): tuple(row[-4:]) for row in ledger.execute(session, sql)}


SUMS = "requests, unpriced, input_tokens, total_cost"


def check(world: World) -> None:
    zone = ZoneInfo(ZONE)
    assert stored(f"SELECT provider, model, {SUMS} FROM spend_summary") == figures(
        world.rows, lambda row: (row["provider"], row["model"])
    )
    assert stored(
        f"SELECT day, provider, model, attribution_id, {SUMS} FROM daily_cost_summaries"
    ) == figures(
        world.rows,
        lambda row: (
            row["started_at"].astimezone(zone).date(),
            row["provider"],
            row["model"],
            row["attribution_id"],
        ),
    )
    assert stored(
        f"SELECT bucket, provider, model, attribution_id, {SUMS}"
        " FROM spend_buckets JOIN series ON series.id = series_id"
    ) == figures(
        world.rows,
        lambda row: (
            datetime.min.replace(tzinfo=UTC)
            + (row["started_at"] - datetime.min.replace(tzinfo=UTC))
            // timedelta(minutes=15)
            * timedelta(minutes=15),
            row["provider"],
            row["model"],
            row["attribution_id"],
        ),
    )


@pytest.fixture
def worlds() -> dict[str, World]:
    """One world per database: examples go on where the last one ended."""
    return {}


@settings(
    max_examples=25,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(operations=st.lists(OPERATIONS, min_size=3, max_size=12))
def test_rollups_equal_a_plain_model(
    database: str, worlds: dict[str, World], operations: list[tuple[str, Any]]
) -> None:
    """Late rows, corrections, backfills, new providers, far dates, cut batches, repairs, seals."""
    world = worlds.setdefault(database, World())
    if not world.rows:
        with transaction() as session:
            rebuild.set_zone(session, ZONE)
    for operation, argument in operations:
        world.do(operation, argument)
    world.commit_held(None)
    ledger.roll(3)
    assert ledger.verify().agrees
    check(world)
