"""Budgets over HTTP: what the command line can do, with answers for programs."""

import threading
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import text

from spend.budgets.sums import LOCK
from tests.support import budgets as support
from tests.support import ledger
from tests.support.asking import Client
from tests.support.books import Books
from tests.support.databases import away
from tests.support.service import Service, serving
from tests.support.waiting import wait_for
from worker.database import transaction

SHOP = {
    "name": "shop",
    "scope": {"project": "shop"},
    "zone": "Europe/Berlin",
    "soft_limit": "80.5",
    "hard_limit": 100.1,
    "thresholds": ["80%", {"at": 100, "basis": "forecast", "severity": "critical"}],
}
WAITING = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    " AND wait_event_type = 'Lock'"
)


@pytest.fixture
def client(service: Service) -> Client:
    return Client(service)


@pytest.fixture
def held(books: Books) -> Iterator[Any]:
    """What a batch of rollups holds: no edit can begin until it is let go."""
    with books.engine.begin() as connection:
        connection.execute(text("SELECT pg_advisory_xact_lock_shared(:lock)"), {"lock": LOCK})
        yield connection


def test_a_budget_is_made_shown_changed_paused_and_removed(client: Client) -> None:
    answer = client.call("POST", "/budgets", SHOP)
    assert answer.status_code == 201
    made = answer.json()
    assert answer.headers["location"] == f"/budgets/{made['id']}"
    assert (made["soft_limit"], made["hard_limit"]) == ("80.5", "100.1")
    assert (made["created_by"], made["version"], made["state"]) == ("operator", 1, "active")
    assert made["thresholds"] == ["80%,actual,warning", "100,forecast,critical"]
    edited = client.good("PATCH", "/budgets/shop", {"hard_limit": None, "note": "for now"})
    assert (edited["hard_limit"], edited["soft_limit"], edited["version"]) == (None, "80.5", 2)
    assert client.good("POST", "/budgets/shop/pause")["state"] == "paused"
    assert client.good("POST", f"/budgets/{made['id']}/resume")["state"] == "active"
    assert client.good("PATCH", "/budgets/shop", {"state": "paused"})["state"] == "paused"
    renamed = client.good("PATCH", "/budgets/shop", {"name": "store", "state": "active"})
    assert (renamed["name"], renamed["state"]) == ("store", "active")
    assert client.good("DELETE", "/budgets/store")["state"] == "removed"
    assert client.get("/budgets")["budgets"] == []
    assert client.get("/budgets?removed")["budgets"][0]["state"] == "removed"
    assert client.get(f"/budgets/{made['id']}")["status"] is None
    versions = client.get("/budgets/store/history")["versions"]
    assert [one["change"] for one in versions] == [
        "added", "edited", "paused", "resumed", "paused", "edited", "resumed", "removed"
    ]  # fmt: skip
    assert {one["changed_by"] for one in versions} == {"operator"}


def test_what_a_command_says_is_what_http_says(client: Client) -> None:
    """The fields of an answer are those of a file: sent back, they change nothing."""
    made = client.good("POST", "/budgets", {**SHOP, "raise": {"by": "0.1", "until": "2099-01-01"}})
    said = {name: made[name] for name in (*SHOP, "raise", "period", "note", "enforce")}
    assert client.good("PATCH", "/budgets/shop", said)["version"] == 1


def test_a_name_that_is_taken_is_409_and_says_so(client: Client) -> None:
    client.good("POST", "/budgets", SHOP)
    client.good("POST", "/budgets", {"name": "other", "hard_limit": 5})
    for method, path, body in (
        ("POST", "/budgets", SHOP),
        ("PATCH", "/budgets/other", {"name": "shop"}),
    ):
        status, words = client.bad(method, path, body)
        assert status == 409
        assert "There is a budget 'shop' already" in words
    assert len(client.get("/budgets")["budgets"]) == 2


