"""What is recorded arrives once, whatever the receiver does meanwhile."""

import json
import logging
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from spendbeat_gateway import Recorder, faults

from tests.support.gateway import recorder, response
from tests.support.receiver import Asked, Receiver, Said
from tests.support.waiting import wait_for


@pytest.fixture(autouse=True)
def every_message_is_new() -> None:
    faults._said.clear()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver().up() as running:
        yield running


def test_calls_arrive_in_batches_with_token_and_the_spools_figures(
    tmp_path: Path, receiver: Receiver
) -> None:
    receiver.token = "t0ken-of-a-test"
    with recorder(tmp_path, receiver.url, token="t0ken-of-a-test") as spendbeat:
        ids = {spendbeat.record(response(n), provider="openai") for n in range(1200)}
        assert spendbeat.flush()
        assert receiver.ids == ids
        assert len(receiver.asked) < 20
        assert max(len(asked.events) for asked in receiver.asked) <= 500
        last = receiver.asked[-1]
        assert last.path == "/ingest"
        assert last.headers["Content-Encoding"] == "gzip"
        state = dict(part.split("=", 1) for part in last.headers["Spendbeat-Spool"].split("; "))
        assert state.keys() == {"name", "waiting", "dropped", "oldest"}
        assert state["waiting"] == "0"
        assert str(tmp_path) in state["name"]
        wait_for(lambda: spendbeat.stats().waiting == 0, "the spool to be empty")
        wait_for(lambda: spendbeat.stats().shipped >= 1200, "all to be counted")
        assert spendbeat.stats().shipped == 1200


def test_an_event_is_what_the_service_takes(tmp_path: Path, receiver: Receiver) -> None:
    options = {"defaults": {"project": "search", "tags": ["a"]}}
    with recorder(tmp_path, receiver.url, **options) as spendbeat:
        made = spendbeat.record(
            response(7, service_tier="flex"),
            provider="openai",
            id="mine",
            started_at=1_800_000_000.5,
            project="other",
            trace_id=None,
        )
        assert spendbeat.flush()
    assert made == "mine"
    assert receiver.events["mine"] == {
        "id": "mine",
        "other_ids": [response(7)["id"]],
        "started_at": 1_800_000_000.5,
        "provider": "openai",
        "model": "gpt-4o-mini-2024-07-18",
        "service_tier": "flex",
        "input_tokens": 1000,
        "output_tokens": 200,
        "cache_read_tokens": 600,
        "project": "other",
        "tags": ["a"],
    }


def test_a_failure_is_recorded_without_tokens(tmp_path: Path, receiver: Receiver) -> None:
    with recorder(tmp_path, receiver.url) as spendbeat:
        made = spendbeat.record(provider="openai", model="openai/gpt-4o", status="failure")
        assert spendbeat.flush()
    assert made is not None
    event = receiver.events[made]
    assert (event["status"], event["input_tokens"], event["model"]) == ("failure", 0, "gpt-4o")


def test_numbered_answers_do_not_identify_a_call(tmp_path: Path, receiver: Receiver) -> None:
    """Two answers with such an id would be taken for one request, and one cost be lost."""
    with recorder(tmp_path, receiver.url) as spendbeat:
        for _ in range(2):
            spendbeat.record({**response(1), "id": "chatcmpl-123"}, provider="ollama")
        assert spendbeat.flush()
    assert len(receiver.ids) == 2


def test_bodies_for_litellms_route_go_there_as_an_array(tmp_path: Path, receiver: Receiver) -> None:
    with recorder(tmp_path, receiver.url) as spendbeat:
        assert spendbeat.put("litellm", {"id": "a", "response_cost": 0.1})
        spendbeat.record(response(1), provider="openai")
        assert spendbeat.put("litellm", json.dumps({"id": "b"}))
        assert spendbeat.flush()
    went = {(asked.path, event["id"]) for asked in receiver.asked for event in asked.events}
    assert went == {
        ("/ingest/litellm", "a"),
        ("/ingest/litellm", "b"),
        ("/ingest", response(1)["id"]),
    }


def test_nothing_is_lost_while_the_receiver_is_down(tmp_path: Path) -> None:
    receiver = Receiver()
    with receiver.up():
        pass
    with recorder(tmp_path, receiver.url) as spendbeat:
        ids = {spendbeat.record(response(n), provider="openai") for n in range(600)}
        assert not spendbeat.flush(0.3)
        wait_for(lambda: spendbeat.stats().last_error, "an error to be noted")
        with receiver.up():
            assert spendbeat.flush()
            assert receiver.ids == ids
            wait_for(lambda: spendbeat.stats().last_error is None, "the error to be over")


