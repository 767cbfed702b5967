"""Repricing: what it shows is what it does, again it does nothing, and it can be taken back."""

import random
import threading
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from spend import adjustments, sealing
from spend.entries import Wanted
from spend.errors import BadInputError, BusyError
from spend.pricing import Origin
from spend.pricing.booking import GATEWAY
from spend.pricing.versions import resolve
from spend.repricing import runs, scope
from spend.repricing.undo import CorrectedSinceError, undo
from tests.support import ledger
from tests.support import repricing as support
from tests.support.repricing import BEGIN, END, book, net, preview, price, reprice, total
from worker.database import engine, transaction

DAY = timedelta(days=1)


def undone(run_id: int, **options: Any) -> Any:
    return undo(engine(), run_id, by="test", **options)


def correct(request: str, cost: str, origin: Origin = GATEWAY) -> None:
    """Another correction of one request, as a gateway's later word would be."""
    with transaction() as session:
        version = resolve(session, [origin])[origin]
        sql = "SELECT id, started_at FROM token_usage WHERE request_id = :id"
        row = ledger.execute(session, sql, id=request).one()
        adjustments.adjust(session, [Wanted(*row, Decimal(cost), None, version)])


@pytest.fixture
def requests(database: str) -> None:
    """Five requests of three days: priced, unpriced, given, by a gateway, and another model's."""
    price("1", "2")
    book(
        [
            {"id": "priced", "input_tokens": 1_000_000, "output_tokens": 500_000},
            {"id": "next day", "input_tokens": 3_000_000, "started_at": BEGIN + DAY},
            {"id": "given", "input_tokens": 1_000_000, "cost_usd": "7.5"},
            {"id": "other", "model": "small", "input_tokens": 1_000_000},
        ]
    )
    ledger.roll()


def test_the_preview_is_what_is_done(requests: None) -> None:
    """By day, to the last digit; rollups and audit follow."""
    price("1.1", "2.3")
    plan = preview()
    assert [(d.day.day, d.requests, d.changed, d.before, d.after) for d in plan.days] == [
        (1, 2, 1, Decimal("9.5"), Decimal("9.75")),
        (2, 1, 1, Decimal(3), Decimal("3.3")),
    ]
    assert plan.given == 1
    before = total()
    run = runs.execute(engine(), plan, by="test")
    assert (run.rows, run.delta, run.state) == (2, plan.delta, "done")
    assert total() - before == plan.delta == Decimal("0.55")
    assert net() == {
        "priced": Decimal("2.25"),
        "next day": Decimal("3.3"),
        "given": Decimal("7.5"),
        "other": None,
    }
    ledger.roll()
    assert ledger.verify().mismatches == ()
    assert ledger.summary()["acme", "large"] == Decimal("13.05")


def test_a_preview_changes_nothing(requests: None) -> None:
    price("1.1", "2.3")
    before = ledger.scalar("SELECT count(*) FROM cost_logs")
    preview()
    assert ledger.scalar("SELECT count(*) FROM cost_logs") == before
    assert ledger.scalar("SELECT count(*) FROM repricings") == 0


def test_twice_is_once(requests: None) -> None:
    price("1.1", "2.3")
    reprice()
    plan = preview()
    assert (plan.changed, plan.resumes) == (0, None)
    assert runs.execute(engine(), plan, by="test").rows == 0


def test_days_are_those_of_the_zone(requests: None) -> None:
    price("1.1", "2.3")
    plan = preview(zone=ZoneInfo("America/New_York"))
    assert [d.day for d in plan.days] == [date(2026, 10, 31), date(2026, 11, 1)]


def test_only_the_model_provider_and_time_that_were_named(requests: None) -> None:
    """The end is not included; names are compared without regard to case."""
    price("5")
    where = scope.Scope("LARGE", "Acme", BEGIN, BEGIN + DAY)
    assert [(d.requests, d.changed) for d in preview(where).days] == [(2, 1)]
    assert preview(scope.Scope("large", "other", BEGIN, END)).requests == 0