def test_one_of_several_who_make_the_same_budget_at_once_makes_it(
    client: Client, books: Books
) -> None:
    codes: list[int] = []

    def make() -> None:
        codes.append(client.call("POST", "/budgets", SHOP).status_code)

    senders = [threading.Thread(target=make) for _ in range(6)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    assert sorted(codes) == [201] + [409] * 5
    assert books.scalar("SELECT count(*) FROM budgets") == 1


def test_two_who_edit_at_once_do_not_overwrite_each_other(client: Client) -> None:
    """Whoever says what they have read is refused where it is not so any more, and told by whom."""
    made = client.call("POST", "/budgets", SHOP)
    tag = made.headers["etag"]
    assert client.call("GET", "/budgets/shop").headers["etag"] == tag
    changed = client.call("PATCH", "/budgets/shop", {"hard_limit": 200}, {"If-Match": tag})
    assert changed.status_code == 200
    assert changed.headers["etag"] != tag
    for method, path, body in (
        ("PATCH", "/budgets/shop", {"hard_limit": 300}),
        ("POST", "/budgets/shop/pause", None),
        ("DELETE", "/budgets/shop", None),
    ):
        status, words = client.bad(method, path, body, If_Match=tag)
        assert status == 412
        assert "version 2" in words
        assert "by operator" in words
        status, words = client.bad(method, path, {**(body or {}), "version": 1})
        assert status == 409
        assert "version 2" in words
    status, _ = client.bad("PATCH", "/budgets/shop", {"version": "2"})
    assert status == 422
    assert client.get("/budgets/shop")["hard_limit"] == "200"
    client.good("PATCH", "/budgets/shop", {"hard_limit": 300, "version": 2})
    both = f'"0.0", {client.call("GET", "/budgets/shop").headers["etag"]}'
    client.good("POST", "/budgets/shop/pause", If_Match=both)
    client.good("DELETE", "/budgets/shop", If_Match="*")


def test_a_tag_of_a_removed_namesake_is_refused(client: Client) -> None:
    tag = client.call("POST", "/budgets", SHOP).headers["etag"]
    client.good("DELETE", "/budgets/shop")
    client.good("POST", "/budgets", SHOP)
    assert client.bad("PATCH", "/budgets/shop", {"hard_limit": 1}, If_Match=tag)[0] == 412


def test_status_says_what_is_spent_and_left(client: Client) -> None:
    """A new budget is right at once; amounts keep every digit."""
    with transaction() as session:
        ledger.add(session, provider="openai", model="m", cost_usd=Decimal("12.000000000001"))
    ledger.roll()
    client.good("POST", "/budgets", {"name": "all", "period": "total", "hard_limit": 100})
    client.good("POST", "/budgets", {"name": "b", "hard_limit": 100})
    one, other = client.get("/budgets?status=true")["budgets"]
    assert one["status"]["spend"] == "12.000000000001"
    assert one["status"]["left"] == "87.999999999999"
    assert one["status"]["percent"] == "12"
    assert one["status"]["forecast"] is None
    assert other["status"]["days_left"] >= 1
    assert other["status"]["no_forecast_because"]
    found = client.get("/budgets/all")
    assert found["status"] == one["status"]
    assert [period["spend"] for period in found["periods"]] == ["12.000000000001"]
    assert "status" not in client.get("/budgets")["budgets"][0]


def test_pages_hold_every_budget_once(client: Client) -> None:
    names = [f"b{number:02}" for number in range(7)]
    for name in names:
        support.add(name)
    found: list[str] = []
    path = "/budgets?limit=3"
    pages = 0
    following: str | None = ""
    while following is not None:
        page = client.get(path + (f"&after={following}" if following else ""))
        found += [budget["name"] for budget in page["budgets"]]
        following = page["next"]
        pages += 1
        if pages == 1:
            # What was the end of a page may be gone when the next one is asked for.
            client.good("DELETE", "/budgets/b02")
    assert (found, pages) == (names, 3)


def test_history_comes_in_pages(client: Client) -> None:
    client.good("POST", "/budgets", SHOP)
    for limit in (1, 2, 3):
        client.good("PATCH", "/budgets/shop", {"soft_limit": limit})
    first = client.get("/budgets/shop/history?limit=3")
    rest = client.get(f"/budgets/shop/history?limit=3&after={first['next']}")
    assert [one["version"] for one in first["versions"] + rest["versions"]] == [1, 2, 3, 4]
    assert rest["next"] is None


def test_a_list_is_applied_once_and_says_what_changes(client: Client) -> None:
    wanted = {"budgets": [SHOP, {"name": "all", "soft_limit": 5, "state": "paused"}]}
    planned = client.good("PUT", "/budgets?dry_run=true", wanted)
    assert not planned["applied"]
    assert [one["change"] for one in planned["changes"]] == ["added", "added", "paused"]
    assert client.get("/budgets")["budgets"] == []
    applied = client.good("PUT", "/budgets", wanted)
    assert applied == {**planned, "applied": True}
    again = client.good("PUT", "/budgets", wanted)
    assert (again["changes"], again["same"]) == ([], ["shop", "all"])
    fewer = {"budgets": [{**SHOP, "hard_limit": "200"}]}
    assert client.good("PUT", "/budgets", fewer)["left"] == ["all"]
    client.good("PUT", "/budgets?remove_others", fewer)
    [left] = client.get("/budgets")["budgets"]
    assert (left["name"], left["hard_limit"], left["changed_by"]) == ("shop", "200", "operator")


def test_a_list_with_one_bad_budget_changes_nothing(client: Client) -> None:
    bad = {"budgets": [SHOP, {"name": "bad", "hard_limit": 5, "soft_limit": 6}]}
    status, words = client.bad("PUT", "/budgets", bad)
    assert status == 422
    assert "'bad'" in words
    assert client.get("/budgets")["budgets"] == []


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"hard_limit": 5}, 422, "needs a name"),
        ({"name": "b", "colour": "red"}, 422, "no 'colour'"),
        ({"name": "b", "hard_limit": "sNaN"}, 422, "above 0"),
        ({"name": "b", "hard_limit": 5, "thresholds": ["80%,channel=none"]}, 422, "no channel"),
        ({"name": "b", "hard_limit": 5, "zone": "Mars/Phobos"}, 422, "not a time zone"),
        ({"name": "b", "hard_limit": 5, "state": "removed"}, 422, "active or paused"),
        ({"name": "b", "hard_limit": 5, "note": "a\0b"}, 422, "a note"),
        ([SHOP], 400, "JSON object"),
    ],
)
def test_what_makes_no_sense_is_refused_with_the_reason(
    client: Client, body: object, status: int, words: str
) -> None:
    found, said = client.bad("POST", "/budgets", body)
    assert (found, words in said) == (status, True), said
    assert client.get("/budgets?removed")["budgets"] == []


