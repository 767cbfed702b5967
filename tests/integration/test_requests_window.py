"""The usual seven days are those of the first page, however long somebody takes for the others."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from tests.support import ledger
from tests.support.asking import Client
from tests.support.captured import spendbeat
from tests.support.service import Service
from tests.support.waiting import wait_for
from worker.database import transaction

SOON = timedelta(seconds=8)


@pytest.fixture
def leaves_soon(database: str) -> datetime:
    """Three requests; when the oldest is seven days old."""
    edge = datetime.now(UTC) - timedelta(days=7) + SOON
    with transaction() as session:
        ledger.add(session, [{"started_at": edge + timedelta(days=n)} for n in range(3)])
    ledger.roll()
    return edge + timedelta(days=7)


def _late(moment: datetime) -> None:
    wait_for(lambda: datetime.now(UTC) > moment, "the oldest request to be a week old")


def test_a_request_that_turns_a_week_old_meanwhile_still_comes(
    service: Service, leaves_soon: datetime
) -> None:
    client = Client(service, "read")
    first = client.get("/requests?limit=2")
    said = json.loads(spendbeat("requests", "--limit", "2", "--json").stdout)
    assert ledger.scalar("SELECT count(*) FROM cost_logs") == 3
    _late(leaves_soon)
    rest = client.get(f"/requests?limit=2&after={first['next']}")
    assert (len(first["data"]), len(rest["data"]), rest["next"]) == (2, 1, None)
    assert rest["from"] == first["from"]
    more = json.loads(spendbeat("requests", "--after", said["next"], "--json").stdout)
    assert more["data"][0]["id"] == rest["data"][0]["id"]