def test_a_steady_trickle_still_makes_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each request takes long enough for another call to come: that one waits for its turn."""
    monkeypatch.setattr("spendbeat_gateway.shipper.INTERVAL", 1000)
    calls = iter(range(200))

    class Busy(Receiver):
        def answer(self, asked: Asked) -> Said:
            if (n := next(calls, None)) is not None:
                spendbeat.record(response(n), provider="openai")
            return super().answer(asked)

    with Busy().up() as receiver, recorder(tmp_path, receiver.url) as spendbeat:
        spendbeat.record(response(1000), provider="openai")
        for _ in range(4):
            assert spendbeat.flush()
        assert len(receiver.asked) <= 5


def test_a_busy_service_is_left_alone_for_as_long_as_it_says(
    tmp_path: Path, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.answers.append(Said(503, None, {"Retry-After": "1000"}))
    with recorder(tmp_path, receiver.url) as spendbeat:
        spendbeat.record(response(1), provider="openai")
        wait_for(lambda: receiver.asked, "a first attempt")
        wait_for(lambda: spendbeat.stats().last_error, "its answer to be noted")
        assert spendbeat._shipper._not_before - time.monotonic() > 900
        assert len(receiver.asked) == 1


@pytest.mark.parametrize("status", [401, 403, 404, 500])
def test_an_answer_that_is_not_about_the_events_keeps_them(
    tmp_path: Path, receiver: Receiver, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    receiver.answers.append(Said(status, {"error": {"message": "go away"}}))
    with recorder(tmp_path, receiver.url, token="a-token-nobody-knows") as spendbeat:
        spendbeat.record(response(1), provider="openai")
        wait_for(lambda: spendbeat.stats().last_error, "its answer to be noted")
        said = str(spendbeat.stats().last_error)
        assert str(status) in said
        assert ("SPENDBEAT_GATEWAY_TOKEN" in said) == (status in {401, 403})
        assert (spendbeat.stats().waiting, spendbeat.stats().rejected) == (1, 0)
        assert spendbeat.flush()
    assert str(status) in caplog.text


def test_secrets_are_in_no_log_and_no_figure(
    tmp_path: Path, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    """Also where a service is so unkind to repeat the token."""
    caplog.set_level(logging.DEBUG, "spendbeat_gateway")
    receiver.answers.append(Said(500, {"error": {"message": "bad a-token-nobody-knows"}}))
    with recorder(tmp_path, receiver.url, token="a-token-nobody-knows") as spendbeat:
        spendbeat.record(response(1), provider="openai")
        wait_for(lambda: spendbeat.stats().last_error, "its answer to be noted")
        shown = f"{spendbeat.stats()} {spendbeat.settings} {caplog.text}"
    assert "nobody-knows" not in shown


@pytest.mark.parametrize("mute", [False, True], ids=["named", "to be searched for"])
def test_a_bad_event_is_set_aside_and_the_rest_arrives(
    tmp_path: Path, receiver: Receiver, *, mute: bool
) -> None:
    receiver.bad, receiver.mute = {str(response(n)["id"]) for n in (3, 40)}, mute
    with recorder(tmp_path, receiver.url) as spendbeat:
        ids = {spendbeat.record(response(n), provider="openai") for n in range(50)}
        assert spendbeat.flush()
        assert receiver.ids == ids - receiver.bad
        refused = spendbeat._outbox.rejected()
        assert {json.loads(event.body)["id"] for event in refused} == receiver.bad
        assert ("made to fail" if not mute else "bad items") in refused[0].reason
        receiver.bad = set()
        spendbeat._outbox.retry([event.id for event in refused])
        assert spendbeat.flush()
        assert receiver.ids == ids
        assert spendbeat.stats().rejected == 0


def test_a_page_of_some_proxy_refuses_no_event(tmp_path: Path, receiver: Receiver) -> None:
    """A 400 whose body is no JSON object says nothing about the events."""
    receiver.answers.append(Said(400, "<html>"))
    with recorder(tmp_path, receiver.url) as spendbeat:
        spendbeat.record(response(1), provider="openai")
        wait_for(lambda: spendbeat.stats().last_error, "its answer to be noted")
        assert spendbeat.stats().rejected == 0


def test_no_destination_keeps_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPENDBEAT_GATEWAY_URL", raising=False)
    spendbeat = Recorder(spool=tmp_path)
    spendbeat.record(response(1), provider="openai")
    assert spendbeat.stats().waiting == 1
    assert spendbeat.stats().destination == "none"
    spendbeat.close()
