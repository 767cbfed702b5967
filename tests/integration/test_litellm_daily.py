"""Where LiteLLM keeps no spend logs, its daily tables stand in, and nothing is counted twice."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import text

from spend.capture.desk import Desk
from tests.support.captured import counted, ledger
from tests.support.ledger import roll, summary, verify
from tests.support.litellm_syncs import net, synced
from tests.support.litellm_tables import LitellmTables, naive
from worker.database import transaction

NOW = datetime.now(UTC).replace(microsecond=0)
TODAY = NOW.date()
DAY = timedelta(days=1)


def grow(litellm: LitellmTables, spend: float, tokens: int) -> None:
    litellm.run(
        'UPDATE "LiteLLM_DailyUserSpend" SET spend = :spend, prompt_tokens = :tokens,'
        " updated_at = :now WHERE date = :day",
        spend=spend,
        tokens=tokens,
        now=naive(datetime.now(UTC)),
        day=TODAY.isoformat(),
    )


def test_sums_of_days_are_booked_and_grow_with_the_day(
    version: str, litellm: LitellmTables, desk: Desk
) -> None:
    litellm.daily(TODAY - DAY, spend=1.5)
    litellm.daily(TODAY, spend=0.25)
    result = synced(litellm, desk)
    assert (result.mode, result.rows, result.rejected) == ("daily", 2, 0)
    assert "disable_spend_logs" in result.notes[0]
    rows = ledger("started_at, cost_usd, input_tokens, output_tokens, request_id")
    assert sorted(row.started_at.date() for row in rows) == [TODAY - DAY, TODAY]
    assert max(row.started_at for row in rows) <= datetime.now(UTC)
    for spend, tokens in ((0.5, 2000), (0.75, 3000)):
        grow(litellm, spend, tokens)
        assert synced(litellm, desk).settled == 1
        assert synced(litellm, desk).settled == 0
    assert sorted(cost for _, cost, _ in net() if cost) == [Decimal("0.75"), Decimal("1.5")]
    roll()
    assert summary() == {("openai", "gpt-4o"): Decimal("2.25")}
    assert verify().mismatches == ()
    with transaction("spendbeat_reader") as session:
        who = session.execute(text("SELECT * FROM attributions WHERE id > 0")).one()
    assert (who.user_id, who.tags) == ("ada", ["litellm-daily"])


def test_a_beat_reads_them_only_now_and_then(litellm: LitellmTables, desk: Desk) -> None:
    litellm.daily(TODAY, spend=0.25)
    synced(litellm, desk)
    grow(litellm, 0.5, 2000)
    soon = synced(litellm, desk, daily_every=timedelta(minutes=10))
    assert (soon.mode, soon.settled) == ("daily", 0)
    assert synced(litellm, desk).settled == 1


def test_a_day_on_which_logs_were_switched_off_counts_what_the_logs_lack(
    litellm: LitellmTables, desk: Desk
) -> None:
    """In the daily table both are together."""
    early = datetime(TODAY.year, TODAY.month, TODAY.day, tzinfo=UTC) - timedelta(hours=1)
    day = early.date()
    litellm.log("chatcmpl-logged-that-day", early, spend=0.25, user="ada")
    first = synced(litellm, desk)
    assert (first.mode, first.rows) == ("logs", 1)
    litellm.daily(day, spend=1.0, prompt_tokens=4000, completion_tokens=400)
    second = synced(litellm, desk)
    assert (second.mode, second.rows) == ("daily", 1)
    assert (counted()[0], counted()[2]) == (2, Decimal(1))
    assert sum(row.input_tokens for row in ledger("input_tokens")) == 4000
    # The log of one of the requests comes late: what was left for the sum is less.
    litellm.log("chatcmpl-logged-but-late", early, spend=0.5, user="ada")
    synced(litellm, desk)
    assert counted()[2] == Decimal(1)
    litellm.log("chatcmpl-the-last-of-them", early, spend=0.25, prompt_tokens=2000,
                completion_tokens=200, user="ada")  # fmt: skip
    synced(litellm, desk)
    assert counted()[2] == Decimal(1)
    assert sum(row.input_tokens for row in ledger("input_tokens")) == 4000
    # Switched on again: the newest log is as new as the sums.
    litellm.log("chatcmpl-logs-are-on-again", datetime.now(UTC), spend=0.1, user="ada")
    assert synced(litellm, desk).mode == "logs"


def test_days_whose_logs_were_deleted_later_are_not_added_again(
    litellm: LitellmTables, desk: Desk
) -> None:
    old = NOW - 10 * DAY
    litellm.log("chatcmpl-of-a-day-long-ago", old, spend=0.25, user="ada")
    litellm.daily(old.date(), spend=0.25)
    synced(litellm, desk)
    litellm.run('DELETE FROM "LiteLLM_SpendLogs"')
    litellm.daily(TODAY, spend=1.0)
    result = synced(litellm, desk, since=NOW - 30 * DAY)
    assert (result.mode, result.rows) == ("daily", 1)
    assert counted()[2] == Decimal("1.25")


def test_sums_of_requests_that_another_route_may_have_brought_are_left_out(
    litellm: LitellmTables, desk: Desk
) -> None:
    event = {"id": "by-callback", "started_at": NOW, "provider": "openai", "model": "gpt-4o"}
    desk.book([{**event, "input_tokens": 10, "gateway_cost_usd": "0.25"}], route="test")
    litellm.daily(TODAY, spend=0.25)
    litellm.daily(TODAY, spend=0.5, model="orchid-9", custom_llm_provider="acme")
    result = synced(litellm, desk)
    assert result.rows == 1
    assert "openai gpt-4o" in result.notes[1]
    assert counted()[2] == Decimal("0.75")
    assert synced(litellm, desk, daily="off").mode == "logs"


@pytest.mark.parametrize("lag", [timedelta(minutes=1), timedelta(minutes=10)])
def test_daily_tables_that_are_written_beside_logs_are_not_read(
    lag: timedelta, litellm: LitellmTables, desk: Desk
) -> None:
    moment = datetime.now(UTC) - lag  # not NOW, which is when the run began
    litellm.log("chatcmpl-while-both-are-on", moment, spend=0.25, user="ada")
    litellm.daily(moment.date(), spend=0.25)
    result = synced(litellm, desk)
    assert (result.mode, result.rows, counted()[2]) == ("logs", 1, Decimal("0.25"))