def test_prices_as_they_were_known_at_a_time(requests: None) -> None:
    """A correction of a price can be looked at as if it had not been made."""
    before = ledger.scalar("SELECT clock_timestamp()")
    price("1.1", "2.3")
    reprice()
    run = reprice(known_at=before)
    assert run.delta == Decimal("-0.55")
    assert net()["priced"] == 2


def test_a_gateways_cost_counts_before_and_after_a_correction(database: str) -> None:
    """As at capture: it is booked before our lists and after a price of one's own."""
    book([{"id": "said", "input_tokens": 1_000_000, "gateway_cost_usd": "3"}])
    book([{"id": "later", "input_tokens": 1_000_000}])
    correct("later", "4")
    assert preview().changed == 0
    price("1")
    reprice()
    assert net() == {"said": Decimal(1), "later": Decimal(1)}
    undone(1)
    assert net() == {"said": Decimal(3), "later": Decimal(4)}


def test_a_price_taken_away_makes_requests_unpriced_again(requests: None) -> None:
    """And back: unpriced is a state, so it is counted."""
    run = reprice(known_at=datetime(2020, 1, 1, tzinfo=UTC))
    assert (run.unpriced, net()["priced"], net()["given"]) == (2, None, Decimal("7.5"))
    ledger.roll()
    assert ledger.scalar("SELECT sum(unpriced) FROM spend_summary") == 3
    again = reprice()
    assert again.unpriced == -2
    assert net()["priced"] == 2
    ledger.roll()
    assert ledger.verify().mismatches == ()


def test_undo_restores_every_cost_to_the_last_digit(database: str) -> None:
    """Random requests and prices, several runs, undone in the opposite order."""
    chance = random.Random(7)
    price(f"0.{chance.randrange(10**11)}", f"1.{chance.randrange(10**11)}")
    ways: list[dict[str, Any]] = [
        {},
        {},
        {"gateway_cost_usd": "0.123456789012"},
        {"cost_usd": "0.1"},
    ]
    book(
        {
            "id": f"r{n}",
            "input_tokens": chance.randrange(10**6),
            "output_tokens": chance.randrange(10**5),
            "started_at": BEGIN + timedelta(minutes=chance.randrange(28 * 24 * 60)),
            **chance.choice(ways),
        }
        for n in range(300)
    )
    states = [(net(), total())]
    made = []
    for step in range(3):
        price(f"0.{chance.randrange(10**11)}", f"2.{chance.randrange(10**11)}")
        where = support.scope(since=BEGIN + step * 3 * DAY)
        made.append(reprice(where, most=50).id)
        states.append((net(), total()))
    assert len({sum_ for _, sum_ in states}) == 4
    ledger.roll()
    for run_id, state in zip(reversed(made), reversed(states[:-1]), strict=True):
        undone(run_id, window=97)
        assert (net(), total()) == state
    ledger.roll()
    assert ledger.verify().mismatches == ()


def test_an_undone_run_stays_undone(requests: None) -> None:
    price("1.1", "2.3")
    run = reprice()
    first = undone(run.id)
    assert (first.rows, first.delta, first.kept, first.gone) == (2, Decimal("-0.55"), 0, 0)
    assert (undone(run.id).rows, first.run.state) == (0, "undone")
    again = reprice()
    assert (again.id, again.rows) == (run.id + 1, 2)
    undone(again.id)
    assert net()["priced"] == 2


def test_undo_refuses_where_somebody_corrected_since_and_names_who(requests: None) -> None:
    price("1.1", "2.3")
    first = reprice().id
    price("1.2", "2.4")
    second = reprice().id
    correct("next day", "9")
    before = net()
    with pytest.raises(CorrectedSinceError, match=rf"repricing {second} \(2 requests\)"):
        undone(first)
    with pytest.raises(CorrectedSinceError, match=r"cost from 'gateway' \(1 requests\)"):
        undone(second)
    assert net() == before
    assert ledger.scalar("SELECT count(*) FROM repricings WHERE undone_at IS NOT NULL") == 0


def test_undo_can_leave_what_was_corrected_since(requests: None) -> None:
    price("1.1", "2.3")
    run = reprice().id
    correct("next day", "9")
    result = undone(run, keep_corrected=True)
    assert (result.rows, result.kept) == (1, 1)
    assert (net()["priced"], net()["next day"]) == (Decimal(2), Decimal(9))


