"""LiteLLM's own database is read: every row once, also when it comes late or is rewritten."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import text

from spend.capture.desk import Desk
from spend.litellm.errors import LitellmError
from spend.litellm.source import Source
from tests.support.captured import counted, ledger
from tests.support.litellm_syncs import conflicts, net, synced
from tests.support.litellm_tables import LitellmTables
from worker.database import transaction

NOW = datetime.now(UTC).replace(microsecond=0)
HOUR = timedelta(hours=1)


def test_rows_of_an_old_and_of_a_new_version_become_requests(
    version: str, litellm: LitellmTables, desk: Desk
) -> None:
    metadata = {
        "user_api_key_alias": "checkout",
        "user_api_key_team_alias": "shop",
        "spend_logs_metadata": {"project": "alpha", "sprint": "7"},
        "additional_usage_values": {"prompt_tokens_details": {"cached_tokens": 400}},
    }
    litellm.log("chatcmpl-" + "a" * 20, NOW, metadata=metadata, request_tags=["blue", "agent:x"])
    result = synced(litellm, desk)
    assert (result.rows, result.rejected, result.mode) == (1, 0, "logs")
    (row,) = ledger("*")
    assert (
        row.provider,
        row.model,
        row.input_tokens,
        row.output_tokens,
        row.cache_read_tokens,
    ) == (
        "openai",
        "gpt-4o",
        1000,
        100,
        400,
    )
    assert row.cost_usd == Decimal("0.0035")
    assert row.started_at == NOW
    with transaction("spendbeat_reader") as session:
        who = session.execute(text("SELECT * FROM attributions WHERE id > 0")).one()
    assert (who.project, who.sprint, who.agent, who.team, who.api_key, who.tags) == (
        "alpha",
        "7",
        "x",
        "shop",
        "checkout",
        ["blue"],
    )
    assert synced(litellm, desk).rows == 0
    assert counted()[0] == 1


def test_a_zero_is_unknown_and_a_cache_hit_and_a_failure_cost_nothing(
    version: str, litellm: LitellmTables, desk: Desk
) -> None:
    litellm.log(
        "unknown-model-of-the-proxy", NOW, spend=0.0, model="orchid-9", custom_llm_provider="acme"
    )
    litellm.log("chatcmpl-hit_cache_hit17.5", NOW, spend=0.0, cache_hit="True")
    failure = {"status": "failure", "error_information": {"error_class": "Timeout"}}
    litellm.log("refused", NOW, spend=0.0, prompt_tokens=0, completion_tokens=0, metadata=failure)
    litellm.log("upload", NOW, spend=0.0, prompt_tokens=0, completion_tokens=0, model="")
    result = synced(litellm, desk)
    assert (result.rows, result.unpriced, result.empty, result.rejected) == (3, 1, 1, 0)
    found = {row.model: (row.cost_usd, row.status) for row in ledger("model, cost_usd, status")}
    assert found["orchid-9"] == (None, "success")
    assert sorted(cost for cost, _ in found.values() if cost is not None) == [0]
    assert [row.status for row in ledger("status") if row.status == "failure"] == ["failure"]


def test_a_row_that_is_priced_later_twice_gets_two_corrections(
    version: str, litellm: LitellmTables, desk: Desk
) -> None:
    litellm.log(
        "resp-of-a-long-batch-job", NOW, spend=0.0, model="orchid-9", custom_llm_provider="acme"
    )
    litellm.log("resp-that-never-changes-1", NOW)
    synced(litellm, desk)
    assert net()[0][1:] == (None, 0)
    for n, (price, tokens) in enumerate(((0.25, 1000), (0.1, 3000)), start=1):
        litellm.rewrite("resp-of-a-long-batch-job", spend=price, prompt_tokens=tokens)
        result = synced(litellm, desk)
        assert (result.rows, result.settled) == (0, 1)
        assert net() == [
            ("resp-of-a-long-batch-job", Decimal(str(price)), n),
            ("resp-that-never-changes-1", Decimal("0.0035"), 0),
        ]
        assert synced(litellm, desk).settled == 0
    assert sum(row.input_tokens for row in ledger("input_tokens")) == 4000


def test_a_row_that_arrives_late_is_found_within_the_overlap(
    litellm: LitellmTables, desk: Desk
) -> None:
    litellm.log("first-of-all-requests", NOW)
    synced(litellm, desk)
    litellm.log("began-thirty-hours-ago", NOW - 30 * HOUR)
    litellm.log("began-too-long-ago-for-us", NOW - 60 * HOUR)
    assert synced(litellm, desk).rows == 1
    assert synced(litellm, desk, since=NOW - 90 * HOUR).rows == 1
    assert counted()[0] == 3


def test_unchanged_rows_are_not_fetched_again(litellm: LitellmTables, desk: Desk) -> None:
    for n in range(50):
        litellm.log(f"request-number-{n:04}-of-fifty", NOW - n * timedelta(minutes=50))
    assert synced(litellm, desk, batch=7).rows == 50
    again = synced(litellm, desk, batch=7)
    assert (again.read, again.unchanged, again.rows, again.known) == (50, 50, 0, 0)
    assert counted()[0] == 50


def _run(source: Source, statement: str) -> None:
    with source.connect() as connection:
        connection.execute(text("SELECT 1"))
        connection.execute(text(statement))


def test_nothing_can_be_written_there(litellm: LitellmTables) -> None:
    source = Source(litellm.url)
    with source.connect() as connection:
        assert connection.scalar(text("SHOW default_transaction_read_only")) == "on"
        assert connection.scalar(text("SHOW transaction_read_only")) == "on"
    for statement in (
        'DELETE FROM "LiteLLM_SpendLogs"',
        "SET TRANSACTION READ WRITE; CREATE TABLE mine ()",
    ):
        with pytest.raises(LitellmError, match=r"read-only|must be set before"):
            _run(source, statement)
    source.close()


def test_times_across_midnight_and_of_another_zone_stay_what_they_are(
    litellm: LitellmTables, desk: Desk
) -> None:
    litellm.run(f"ALTER DATABASE {litellm.engine.url.database} SET timezone = 'Asia/Tokyo'")
    midnight = NOW.replace(hour=0, minute=0, second=0)
    moments = [midnight - timedelta(milliseconds=1), midnight, midnight + timedelta(milliseconds=1)]
    for n, at in enumerate(moments):
        litellm.log(f"around-midnight-number-{n}", at)
    synced(litellm, desk, batch=1)
    assert [row.started_at for row in ledger("started_at")] == moments


def test_a_request_with_a_cost_of_its_own_stays_and_other_tokens_are_reported(
    litellm: LitellmTables, desk: Desk
) -> None:
    said = {"id": "chatcmpl-booked-before-by-hand", "started_at": NOW, "input_tokens": 7}
    desk.book([{**said, "provider": "openai", "model": "gpt-4o", "cost_usd": "0.5"}], route="test")
    litellm.log("chatcmpl-booked-before-by-hand", NOW)
    result = synced(litellm, desk)
    assert (result.rows, result.settled, result.conflicts) == (0, 0, 1)
    assert net() == [("chatcmpl-booked-before-by-hand", Decimal("0.5"), 0)]
    assert conflicts() == 1


def test_a_request_that_was_unpriced_by_another_route_gets_the_price_of_the_row(
    litellm: LitellmTables, desk: Desk
) -> None:
    said = {"id": "chatcmpl-from-an-instrumented-app", "started_at": NOW, "model": "orchid-9"}
    desk.book(
        [{**said, "provider": "acme", "input_tokens": 1000, "output_tokens": 100}], route="test"
    )
    row = {"model": "orchid-9", "custom_llm_provider": "acme", "spend": 0.75}
    litellm.log("chatcmpl-from-an-instrumented-app", NOW, **row)
    assert synced(litellm, desk).settled == 1
    assert net() == [("chatcmpl-from-an-instrumented-app", Decimal("0.75"), 1)]
    assert synced(litellm, desk, since=NOW - HOUR).settled == 0


def test_a_pooler_that_takes_no_startup_options_cannot_write_either(
    litellm: LitellmTables,
) -> None:
    source = Source(litellm.url + ("&" if "?" in litellm.url else "?") + "pgbouncer=true")
    with pytest.raises(LitellmError, match="read-only"):
        _run(source, 'DELETE FROM "LiteLLM_SpendLogs"')
    source.close()


def test_ids_that_only_the_row_knows_are_added_to_a_request_of_another_route(
    litellm: LitellmTables, desk: Desk
) -> None:
    event = {"started_at": NOW, "provider": "openai", "model": "gpt-4o", "input_tokens": 1000}
    event = {**event, "output_tokens": 100, "gateway_cost_usd": "0.0035"}
    desk.book([{**event, "id": "chatcmpl-known-by-its-response"}], route="test")
    litellm.log("chatcmpl-known-by-its-response", NOW, litellm_call_id="call-1")
    assert synced(litellm, desk).known == 1
    moment = int(NOW.timestamp()) * 1_000_000
    third = desk.book([{**event, "id": f"call-1@{moment}"}], route="test")
    assert (third.imported, third.known) == (0, 1)
