"""GET /events, with a service on loopback: who hears what, in which order, and until when."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import text

from spend import feed, tokens
from spend.tenancy import Binding
from tests.conftest import forget_caches
from tests.support import alerts, budgets, feeds, ledger
from tests.support.databases import away
from tests.support.service import Service, serving, token
from tests.support.streams import Stream, deaf, listening
from tests.support.valkey import valkey
from tests.support.waiting import wait_for
from web import events
from web.stream import hub
from web.stream.hub import Hub
from web.stream.listeners import MOST_WAITING, Listener, Place
from web.stream.looking import PART_ENTRIES, Part
from worker import bell
from worker.database import transaction


@pytest.fixture
def reader(database: str) -> str:
    return token("reader", "read")


@pytest.fixture
def service(reader: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    monkeypatch.setattr(hub, "LOOKS", 0.1)  # there is no Redis here that rings
    with serving(reader) as service:
        yield service


def bound(name: str, **fields: str) -> str:
    with transaction() as session:
        return tokens.create(session, name, ["read"], Binding(**fields))[1]


def happen(count: int = 1) -> None:
    for _ in range(count):
        with transaction() as session:
            feed.put_reset(session)


def spend(**fields: Any) -> None:
    with transaction() as session:
        ledger.add(session, **fields)
    ledger.roll()


def mix(id_: int, organization: str) -> int:
    sql = (
        "INSERT INTO attributions (id, digest, organization)"
        " VALUES (:id, gen_random_uuid(), :organization)"
    )
    ledger.run_as("spendbeat_owner", sql, id=id_, organization=organization)
    return id_


def test_what_happens_is_told_as_it_happens(service: Service, reader: str) -> None:
    with listening(service.url, reader) as stream:
        assert stream.answered["content-type"].startswith("text/event-stream")
        assert stream.answered["x-accel-buffering"] == "no"
        assert "no-transform" in stream.answered["cache-control"]
        assert any(line.startswith("retry: ") for line in stream.lines)
        spend()
        (first,) = stream.have(1)
        assert (first.kind, first.data["provider"], first.data["total_cost"]) == (
            "spend", "openai", "1",
        )  # fmt: skip
        assert first.id == f"{feeds.standing().epoch}-1"
        happen()
        assert [one.kind for one in stream.have(2)] == ["spend", "reset"]


def test_without_an_id_only_what_is_new_is_told(service: Service, reader: str) -> None:
    happen(3)
    with listening(service.url, reader) as stream:
        happen()
        stream.have(1)
        assert stream.ids() == [4]


def test_a_client_that_comes_back_goes_on_without_a_hole(service: Service, reader: str) -> None:
    with listening(service.url, reader) as stream:
        # Before anything has happened it knows where it is.
        begin = wait_for(lambda: stream.last_id, "an id")
    happen(230)
    with listening(service.url, reader, last_event_id=begin) as stream:
        happen(20)
        stream.have(250)
        assert stream.ids() == list(range(1, 251))
        tenth = stream.told[9].id
    path = f"/events?last_event_id={tenth}"
    with listening(service.url, reader, path) as stream:
        stream.have(240)
        assert stream.ids() == list(range(11, 251))


def test_many_come_back_while_much_happens_and_all_have_all(service: Service, reader: str) -> None:
    happen(60)
    epoch = feeds.standing().epoch
    streams = [
        Stream(service.url + "/events", reader, {"Last-Event-ID": f"{epoch}-{number}"})
        for number in range(20)
    ]
    for number, stream in enumerate(streams):
        stream.start()
        happen(1 + number % 3)
    last = feed_newest()
    for number, stream in enumerate(streams):
        stream.have(last - number)
        assert stream.ids() == list(range(number + 1, last + 1))
        stream.close()


def feed_newest() -> int:
    feeds.number()
    return feeds.standing().newest


@pytest.mark.parametrize(
    "id_",
    [
        "nonsense",
        "{epoch}-999",
        "other-1",
        "other-2",
        "other-3",
        "{epoch}-1",
        "{epoch}-x",
    ],
)
def test_an_id_that_nothing_can_follow_is_reset_and_goes_on(
    service: Service, reader: str, id_: str
) -> None:
    for _ in range(3):
        spend()
    feeds.number()
    ledger.run_as("spendbeat_owner", "DELETE FROM feed_entries WHERE position <= 2")
    epoch = feeds.standing().epoch
    with listening(service.url, reader, last_event_id=id_.format(epoch=epoch)) as stream:
        (first,) = stream.have(1)
        assert (first.kind, first.id, first.data) == ("reset", f"{epoch}-3", {})
        spend()
        assert [one.kind for one in stream.have(2)] == ["reset", "spend"]


def test_when_the_feed_begins_anew_everybody_is_reset(service: Service, reader: str) -> None:
    happen(3)
    with listening(service.url, reader) as stream:
        ledger.run_as("spendbeat_owner", "UPDATE feed_state SET origin = 'elsewhere'")
        (first,) = stream.have(1)
        assert first.kind == "reset"
        assert first.id == f"{feeds.standing().epoch}-3"
        spend()
        assert stream.have(2)[1].kind == "spend"


def test_a_bound_token_hears_only_of_its_own(service: Service, reader: str) -> None:
    acme, other = mix(1, "acme"), mix(2, "other")
    mine = bound("mine", organization="acme")
    budgets.add("acme", period="total", scope={"organization": "acme"}, thresholds=["1"])
    budgets.add("all", period="total", thresholds=["1"])
    with (
        listening(service.url, mine) as stream,
        listening(service.url, reader, "/events?kinds=spend,alert") as all_,
    ):
        spend(attribution_id=other, cost_usd=98765, provider="hidden")
        spend(attribution_id=acme, cost_usd=3)
        alerts.check(hub_now())
        spend(attribution_id=acme, cost_usd=5, provider="anthropic")
        all_.have(5)
        stream.have(3)
        happen()
        stream.have(4)
    assert [(one.kind, one.data.get("total_cost")) for one in stream.told] == [
        ("spend", "3"), ("alert", None), ("spend", "5"), ("reset", None),
    ]  # fmt: skip
    raw = "\n".join(stream.lines)
    assert "hidden" not in raw
    assert "other" not in raw
    assert "98765" not in raw
    assert stream.told[1].data["budget"] == "acme"
    assert {one.data.get("budget") for one in all_.told} >= {"acme", "all"}
    # The same again from Postgres, where it resumes.
    again = f"{feeds.standing().epoch}-0"
    with listening(service.url, mine, last_event_id=again) as resumed:
        assert resumed.have(4) == stream.told


def hub_now() -> Any:
    return ledger.scalar("SELECT now()")


def test_kinds_are_chosen(service: Service, reader: str) -> None:
    budgets.add("shop", period="total", thresholds=["1"])
    with listening(service.url, reader, "/events?kinds=alert") as stream:
        spend(cost_usd=3)
        alerts.check(hub_now())
        happen()
        assert [one.kind for one in stream.have(2)] == ["alert", "reset"]
    for path in ("/events?kinds=spent", "/events?kinds=", "/events?kind=spend"):
        assert service.client.get(path).status_code == 400


def test_a_token_that_is_revoked_hears_nothing_of_what_comes_after(
    service: Service, reader: str
) -> None:
    leaving = token("leaving", "read")
    with (
        listening(service.url, leaving) as stream,
        listening(service.url, reader) as staying,
    ):
        happen()
        stream.have(1)
        with transaction() as session:
            tokens.revoke(session, "leaving")
        happen()
        staying.have(2)
        stream.wait_until_over()
        assert len(stream.told) == 1
        assert not staying.over


def test_a_revoked_token_ends_a_stream_on_which_nothing_happens(service: Service) -> None:
    with listening(service.url, token("leaving", "read")) as stream:
        with transaction() as session:
            tokens.revoke(session, "leaving")
        stream.wait_until_over()
        assert stream.told == []


def test_a_revoked_token_does_not_get_on_with_what_it_missed(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each page is read together with the token, whenever the reader looks."""
    leaving = token("leaving", "read")
    happen(150)
    feeds.number()
    read = Hub.missed

    async def revoking(self: Hub, listener: Listener, place: Place) -> Part:
        if place.position:
            with transaction() as session:
                tokens.revoke(session, "leaving")
        return await read(self, listener, place)

    monkeypatch.setattr(Hub, "missed", revoking)
    monkeypatch.setattr(hub, "LOOKS", 1000.0)
    first = f"{feeds.standing().epoch}-0"
    with listening(service.url, leaving, last_event_id=first) as stream:
        stream.wait_until_over()
        assert stream.ids() == list(range(1, PART_ENTRIES + 1))
    # The service still remembers the token, and the feed does not.
    with listening(service.url, leaving, last_event_id=first) as stream:
        assert stream.status == 401


