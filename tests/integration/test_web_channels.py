"""Channels over HTTP: what is added works, and no secret is shown twice."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook

from tests.conftest import forget_caches
from tests.support.asking import Client
from tests.support.books import Books
from tests.support.hooks import Hook, Reply, hook
from tests.support.service import Service

SLACK = "/services/T000/B000/abcdefghijklmnopqrstuvwx"


@pytest.fixture(autouse=True)
def home(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without a key; messages may go to loopback."""
    for name in ("SPENDBEAT_SECRET_KEY", "SPENDBEAT_SECRET_KEY_FILE", "SPENDBEAT_SMTP_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SPENDBEAT_HOME", str(tmp_path))
    monkeypatch.setenv("SPENDBEAT_WEBHOOK_ALLOWED", "127.0.0.1")
    forget_caches()
    return tmp_path


@pytest.fixture
def receiver() -> Iterator[Hook]:
    with hook() as hook_:
        yield hook_


@pytest.fixture
def client(home: Path, service: Service) -> Client:
    return Client(service)


def add(client: Client, url: str, name: str = "ops", kind: str = "webhook") -> Any:
    return client.good("POST", "/channels", {"name": name, "kind": kind, "address": url})


def everything(client: Client, books: Books) -> str:
    """What can be seen of channels, and what is stored."""
    stored = books.scalar("SELECT string_agg(channels::text, '') FROM channels")
    seen = [client.call("GET", path).text for path in ("/channels", "/channels/ops")]
    return "\n".join([str(stored), *seen])


def test_a_webhook_is_added_and_its_test_can_be_verified(
    client: Client, books: Books, receiver: Hook
) -> None:
    made = add(client, receiver.url("/hook?token=hunter2hunter2"))
    assert made["secret"].startswith("whsec_")
    assert made["address"].endswith("/hook?...")
    found = everything(client, books)
    assert made["secret"] not in found
    assert "hunter2" not in found
    assert "secret" not in client.get("/channels/ops")
    tested = client.good("POST", "/channels/ops/test")
    assert (tested["result"], tested["reason"], tested["status"]) == ("delivered", "accepted", 200)
    [got] = receiver.got
    assert got.path == "/hook?token=hunter2hunter2"
    assert got.headers["webhook-id"] == tested["id"]
    assert Webhook(made["secret"]).verify(got.body, got.headers)["type"] == "channel.test"


def test_what_a_receiver_said_is_an_answer_and_no_error(client: Client, receiver: Hook) -> None:
    add(client, receiver.url())
    receiver.replies.append(Reply(503, "come back", {"Retry-After": "30"}))
    tested = client.good("POST", "/channels/ops/test")
    assert (tested["result"], tested["status"], tested["answer"]) == ("retry", 503, "come back")
    assert tested["retry_after"] == 30
    receiver.replies.append(Reply(410))
    assert client.good("POST", "/channels/ops/test")["result"] == "gone"
    assert client.get("/channels/ops")["state"] == "active"


def test_the_url_of_slack_is_a_secret(client: Client, books: Books, receiver: Hook) -> None:
    made = add(client, receiver.url(SLACK), kind="slack")
    assert made["secret"] is None
    assert made["address"].endswith("/...")
    assert "abcdefghijklmnop" not in everything(client, books)
    assert client.good("POST", "/channels/ops/test")["result"] == "delivered"
    assert receiver.got[0].path == SLACK


