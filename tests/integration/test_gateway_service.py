"""The recorder against the real service and ledger."""

import json
from pathlib import Path

from spendbeat_gateway import Recorder
from sqlalchemy import text

from tests.support.gateway import response
from tests.support.service import serving, token
from tests.support.waiting import wait_for
from worker.database import transaction


def ledger() -> list[tuple[object, ...]]:
    query = (
        "SELECT count(*), sum(input_tokens), sum(cache_read_tokens), count(cost_usd) FROM cost_logs"
    )
    with transaction() as session:
        return [tuple(row) for row in session.execute(text(query))]


def test_what_is_recorded_is_booked_once_with_its_price(database: str, tmp_path: Path) -> None:
    """The same again, as after a kill between sending and deleting, books nothing."""
    secret = token()
    with serving(secret) as service:
        for again in ("a", "b"):
            recorder = Recorder(url=service.url, token=secret, spool=tmp_path / again)
            for n in range(700):
                assert recorder.record(response(n), provider="openai", started_at=1_790_000_000 + n)
            assert recorder.flush()
            recorder.close()
    assert ledger() == [(700, 700_000, 420_000, 700)]


def test_what_the_service_refuses_is_set_aside_with_its_words(
    database: str, tmp_path: Path
) -> None:
    secret = token()
    with serving(secret) as service:
        recorder = Recorder(url=service.url, token=secret, spool=tmp_path)
        for n in range(20):
            fields = {"tags": [f"t{i}" for i in range(101)]} if n == 7 else {}
            fields = {"output_tokens": -5} if n == 11 else fields
            recorder.record(response(n), provider="openai", **fields)
        assert recorder.flush()
        refused = recorder._outbox.rejected()
        assert [json.loads(event.body)["id"] for event in refused] == [
            response(7)["id"],
            response(11)["id"],
        ]
        assert all(len(event.reason) > 10 for event in refused)
        recorder.close()
    assert ledger()[0][0] == 18


def test_the_service_knows_what_waits_and_what_was_dropped(database: str, tmp_path: Path) -> None:
    secret = token()
    with serving(secret) as service:
        recorder = Recorder(url=service.url, token=secret, spool=tmp_path)
        recorder.record(response(1), provider="p" * (1 << 20))
        recorder.record(response(2), provider="openai")
        assert recorder.flush()
        recorder.close()

        def spools() -> list[tuple[str, int, int]]:
            query = "SELECT name, waiting, dropped FROM gateway_spools"
            with transaction() as session:
                return [tuple(row) for row in session.execute(text(query))]

        wait_for(spools, "the figures of the spool")
    ((name, waiting, dropped),) = spools()
    assert (waiting, dropped) == (0, 1)
    assert str(tmp_path)[-40:] in name


def test_a_wrong_token_keeps_everything(database: str, tmp_path: Path) -> None:
    with serving() as service:
        recorder = Recorder(url=service.url, token="spb_wrong", spool=tmp_path)
        recorder.record(response(1), provider="openai")
        wait_for(lambda: recorder.stats().last_error, "the answer to be noted")
        stats = recorder.stats()
        assert (stats.waiting, stats.rejected, stats.dropped) == (1, 0, 0)
        assert "401" in str(stats.last_error)
        recorder.close()
