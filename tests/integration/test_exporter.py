"""What a scrape says about the database; and that it always answers."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import event

from spend import attributions, audit, feed, rollups, ticks
from spend.attribution import limits
from spend.attribution.mix import Mix
from spend.delivery import dispatch
from spend.delivery.outcome import Outcome
from tests.support import outboxes
from tests.support.books import Books
from tests.support.metrics import Scrape, serving
from worker.database import transaction
from worker.exporter import PostgresCollector, reader
from worker.metrics import MOST_MODELS


@pytest.fixture
def scrape(database: str) -> Iterator[Callable[[], Scrape]]:
    with serving(database) as scrape:
        yield scrape


def take_tick() -> None:
    with transaction() as session:
        ticks.take(session)


def roll_up(provider: str) -> None:
    with transaction() as session:
        rollups.advance(session, provider)


def test_a_shard_lags_until_it_is_rolled_up(books: Books, scrape: Callable[[], Scrape]) -> None:
    """Lag is rows and seconds by provider, and 0, not absent, when there is none."""
    books.spend("openai", rows=40)
    books.spend("azure", rows=2)
    take_tick()
    roll_up("azure")
    found = scrape()
    assert found.value("spendbeat_shard_lag_rows", provider="openai") == 40
    assert found.value("spendbeat_shard_lag_rows", provider="azure") == 0
    assert found.value("spendbeat_shard_lag_seconds", provider="openai") > 0
    assert found.value("spendbeat_shard_lag_seconds", provider="azure") == 0
    assert found.value("spendbeat_rollup_rows_total", provider="azure") == 2
    assert found.value("spendbeat_rollup_batches_total", provider="openai") == 0
    assert found.value("spendbeat_tick_age_seconds") >= 0
    roll_up("openai")
    assert scrape().value("spendbeat_shard_lag_rows", provider="openai") == 0


def test_spend_is_shown_by_provider_and_model(books: Books, scrape: Callable[[], Scrape]) -> None:
    """Dollars, requests, unpriced ones and tokens by class."""
    books.spend("openai", rows=40)
    take_tick()
    roll_up("openai")
    found = scrape()
    for (provider, model), (cost, requests, unpriced) in books.raw().items():
        where = {"provider": provider, "model": model}
        assert found.value("spendbeat_spend_dollars", **where) == float(cost)
        assert found.value("spendbeat_requests", **where) == requests
        assert found.value("spendbeat_unpriced_requests", **where) == unpriced
    assert found.value("spendbeat_tokens", **{"class": "input"}) == sum(range(1, 41))
    assert found.value("spendbeat_tokens", **{"class": "audio_output"}) == 0


def test_the_newest_audit_is_shown(books: Books, scrape: Callable[[], Scrape]) -> None:
    """Difference, rows and age; nothing at all before the first audit, rather than a false 0."""
    books.spend("openai", rows=40)
    take_tick()
    roll_up("openai")
    assert scrape().value("spendbeat_audit_difference_dollars") is None
    with transaction() as session:
        audit.record(session, audit.verify(session))
    with books.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE spend_summary SET total_cost = total_cost + 0.5")
    with transaction() as session:
        audit.record(session, audit.verify(session))
    found = scrape()
    assert found.value("spendbeat_audit_difference_dollars") == 0.5
    assert found.value("spendbeat_audit_mismatches") == 3
    assert found.value("spendbeat_audit_rows") == 40
    assert found.value("spendbeat_audit_age_seconds") >= 0


def test_months_ahead_are_counted(books: Books, scrape: Callable[[], Scrape]) -> None:
    """The migration makes two years; the month that runs is not ahead."""
    assert scrape().value("spendbeat_ledger_months_ahead") == 24


def test_models_without_end_become_one_line(books: Books, scrape: Callable[[], Scrape]) -> None:
    """Series are bounded: the cheapest models are summed as other/other, and nothing is lost."""
    with books.engine.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO spend_summary (provider, model, requests, total_cost)"
            " SELECT 'openai', 'model-' || n, 1, n"
            f" FROM generate_series(1, {MOST_MODELS + 50}) AS n"
        )
    found = scrape()
    assert len(found.labels("spendbeat_requests")) == MOST_MODELS + 1
    assert found.value("spendbeat_requests", provider="other", model="other") == 50
    assert found.value("spendbeat_requests") == MOST_MODELS + 50


def test_a_scrape_reads_no_ledger_and_acts_as_the_reader(books: Books, database: str) -> None:
    """Its cost does not grow with history, and it can change nothing."""
    books.spend("openai", rows=40)
    engine = reader(database)
    statements: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
    list(PostgresCollector(engine).collect())
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT current_user").scalar() == "spendbeat_reader"
    engine.dispose()
    assert len(statements) > 4
    for much in ("cost_logs", "spend_buckets"):
        assert not [s for s in statements if f"FROM {much}" in s]


def test_it_answers_without_postgres_and_without_redis(tmp_path: Path) -> None:
    """Nothing to ask is *_up 0 and never an error: somebody has to be able to see that."""
    with serving(f"postgresql+psycopg2://nobody@/none?host={tmp_path}") as scrape:
        answer = scrape()
    assert answer.value("spendbeat_database_up") == 0
    assert answer.value("spendbeat_redis_up") == 0


def test_capped_values_are_counted_by_kind_of_field(
    books: Books, scrape: Callable[[], Scrape]
) -> None:
    """Each kind is there from the start; however many keys tags have, they are one label."""
    name = "spendbeat_attribution_capped_total"
    assert scrape().value(name) == 0
    with transaction() as session:
        limits.store(session, "tag:*", 0)
        limits.store(session, "user_id", 0)
    with transaction() as session:
        mixes = [Mix(user_id="ada", tags=(f"a:{n}", f"b:{n}")) for n in range(3)]
        attributions.resolve(session, mixes)
    found = scrape()
    assert found.value(name, field="tag") == 6
    assert found.value(name, field="user_id") == 1
    assert found.value(name, field="project") == 0
    assert len(found.labels(name)) == len(limits.FIELDS)


def test_deliveries_are_counted_and_what_waits_has_an_age(
    database: str, scrape: Callable[[], Scrape]
) -> None:
    """Of each channel, 0 and not absent where nothing waits."""
    ops, _quiet = outboxes.channel(), outboxes.channel("quiet")
    outboxes.put(ops, count=3)
    for outcome in (Outcome("delivered", "accepted", 200, 0.5), Outcome("gone", "gone", 410, 0.25)):
        with transaction() as session:
            dispatch.deliver(session, "one", lambda *_, said=outcome: said, 0.5)
        if outcome.result == "delivered":
            found = scrape()
            assert found.value("spendbeat_outbox_waiting", channel="ops") == 2
            assert found.value("spendbeat_outbox_age_seconds", channel="ops") > 0
    found = scrape()
    assert found.value("spendbeat_outbox_waiting", channel="ops") == 0
    assert found.value("spendbeat_outbox_age_seconds", channel="ops") == 0
    assert found.value("spendbeat_outbox_dead", channel="ops") == 2
    assert found.value("spendbeat_outbox_waiting", channel="quiet") == 1  # told of the other's end
    counted = {"channel": "ops", "result": "delivered", "reason": "accepted"}
    assert found.value("spendbeat_deliveries_total", **counted) == 1
    assert found.value("spendbeat_delivery_seconds_total", channel="ops") == 0.75


def test_what_waits_in_the_inbox_and_what_could_not_be_booked_is_seen(
    books: Books, scrape: Callable[[], Scrape], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each up to a bound, so that a full inbox does not cost a scrape more than its time."""
    found = scrape()
    assert found.value("spendbeat_inbox_waiting") == 0
    assert found.value("spendbeat_inbox_age_seconds") == 0
    assert (found.value("spendbeat_database_bytes") or 0) > 1_000_000
    rows = (
        "INSERT INTO event_inbox (route, body, arrived_at, error)"
        " SELECT 'gateway', '{}', now() - make_interval(mins => n),"
        "  CASE WHEN n %% 3 = 0 THEN 'x' END FROM generate_series(1, 30) AS n"
    )
    with books.engine.begin() as connection:
        connection.exec_driver_sql(rows)
    found = scrape()
    assert found.value("spendbeat_inbox_waiting") == 20
    assert found.value("spendbeat_inbox_rejected") == 10
    assert 60 <= (found.value("spendbeat_inbox_age_seconds") or 0) < 120
    monkeypatch.setattr("worker.metrics.MOST_INBOX", 7)
    found = scrape()
    assert found.value("spendbeat_inbox_waiting") == 7
    assert found.value("spendbeat_inbox_rejected") == 7