def test_an_address_inside_is_refused_unless_the_operator_lists_it(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SPENDBEAT_WEBHOOK_ALLOWED")
    forget_caches()
    for url in (
        "http://127.0.0.1/", "http://[::ffff:127.0.0.1]/", "http://169.254.169.254/latest",
        "http://0x7f000001/", "file:///etc/passwd", "http://user:hunter2@127.0.0.1/",
    ):  # fmt: skip
        status, words = client.bad(
            "POST", "/channels", {"name": "ops", "kind": "webhook", "address": url}
        )
        assert status == 422
        assert "hunter2" not in words
    assert client.get("/channels")["channels"] == []


def test_a_channel_is_switched_off_and_on_and_removed(client: Client, receiver: Hook) -> None:
    add(client, receiver.url())
    off = client.good("POST", "/channels/ops/disable", {"reason": "moves on Monday"})
    assert (off["state"], off["state_reason"]) == ("disabled", "moves on Monday")
    assert client.good("POST", "/channels/ops/test")["result"] == "delivered"
    assert client.get("/channels/ops")["state"] == "disabled"
    assert client.good("POST", "/channels/ops/enable")["state"] == "active"
    assert client.good("POST", "/channels/ops/enable")["state"] == "active"
    assert client.good("POST", "/channels/ops/disable")["state_reason"] == "by operator"
    assert client.good("DELETE", "/channels/ops")["state"] == "removed"
    assert client.bad("DELETE", "/channels/ops")[0] == 404
    assert client.get("/channels")["channels"] == []
    [gone] = client.get("/channels?removed")["channels"]
    assert gone["state"] == "removed"
    add(client, receiver.url())


def test_a_reason_is_a_note_for_people(client: Client) -> None:
    client.good("POST", "/channels", {"name": "m", "kind": "email", "address": "a@example.com"})
    for reason in ("a\0b", "\x1b[2J", "x" * 501):
        assert client.bad("POST", "/channels/m/disable", {"reason": reason})[0] == 422
    assert client.get("/channels/m")["state"] == "active"


def test_a_new_secret_signs_beside_the_old_one(client: Client, receiver: Hook) -> None:
    first = add(client, receiver.url())["secret"]
    turned = client.good("POST", "/channels/ops/rotate-secret", {"overlap": "7d"})
    assert turned["old_until"]
    client.good("POST", "/channels/ops/test")
    for secret in (first, turned["secret"]):
        Webhook(secret).verify(receiver.got[-1].body, receiver.got[-1].headers)
    only = client.good("POST", "/channels/ops/rotate-secret", {"overlap": "0"})
    assert only["old_until"] is None
    client.good("POST", "/channels/ops/test")
    assert receiver.got[-1].headers["webhook-signature"].count("v1,") == 1
    assert client.bad("POST", "/channels/ops/rotate-secret", {"overlap": "91d"})[0] == 422
    client.good("POST", "/channels", {"name": "m", "kind": "email", "address": "a@example.com"})
    assert "only a webhook" in client.bad("POST", "/channels/m/rotate-secret")[1]


def test_a_name_that_is_taken_is_409(client: Client, receiver: Hook) -> None:
    add(client, receiver.url())
    body = {"name": "ops", "kind": "email", "address": "a@example.com"}
    status, words = client.bad("POST", "/channels", body)
    assert status == 409
    assert "already" in words


def test_pages_hold_every_channel_once(client: Client) -> None:
    for number in range(5):
        address = {"kind": "email", "address": "a@example.com"}
        client.good("POST", "/channels", {"name": f"c{number}", **address})
    first = client.get("/channels?limit=3")
    client.good("DELETE", "/channels/c2")
    rest = client.get(f"/channels?limit=3&after={first['next']}")
    names = [one["name"] for one in first["channels"] + rest["channels"]]
    assert names == ["c0", "c1", "c2", "c3", "c4"]
    assert rest["next"] is None


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"name": "ops", "kind": "webhook"}, "address is missing"),
        ({"name": "ops", "kind": "pager", "address": "x"}, "no kind"),
        ({"name": "a b", "kind": "email", "address": "a@example.com"}, "letters"),
        ({"name": 7, "kind": "email", "address": "a@example.com"}, "is a text"),
        ({"name": "ops", "kind": "email", "address": "a@example.com", "to": "x"}, "'to'"),
        ({"name": "ops", "kind": "email", "address": "a\0@example.com"}, ""),
    ],
)
def test_what_makes_no_sense_is_refused(client: Client, body: object, words: str) -> None:
    status, said = client.bad("POST", "/channels", body)
    assert (status, words in said) == (422, True), said


def test_what_is_not_there_is_404(client: Client) -> None:
    for name in ("nowhere", "a%00b", "x" * 200):
        for method, path in (
            ("GET", ""), ("DELETE", ""), ("POST", "/test"), ("POST", "/disable"),
            ("POST", "/enable"), ("POST", "/rotate-secret"),
        ):  # fmt: skip
            assert client.bad(method, f"/channels/{name}{path}")[0] == 404


def test_a_key_that_is_missing_is_said_and_no_new_one_is_made(
    client: Client, home: Path, receiver: Hook
) -> None:
    add(client, receiver.url())
    (home / "secret.key").unlink()
    body = {"name": "b", "kind": "webhook", "address": receiver.url()}
    status, words = client.bad("POST", "/channels", body)
    assert status == 503
    assert "secret.key" in words
    assert client.good("POST", "/channels/ops/test")["reason"] == "unreadable"
    assert not (home / "secret.key").exists()


def test_only_a_token_for_channels_changes_them(service: Service, receiver: Hook) -> None:
    client = Client(service, "channels", name="owner")
    add(client, receiver.url())
    assert client.get("/channels")["channels"]
    other = Client(service, "read", "budgets", "alerts", name="reader")
    assert other.get("/channels")["channels"]
    for method, path in (
        ("POST", ""), ("DELETE", "/ops"), ("POST", "/ops/test"), ("POST", "/ops/disable"),
        ("POST", "/ops/enable"), ("POST", "/ops/rotate-secret"),
    ):  # fmt: skip
        assert other.bad(method, f"/channels{path}")[0] == 403
    assert not receiver.got
    assert Client(service, "budgets", name="b").bad("GET", "/channels")[0] == 403


def test_no_secret_is_in_the_log(
    client: Client, receiver: Hook, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("DEBUG", "web"):
        made = add(client, receiver.url("/hook?token=hunter2hunter2"))
        client.bad("POST", "/channels", {"name": "x", "kind": "webhook", "address": "hunter2"})
        client.good("POST", "/channels/ops/test")
        client.bad("GET", f"/channels/{made['secret']}")
    assert "answered 422" in caplog.text
    assert made["secret"] not in caplog.text
    assert "hunter2" not in caplog.text
