"""Unpriced requests settle by themselves when a price comes, and only then; once."""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import event, text

from spend import sealing, settlement
from spend.pricing.newest import Prices
from spend.repricing import runs
from spend.repricing.undo import undo
from spend.settlement import Bucket, SettleResult, stretches, together
from tasks import pricing
from tests.support import ledger
from tests.support.repricing import BEGIN, END, book, net, preview, price, reprice
from tests.support.waiting import wait_for
from worker.database import engine, transaction

_WAITING = """SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"""

QUARTER = timedelta(minutes=15)


def settle(most: int = settlement.PAGE) -> SettleResult:
    """What the task does, over and over until there is nothing left to look at."""
    total = SettleResult()
    prices = Prices()
    while True:
        with transaction() as session:
            prices_now = prices.book(session)
            work = settlement.find(session, prices_now)
        if work is None:
            return total
        after: int | None = 0
        while after is not None:
            with transaction() as session:
                page = settlement.settle(session, work, prices_now, after=after, most=most)
            total, after = total.then(page), page.after
        with transaction() as session:
            settlement.note(session, work)


def unpriced() -> int:
    ledger.roll()
    return int(ledger.scalar("SELECT coalesce(sum(unpriced), 0) FROM spend_summary"))


@pytest.fixture
def requests(database: str) -> None:
    """Unpriced requests of two months, one among them that no price can settle."""
    book(
        {"id": f"r{n}", "input_tokens": 1_000_000, "started_at": BEGIN + n * timedelta(hours=9)}
        for n in range(100)
    )
    book([{"id": "other", "model": "small", "input_tokens": 1_000_000}])
    ledger.roll()


def test_nothing_is_settled_without_a_price(requests: None) -> None:
    """Another model's price is none."""
    price("1", model="another")
    assert settle() == SettleResult(0, Decimal(0), 0)
    assert unpriced() == 101


def test_a_price_settles_what_waited_for_it(requests: None) -> None:
    """In pages; each request is then as if it had been priced when it came."""
    number = price("1.5")
    found = settle(most=30)
    assert (found.rows, found.delta) == (100, Decimal(150))
    assert net() == {f"r{n}": Decimal("1.5") for n in range(100)} | {"other": None}
    assert unpriced() == 1
    assert ledger.verify().mismatches == ()
    sql = """SELECT count(*) FROM cost_logs AS l JOIN price_versions AS v
      ON v.id = l.price_version_id AND v.source = 'override' AND v.version = :version
      WHERE adjusts_id IS NOT NULL AND unpriced = -1"""
    assert ledger.scalar(sql, version=str(number)) == 100


def test_it_is_done_once_also_before_rollups_have_counted_it(requests: None) -> None:
    """The totals still say unpriced; the ledger knows better."""
    price("1")
    assert settle().rows == 100
    assert settle().rows == 0
    ledger.roll()
    assert settle().rows == 0


def test_only_what_a_price_is_valid_for(requests: None) -> None:
    """Before an override's time its price is used, too, but marked as an assumption."""
    price("1", since=BEGIN + timedelta(days=30))
    assert settle().rows == 100
    sql = """SELECT count(*) FROM cost_logs AS l JOIN price_versions AS v
      ON v.id = l.price_version_id AND v.assumption = 'before-first-price'"""
    assert ledger.scalar(sql) == 80


def impossible(name: str, at: datetime) -> dict[str, Any]:
    """Tokens of the answer, of a model that gives none and has no price for them."""
    return {
        "id": name,
        "provider": "openai",
        "model": "text-embedding-3-small",
        "input_tokens": 10,
        "output_tokens": 10,
        "started_at": at,
    }


def settle_by_hand(request: str) -> None:
    sql = """INSERT INTO cost_logs (provider, model, started_at, adjusts_id, unpriced, cost_usd)
      SELECT provider, model, started_at, id, -1, 1 FROM cost_logs WHERE request_id = :request"""
    ledger.run_as("spendbeat_writer", sql, request=request)


def test_what_no_price_can_settle_is_looked_at_once(database: str) -> None:
    """Until its bucket or its model's prices change."""
    book([impossible("odd", BEGIN)])
    assert unpriced() == 1
    looked: list[str] = []
    event.listen(
        engine("spendbeat_writer"),
        "before_cursor_execute",
        lambda *args: looked.append(args[2]) if "cost_usd IS NULL AND adjusts_id" in args[2] else 0,
    )
    settle()
    assert len(looked) == 1
    settle()
    assert len(looked) == 1
    book([impossible("odd too", BEGIN + timedelta(minutes=1))])
    ledger.roll()
    settle()
    assert len(looked) == 2
    # As many unpriced as before, but another one.
    book([impossible("odd as well", BEGIN + timedelta(minutes=2))])
    settle_by_hand("odd")
    ledger.roll()
    settle()
    assert len(looked) == 3
    with transaction() as session:
        sql = "UPDATE settlement_tries SET prices = gen_random_uuid()"
        session.execute(text(sql))
    settle()
    assert len(looked) == 4
    assert unpriced() == 2