def test_a_channel_that_is_disabled_is_seen_and_one_that_is_removed_is_not(
    books: Books, scrape: Callable[[], Scrape]
) -> None:
    """Unless it has something left."""
    for name in ("ops", "off", "older"):
        outboxes.channel(name)
    outboxes.put(outboxes.channel("old"))
    with books.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE channels SET state = 'disabled' WHERE name = 'off'")
        connection.exec_driver_sql("UPDATE channels SET state = 'removed' WHERE name LIKE 'old%%'")
    found = scrape()
    name = "spendbeat_channel_disabled"
    assert [found.value(name, channel=c) for c in ("ops", "off", "old", "older")] == [0, 1, 0, None]
    assert found.value("spendbeat_outbox_waiting", channel="old") == 1


def test_only_what_was_found_to_disagree_lately_is_counted(
    books: Books, scrape: Callable[[], Scrape]
) -> None:
    """The table grows with the days; a scrape does not read them all."""
    rows = (
        "INSERT INTO price_disagreements (day, provider, model, booked_source, other_source,"
        " requests, booked_usd, other_usd, difference_usd, example_row_id, found_at)"
        " SELECT '2020-01-01', 'openai', 'm', 'computed', 'gateway', 5, 1, 2, 1, 1,"
        "  now() - make_interval(days => days) FROM unnest(ARRAY[1, 29, 31]) AS days"
    )
    with books.engine.begin() as connection:
        connection.exec_driver_sql(rows)
    found = scrape()
    assert found.value("spendbeat_price_disagreements", provider="openai") == 10
    assert found.value("spendbeat_price_disagreement_dollars", provider="openai") == 2


def test_events_that_nobody_has_numbered_have_an_age(
    books: Books, scrape: Callable[[], Scrape]
) -> None:
    assert scrape().value("spendbeat_feed_age_seconds") == 0
    assert scrape().value("spendbeat_feed_position") == 0
    with transaction() as session:
        feed.put_reset(session)
        feed.put_reset(session)
    with books.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE feed_entries SET at = at - interval '100 seconds'")
    assert (scrape().value("spendbeat_feed_age_seconds") or 0) >= 100
    with transaction() as session:
        feed.number(session)
    found = scrape()
    assert found.value("spendbeat_feed_age_seconds") == 0
    assert found.value("spendbeat_feed_position") == 2
