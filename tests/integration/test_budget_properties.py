"""Whatever is written and edited, in whatever order, budgets are what a plain model says."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spend import rebuild, sealing
from spend.budgets import store
from spend.budgets.store import Kind
from tests.support import budgets, ledger
from worker.database import transaction

MIXES: tuple[dict[str, Any], ...] = (
    {},
    {"project": "shop", "user_id": "ann"},
    {"project": "shop", "tags": ("env:prod", "urgent")},
    {"organization": "acme", "tags": ("urgent",)},
)
TIMES = st.one_of(
    # Clocks of Berlin change on the 25th, those of New York on the 1st.
    st.datetimes(datetime(2026, 10, 24), datetime(2026, 11, 2)),  # noqa: DTZ001 - set below
    st.datetimes(datetime(2023, 12, 1), datetime(2024, 3, 1)),  # noqa: DTZ001
).map(lambda moment: moment.replace(tzinfo=UTC))
ROWS = st.fixed_dictionaries(
    {
        "provider": st.sampled_from(["a", "b", "c"]),
        "model": st.sampled_from(["m", "n"]),
        "mix": st.integers(0, len(MIXES) - 1),
        "started_at": TIMES,
        "cost_usd": st.none() | st.decimals(0, 10**6, places=12),
    }
)
SCOPES = st.fixed_dictionaries(
    {},
    optional={
        "project": st.sampled_from(["shop", "other"]),
        "user_id": st.just("ann"),
        "organization": st.just("acme"),
        "tag": st.sampled_from(["urgent", "env:prod"]),
        "provider": st.sampled_from(["a", "b", "z"]),
        "model": st.sampled_from(["m", "n"]),
    },
)
CALENDARS = st.one_of(
    st.fixed_dictionaries(
        {
            "period": st.sampled_from(["day", "week", "month", "quarter", "year", "total"]),
            "zone": st.sampled_from(
                ["UTC", "Asia/Kathmandu", "Europe/Berlin", "America/New_York", "Asia/Kolkata"]
            ),
            "week_start": st.sampled_from(["monday", "sunday"]),
        }
    ),
    st.just(
        {"period": "range", "zone": "Asia/Kathmandu", "from": "2024-02-10", "to": "2026-10-30"}
    ),
)
NAMES = st.sampled_from(["x", "y", "z"])
OPERATIONS = st.one_of(
    st.tuples(st.just("write"), st.lists(ROWS, min_size=1, max_size=5)),
    st.tuples(st.just("tick"), st.none()),
    st.tuples(st.just("roll"), st.sampled_from([1, 2, 1000])),
    st.tuples(st.just("roll_one"), st.sampled_from(["a", "b", "c"])),
    st.tuples(st.just("budget"), st.tuples(NAMES, SCOPES, CALENDARS)),
    st.tuples(st.just("state"), st.tuples(NAMES, st.sampled_from(["paused", "removed"]))),
    st.tuples(st.just("rebuild"), st.none()),
    st.tuples(st.just("seal"), st.none()),
)


class World:
    """The ledger and its budgets; rows are remembered here, for those that are sealed."""

    def __init__(self) -> None:
        self.mixes = [budgets.attribution(**mix) for mix in MIXES]
        self.rows: list[dict[str, Any]] = []

    def do(self, operation: str, argument: Any) -> None:
        getattr(self, operation)(argument)

    def write(self, rows: list[dict[str, Any]]) -> None:
        with transaction() as session:
            for row in rows:
                said = {name: value for name, value in row.items() if name != "mix"}
                ledger.add(session, [{**said, "attribution_id": self.mixes[row["mix"]]}])
        nobody = dict.fromkeys(("organization", "project", "user_id", "tags", "adjusts_id"))
        self.rows += [{**nobody, **MIXES[row["mix"]], **row} for row in rows]

    def tick(self, _: None) -> None:
        ledger.tick()

    def roll(self, batch_rows: int) -> None:
        for shard in ledger.tick().shards:
            ledger.advance(shard, batch_rows)

    def roll_one(self, shard: str) -> None:
        if shard in ledger.tick().shards:
            ledger.advance(shard, 2)

    def budget(self, said: tuple[str, dict[str, Any], dict[str, Any]]) -> None:
        name, scope, calendar = said
        if name in self.names():
            budgets.edit(name, scope=scope, **calendar)
        else:
            budgets.add(name, scope=scope, **calendar)

    def state(self, said: tuple[str, Kind]) -> None:
        if said[0] in self.names():
            budgets.set_state(*said)

    def rebuild(self, _: None) -> None:
        for shard in ledger.tick().shards[:1]:
            with transaction() as session:
                rebuild.shard(session, shard)

    def seal(self, _: None) -> None:
        past = [row["started_at"] for row in self.rows if row["started_at"].year < 2026]
        if past:
            ledger.roll()
            with transaction("spendbeat_owner") as session:
                sealing.seal(session, past[0].date(), datetime(2026, 11, 21, tzinfo=UTC))

    @staticmethod
    def names() -> set[str]:
        with transaction("spendbeat_reader") as session:
            return {budget.name for budget in store.load(session)}


@pytest.fixture
def worlds() -> dict[str, World]:
    """One world per database: examples go on where the last one ended."""
    return {}


@settings(
    max_examples=25,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(operations=st.lists(OPERATIONS, min_size=4, max_size=14))
def test_budgets_equal_a_plain_model(
    database: str, worlds: dict[str, World], operations: list[tuple[str, Any]]
) -> None:
    """Edits between waiting rows, cut batches, late rows, repairs and seals; proved after each."""
    world = worlds.setdefault(database, World())
    for operation, argument in operations:
        world.do(operation, argument)
        assert budgets.agrees(), operation
    while ledger.roll(3):
        pass
    with transaction("spendbeat_reader") as session:
        definitions = [budget.definition for budget in store.load(session)]
    assert budgets.spent() == budgets.model(definitions, world.rows)