def test_a_row_by_hand_is_priced_if_it_says_how_many_tokens(database: str) -> None:
    """One that says nothing at all stays unpriced; it would cost 0, which nobody knows."""
    price("1")
    with transaction() as session:
        rows = [{"input_tokens": 1_000_000}, {"input_tokens": 0}]
        ledger.add(session, rows, provider="acme", model="large", cost_usd=None, started_at=BEGIN)
    ledger.roll()
    found = settle()
    assert (found.rows, found.delta) == (1, Decimal(1))
    assert unpriced() == 1


def test_what_an_undo_made_unpriced_stays_so(requests: None) -> None:
    """Nobody's decision is taken back a minute later; the other month was not part of it."""
    price("1")
    run = reprice().id
    undo(engine(), run, by="test")
    ledger.roll()
    assert settle().rows == 20
    assert unpriced() == 81
    assert preview().changed == 80


def test_sealed_requests_are_looked_for_once(requests: None) -> None:
    """Their rows are gone, so they stay unpriced."""
    with transaction("spendbeat_owner") as session:
        sealing.seal(session, date(2026, 11, 1), END)
    price("1")
    assert settle().rows == 20
    assert unpriced() == 81
    assert settle().rows == 0
    assert ledger.verify().mismatches == ()


def test_a_repricing_and_a_settlement_at_once_correct_nothing_twice(requests: None) -> None:
    price("1")
    with ThreadPoolExecutor(3) as threads:
        running: list[Future[Any]] = [
            threads.submit(settle, most=10),
            threads.submit(reprice, most=10),
            threads.submit(settle, most=10),
        ]
    for result in running:
        result.result()
    assert set(net().values()) == {Decimal(1), None}
    assert ledger.scalar("SELECT count(*) FROM cost_logs WHERE adjusts_id IS NOT NULL") == 100
    assert unpriced() == 1
    assert ledger.verify().mismatches == ()


def test_a_settlement_waits_for_a_correction_and_sees_it(requests: None) -> None:
    """Otherwise it would settle what is being settled at another price."""
    price("1")
    plan = preview(most=1000)
    with ThreadPoolExecutor(1) as threads:
        with transaction() as session:
            run = runs.open_run(session, plan, "test")
            assert sum(runs.reprice(session, run, plan, part) for part in plan.portions) == 80
            price("3")
            waiting = threads.submit(settle)
            wait_for(lambda: ledger.scalar(_WAITING), "the settlement to wait")
        assert waiting.result().rows == 20
    assert sorted(set(net().values()) - {None}) == [1, 3]


def test_the_task_settles_and_rings_again(requests: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A message is one month of a model; the next one goes on."""
    rung: list[object] = []
    monkeypatch.setattr(pricing.settle, "apply_async", lambda **kwargs: rung.append(kwargs))
    price("1")
    assert pricing.settle()["rows"] == 80
    assert pricing.settle()["rows"] == 20
    assert len(rung) == 2
    assert "rows" not in pricing.settle()
    assert len(rung) == 2


def test_what_is_settled_is_forgotten(requests: None) -> None:
    price("1")
    settle()
    ledger.roll()
    assert pricing.prune()["result"] == 100
    assert ledger.scalar("SELECT count(*) FROM settlement_tries") == 0


def buckets(*hours: float, unpriced: int = 1) -> list[Bucket]:
    start = datetime(2026, 11, 30, tzinfo=UTC)
    return [Bucket(start + timedelta(hours=hour), 1, 9, unpriced) for hour in hours]


@pytest.mark.parametrize(
    ("found", "taken"),
    [
        (buckets(0, 1, 2), 3),
        (buckets(0, 23.75, 24), 2),  # December is another portion
        (buckets(0, 1, 2, unpriced=4), 2),
        (buckets(0, 1, unpriced=40), 1),  # one is taken, however large
    ],
)
def test_a_portion_is_of_one_month_and_bounded(found: Sequence[Bucket], taken: int) -> None:
    assert len(together(found, 10)) == taken


def test_few_stretches_of_time_hold_all_buckets() -> None:
    near = buckets(0, 0.25, 2, 10)
    start = near[0].bucket
    assert stretches(near) == [
        (start, start + 2.25 * timedelta(hours=1)),
        (near[3].bucket, near[3].bucket + QUARTER),
    ]
    scattered = buckets(*range(0, 300, 10))
    assert stretches(scattered) == [(start, scattered[-1].bucket + QUARTER)]
