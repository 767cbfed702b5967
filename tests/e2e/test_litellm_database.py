"""Beat and a worker read LiteLLM's own database by themselves, and totals follow its rows."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from pytest_celery import CeleryTestSetup

from tests.support.books import Books
from tests.support.litellm_tables import LitellmTables, tables
from tests.support.waiting import wait_for

NET = "SELECT coalesce(sum(total_cost), 0) FROM spend_summary"


@pytest.fixture
def litellm(postgres_server: str, litellm_schemas: dict[str, str]) -> Iterator[LitellmTables]:
    """A database with the newest schema."""
    with tables(postgres_server, litellm_schemas["new"]) as found:
        yield found


@pytest.fixture
def environment(
    environment: dict[str, str], litellm: LitellmTables, monkeypatch: pytest.MonkeyPatch
) -> dict[str, str]:
    """As everywhere, and a look into LiteLLM's database each second."""
    values = {"LITELLM_DATABASE_URL": litellm.url, "SPENDBEAT_LITELLM_SECONDS": "1"}
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    return {**environment, **values}


def test_rows_become_totals_and_follow_what_is_rewritten(
    litellm: LitellmTables, celery_setup: CeleryTestSetup, start: Any, books: Books
) -> None:
    now = datetime.now(UTC)
    for n in range(20):
        litellm.log(f"chatcmpl-of-a-working-proxy-{n}", now - n * timedelta(minutes=30))
    litellm.log("resp-of-a-batch-of-requests", now, spend=0.0, model="orchid-9")
    start("beat", "beat")
    wait_for(lambda: books.scalar(NET) == Decimal("0.07"), "totals of the rows")
    assert books.scalar("SELECT sum(unpriced) FROM spend_summary") == 1
    litellm.rewrite("resp-of-a-batch-of-requests", spend=0.5)
    litellm.log("chatcmpl-that-came-late", now - timedelta(hours=30), spend=0.25)
    wait_for(lambda: books.scalar(NET) == Decimal("0.82"), "totals of what changed and came late")
    assert books.scalar("SELECT sum(requests) FROM spend_summary") == 22
    assert books.scalar("SELECT sum(unpriced) FROM spend_summary") == 0
    assert books.scalar("SELECT error FROM litellm_sources") is None