def test_what_is_not_there_is_404(client: Client) -> None:
    for which in ("nowhere", "7", "99999999999999999999", "a%00b", "%F0%9F%92%B8"):
        for method, path in (
            ("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/pause"), ("GET", "/history")
        ):  # fmt: skip
            assert client.bad(method, f"/budgets/{which}{path}")[0] == 404
    assert client.bad("PUT", "/budgets/shop")[0] == 405


def test_a_parameter_that_means_nothing_is_refused(client: Client) -> None:
    """Rather than passed over, so that nobody takes all budgets for those that were asked for."""
    for query in (
        "stats", "limit=0", "limit=501", "limit=x", "limit=%C2%B2", "after=x", "after=WzFd",
        "removed=2", "status&limit=101",
    ):  # fmt: skip
        assert client.bad("GET", f"/budgets?{query}")[0] == 400, query


def test_a_token_does_what_its_scopes_say(service: Service) -> None:
    reader = Client(service, "read", name="reader")
    sender = Client(service, "ingest", "guard", "channels", name="sender")
    owner = Client(service, "budgets", name="owner")
    owner.good("POST", "/budgets", SHOP)
    assert owner.get("/budgets/shop")["created_by"] == "owner"
    assert reader.get("/budgets")["budgets"]
    assert reader.get("/budgets/shop/history")["versions"]
    for method, path, body in (
        ("POST", "/budgets", {"name": "b"}),
        ("PUT", "/budgets?dry_run", {"budgets": []}),
        ("PATCH", "/budgets/shop", {"hard_limit": 1}),
        ("DELETE", "/budgets/shop", None),
        ("POST", "/budgets/shop/pause", None),
    ):
        answer = reader.call(method, path, body)
        assert answer.status_code == 403
        assert 'scope="budgets"' in answer.headers["www-authenticate"]
    for path in ("/budgets", "/budgets/shop", "/budgets/shop/history"):
        assert sender.bad("GET", path)[0] == 403
        assert service.client.get(path, headers={"Authorization": ""}).status_code == 401