def test_without_a_token_or_the_scope_nothing_is_told(service: Service) -> None:
    assert service.client.get("/events", headers={"Authorization": ""}).status_code == 401
    other = {"Authorization": f"Bearer {token('other', 'ingest')}"}
    assert service.client.get("/events", headers=other).status_code == 403


def test_there_are_at_most_so_many_and_a_place_is_free_when_one_goes(reader: str) -> None:
    other = token("other", "read")
    with serving(reader, web_streams=3, web_streams_per_token=2) as service:
        with listening(service.url, reader), listening(service.url, reader):
            with listening(service.url, reader) as third:
                assert third.status == 429
                assert third.answered["retry-after"]
            with listening(service.url, other), listening(service.url, other) as fourth:
                assert fourth.status == 503
                assert fourth.answered["retry-after"]
                assert "SPENDBEAT_WEB_STREAMS" in fourth.body

        def free() -> bool:
            with listening(service.url, reader) as again:
                return again.status == 200

        wait_for(free, "a place to be free")


@pytest.mark.parametrize("count", [MOST_WAITING - 10, MOST_WAITING * 2])
def test_one_that_does_not_read_is_closed_and_keeps_nobody_waiting(
    service: Service, reader: str, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    """Whether more waits for it than may, or just for too long."""
    monkeypatch.setattr(events, "STUCK", 1.0)
    fat = json.dumps({"lines": [[None, None, "k" * 100_000, 1, 0, "1"]], "rest": None,
                      "provider": "fat", "counted_to": None})  # fmt: skip
    put = "INSERT INTO feed_entries (kind, body) VALUES ('spend', CAST(:body AS jsonb))"
    slow = deaf(service.url, reader)
    with listening(service.url, reader) as quick:
        for _ in range(count):
            ledger.run_as("spendbeat_writer", put, body=fat)
        quick.have(count)
        assert quick.ids() == list(range(1, count + 1))
        closed = 'spendbeat_sse_closed_total{reason="slow"} 1.0'
        metrics = {"Authorization": f"Bearer {token('metrics', 'metrics')}"}
        wait_for(
            lambda: closed in service.client.get("/metrics", headers=metrics).text,
            "the slow one to be closed",
        )
    slow.close()


def test_while_postgres_is_away_streams_wait_and_then_go_on(
    database: str, service: Service, reader: str
) -> None:
    with listening(service.url, reader) as stream:
        happen()
        stream.have(1)
        with away(database):
            with listening(service.url, reader) as other:
                assert other.status == 503
                assert other.answered["retry-after"]
            assert not stream.over
        happen()
        stream.have(2)
        assert stream.ids() == [1, 2]


def test_heartbeats_say_where_a_client_is(
    service: Service, reader: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that hears only alerts goes on after the spend that was not for it."""
    monkeypatch.setattr(events, "HEARTBEAT", 0.05)
    with listening(service.url, reader, "/events?kinds=alert") as stream:
        wait_for(lambda: ": ping" in stream.lines, "a heartbeat")
        for _ in range(3):
            spend()
        wait_for(lambda: stream.last_id.endswith("-3"), "the id to move")
        assert stream.told == []


def test_what_happens_while_nobody_listens_is_for_those_who_resume(
    service: Service, reader: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "_IDLE_LOOKS", 0.05)
    with listening(service.url, reader) as stream:
        happen()
        last = stream.have(1)[0].id
    happen(3)
    wait_for(lambda: feeds.standing().newest == 4, "positions to be given without listeners")
    with listening(service.url, reader, last_event_id=last) as stream:
        happen()
        stream.have(4)
        assert stream.ids() == [2, 3, 4, 5]


def test_a_stream_ends_with_its_client(service: Service, reader: str) -> None:
    gone = 'spendbeat_sse_closed_total{reason="gone"} 1.0'
    headers = {"Authorization": f"Bearer {token('metrics', 'metrics')}"}
    with listening(service.url, reader):
        found = service.client.get("/metrics", headers=headers).text
        assert "spendbeat_sse_clients 1.0" in found
    wait_for(lambda: gone in service.client.get("/metrics", headers=headers).text, "it to be gone")
    assert "spendbeat_sse_clients 0.0" in service.client.get("/metrics", headers=headers).text


def test_a_ring_is_heard_at_once_and_without_redis_it_takes_a_look(
    database: str, reader: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "LOOKS", 1000.0)
    with valkey() as redis:
        monkeypatch.setenv("REDIS_URL", f"redis+socket://{redis.url.removeprefix('unix://')}")
        forget_caches()
        with serving(reader) as service, listening(service.url, reader) as stream:
            heard = "PUBSUB", "NUMSUB", bell.CHANNEL
            wait_for(lambda: redis.client.execute_command(*heard)[1], "it to listen")
            happen()
            bell.ring()
            stream.have(1)
            redis.kill()
            bell.ring()  # nobody hears it, and nothing fails
            redis.start()
            happen()
            # Whoever subscribes anew looks: the bell may have rung meanwhile.
            stream.have(2)
            redis.kill()
            monkeypatch.setattr(hub, "LOOKS", 0.1)
            happen()
            with listening(service.url, reader):  # somebody who comes makes it look
                stream.have(3)
            happen()
            stream.have(4)


def test_a_waiting_listener_holds_no_transaction(service: Service, reader: str) -> None:
    with listening(service.url, reader), transaction("spendbeat_owner") as session:
        session.execute(text("SET LOCAL lock_timeout = '5s'"))
        session.execute(text("LOCK TABLE feed_entries IN ACCESS EXCLUSIVE MODE"))