def test_undo_of_what_is_not_there(database: str) -> None:
    with pytest.raises(BadInputError, match="no repricing 12"):
        undone(12)


class Killed(BaseException):
    """Not an error that anything would catch."""


def killed_after(portions: int) -> Any:
    left = iter(range(portions))

    def stop(*_: object) -> None:
        if next(left, None) is None:
            raise Killed

    return stop


@pytest.fixture
def many(database: str) -> Iterator[None]:
    """A hundred requests over ten days, and a new price for them."""
    price("1")
    book(
        {"id": f"r{n}", "input_tokens": 1_000_000, "started_at": BEGIN + n * DAY / 10}
        for n in range(100)
    )
    ledger.roll()
    price("2")
    return


def test_a_run_that_was_killed_goes_on_and_is_one_run(many: None) -> None:
    """With its own prices, so that its rows are as if it had not been stopped."""
    plan = preview(most=10)
    assert len(plan.portions) == 30  # days
    with pytest.raises(Killed):
        runs.execute(engine(), plan, by="test", on_portion=killed_after(3))
    assert ledger.scalar("SELECT finished_at IS NULL FROM repricings")
    price("3")
    later = preview(most=10)
    assert (later.resumes, later.changed) == (1, 60)
    run = runs.execute(engine(), later, by="test")
    assert (run.id, run.rows, run.delta) == (1, 100, Decimal(100))
    assert set(net().values()) == {Decimal(2)}
    assert preview().changed == 100
    undone(1)
    assert set(net().values()) == {Decimal(1)}


def test_an_undo_that_was_killed_goes_on(many: None) -> None:
    run = reprice().id
    with pytest.raises(Killed):
        undone(run, window=20, on_window=killed_after(2))
    assert len(set(net().values())) == 2
    undone(run, window=20)
    assert set(net().values()) == {Decimal(1)}
    assert total() == 100


def test_two_at_once_correct_nothing_twice(many: None) -> None:
    """Commands exclude each other; and if they did not, the lock of each portion would."""
    plan = preview(most=10)
    with runs.alone(engine()), pytest.raises(BusyError, match="Another repricing"):
        runs.execute(engine(), plan, by="test")
    with transaction() as session:
        ids = [runs.open_run(session, plan, "test") for _ in range(2)]
    threads = [threading.Thread(target=_all_portions, args=(run_id, plan)) for run_id in ids]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(net().values()) == {Decimal(2)}
    assert ledger.scalar("SELECT sum(rows) FROM repricings") == 100


def _all_portions(run_id: int, plan: runs.Preview) -> None:
    for portion in plan.portions:
        with transaction() as session:
            runs.reprice(session, run_id, plan, portion)


def test_sealed_months_are_named_and_not_repriced(requests: None) -> None:
    """Their rows are gone; one that came late is there and is corrected."""
    with transaction("spendbeat_owner") as session:
        sealing.seal(session, BEGIN.date(), END)
    book([{"id": "late", "input_tokens": 2_000_000, "started_at": BEGIN + 5 * DAY}])
    price("2", "2")
    plan = preview()
    assert [(s.month, s.provider, s.requests, s.cost) for s in plan.sealed] == [
        (BEGIN.date(), "acme", 3, Decimal("12.5"))
    ]
    assert (plan.requests, plan.changed, plan.delta) == (1, 1, Decimal(2))
    reprice()
    ledger.roll()
    assert ledger.verify().mismatches == ()


def test_undo_says_what_was_sealed_since(requests: None) -> None:
    price("2", "2")
    run = reprice().id
    ledger.roll()
    with transaction("spendbeat_owner") as session:
        sealing.seal(session, BEGIN.date(), END)
    result = undone(run)
    assert (result.rows, result.gone) == (0, 2)


def test_rows_that_are_not_counted_yet_are_repriced_too(database: str) -> None:
    """Rollups only help to cut the work; what they have not seen lies in a portion as well."""
    price("1")
    book(
        [
            {"id": "a", "input_tokens": 1_000_000},
            {"id": "b", "input_tokens": 1, "started_at": END - DAY},
        ]
    )
    price("2")
    assert preview(most=1).changed == 2