def test_bodies_are_bounded_and_have_to_be_json(client: Client) -> None:
    big = {"name": "b", "note": "x" * 300_000}
    assert client.bad("POST", "/budgets", big)[0] == 413
    for content, kind, status in (
        (b'{"name": "b"', "application/json", 400),
        (b"name: b", "application/yaml", 415),
        (b"", "application/json", 422),
    ):
        answer = client.service.client.post(
            "/budgets",
            content=content,
            headers={"Authorization": client.bearer, "Content-Type": kind},
        )
        assert answer.status_code == status
        assert answer.json()["error"]
    packed = client.service.post_gzipped(
        b'{"name": "b", "note": "' + b"x" * 20_000_000 + b'"}', "/budgets",
        authorization=client.bearer,
    )  # fmt: skip
    assert packed.status_code == 413


def test_whoever_looks_waits_for_nobody_who_changes(
    client: Client, books: Books, held: Any
) -> None:
    """An edit waits for the batch under way; looking, sending and health do not."""
    done: list[int] = []

    def make(number: int) -> None:
        body = {"name": f"b{number}", "hard_limit": 1}
        done.append(client.call("POST", "/budgets", body).status_code)

    senders = [threading.Thread(target=make, args=(number,)) for number in range(4)]
    for sender in senders:
        sender.start()
    wait_for(lambda: books.scalar(WAITING) == 2, "two of them to wait for the batch")
    assert client.get("/budgets") == {"budgets": [], "next": None}
    assert client.service.client.get("/").status_code == 200
    assert done == []
    held.rollback()
    for sender in senders:
        sender.join()
    assert done == [201] * 4


def test_too_many_changes_at_once_are_503_and_the_rest_is_done(
    database: str, books: Books, held: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("web.calls.IN_FLIGHT", 2)
    with serving() as service:
        client = Client(service)
        done: list[int] = []

        def make(number: int) -> None:
            body = {"name": f"b{number}", "hard_limit": 1}
            done.append(client.call("POST", "/budgets", body).status_code)

        senders = [threading.Thread(target=make, args=(number,)) for number in range(2)]
        for sender in senders:
            sender.start()
        wait_for(lambda: books.scalar(WAITING) == 2, "both to wait for the batch")
        answer = client.call("POST", "/budgets", SHOP)
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) > 0
        assert client.get("/budgets")["budgets"] == []
        held.rollback()
        for sender in senders:
            sender.join()
        assert done == [201, 201]


def test_answers_are_nobodys_to_keep(client: Client) -> None:
    for path in ("/budgets", "/budgets/nowhere"):
        assert client.call("GET", path).headers["cache-control"] == "no-store"


def test_the_log_names_no_budget_and_no_content(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", "web"):
        client.call("POST", "/budgets", {"name": "s3cret", "soft_limit": "s3cret"})
        client.call("GET", "/budgets/s3cret")
        client.call("POST", "/budgets", {"name": "s3cret", "hard_limit": 1, "note": "s3cret"})
    assert "GET /budgets/{which}: unknown, answered 404" in caplog.text
    assert "POST /budgets by operator, answered 201" in caplog.text
    assert "s3cret" not in caplog.text


def test_while_postgres_is_away_it_is_503_and_the_same_works_afterwards(
    client: Client, books: Books, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Its token is not looked up again, so that the request gets as far as the budgets.
    monkeypatch.setattr("web.tokens.REMEMBERED_SECONDS", 60.0)
    client.good("POST", "/budgets", SHOP)
    books.engine.dispose()
    with away(database):
        for method, path, body in (("GET", "/budgets", None), ("POST", "/budgets", {**SHOP})):
            answer = client.call(method, path, body)
            assert answer.status_code == 503
            assert int(answer.headers["retry-after"]) > 0
    wait_for(lambda: client.call("GET", "/budgets").status_code == 200, "it to work again")
    assert client.bad("POST", "/budgets", SHOP)[0] == 409
