"""`spendbeat channels` and `secrets`: what is added works, and no secret is shown twice."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import text
from standardwebhooks import Webhook, WebhookVerificationError

from spend import secrets as store
from spend.delivery import registry
from spend.delivery.destination import AddressError, ForbiddenError
from spend.delivery.outcome import Message
from spend.errors import BadInputError
from spend.secrets import SecretKeyError
from tests.conftest import forget_caches
from tests.support.hooks import Hook, Reply, hook
from tests.support.mailbox import mailbox
from worker import sending
from worker.cli.channels import channels
from worker.cli.secrets import secrets
from worker.database import transaction

SLACK = "/services/T000/B000/abcdefghijklmnopqrstuvwx"
MESSAGE = Message("msg_1", datetime(2026, 11, 22, tzinfo=UTC), "channel.test", {"version": 1})


@pytest.fixture
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


def run(*arguments: str, group: Any = channels, given: str | None = None) -> Result:
    return CliRunner().invoke(group, arguments, input=given, catch_exceptions=False)


def add(name: str, url: str) -> str:
    """The secret of a new webhook."""
    return str(json.loads(run("add", name, "webhook", url, "--json").output)["secret"])


def stored() -> str:
    """Everything that the table holds."""
    with transaction() as session:
        return "\n".join(session.scalars(text("SELECT channels::text FROM channels")))


def send(name: str) -> str:
    with transaction() as session:
        channel = registry.named(session, name)
    return sending.send(channel, MESSAGE).result


def test_a_webhook_is_added_and_its_test_can_be_verified(home: Path, receiver: Hook) -> None:
    said = run("add", "ops", "webhook", receiver.url("/hook?token=hunter2hunter2")).output
    [secret] = [line for line in said.splitlines() if line.startswith("whsec_")]
    assert (home / "secret.key").stat().st_mode & 0o777 == 0o600
    for shown in (run("list").output, run("list", "--json").output, stored()):
        assert secret not in shown
        assert "hunter2" not in shown
        assert "ops" in shown
    tested = run("test", "ops")
    assert tested.exit_code == 0
    assert tested.output.startswith("Accepted: status 200 after 0.")
    assert "It said: ok" in tested.output
    [got] = receiver.got
    assert got.path == "/hook?token=hunter2hunter2"
    sent = Webhook(secret).verify(got.body, got.headers)
    assert sent["type"] == "channel.test"
    assert sent["data"]["channel"] == "ops"
    assert got.headers["webhook-id"] in tested.output


def test_what_did_not_work_is_shown_and_is_an_exit_code(home: Path, receiver: Hook) -> None:
    add("ops", receiver.url())
    receiver.replies.append(Reply(503, "come back\x1b[2J", {"Retry-After": "30"}))
    tested = run("test", "ops")
    assert tested.exit_code == 1
    assert "Not accepted (busy): status 503" in tested.output
    assert "wait for 30 s" in tested.output
    assert "come back [2J" in tested.output
    receiver.replies.append(Reply(410))
    found = json.loads(run("test", "ops", "--json").output)
    assert (found["result"], found["reason"], found["status"]) == ("gone", "gone", 410)
    # A test decides nothing: whoever looks for a mistake does not want the channel gone.
    assert json.loads(run("list", "--json").output)[0]["state"] == "active"


def test_the_url_of_slack_is_a_secret(home: Path, receiver: Hook) -> None:
    run("add", "alerts", "slack", "-", given=receiver.url(SLACK) + "\n")
    listed = run("list", "--json").output
    assert json.loads(listed)[0]["address"] == f"http://127.0.0.1:{receiver.port}/..."
    assert "abcdefghijklmnop" not in listed + stored()
    assert run("test", "alerts").exit_code == 0
    assert receiver.got[0].path == SLACK
    assert "test of the channel alerts" in json.loads(receiver.got[0].body)["text"]


def test_slack_without_tls_needs_the_operator(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPENDBEAT_WEBHOOK_ALLOWED")
    forget_caches()
    with transaction() as session, pytest.raises(ForbiddenError, match="https://"):
        registry.add(
            session,
            "alerts",
            "slack",
            f"http://hooks.example{SLACK}",
            sending.first_keys(),
            allowed=sending.allowed(),
            resolve=lambda *_: ["8.8.8.8"],
        )


def test_mail_needs_no_key_but_a_server(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run("add", "finance", "email", "cfo@example.com,team@example.com")
    assert not (home / "secret.key").exists()
    tested = run("test", "finance")
    assert tested.exit_code == 1
    assert "SPENDBEAT_SMTP_URL is not set" in tested.output
    with mailbox() as box:
        monkeypatch.setenv("SPENDBEAT_SMTP_URL", f"smtp://127.0.0.1:{box.port}?tls=none")
        monkeypatch.setenv("SPENDBEAT_MAIL_FROM", "spend@example.com")
        forget_caches()
        assert "status 250" in run("test", "finance").output
        assert box.mails[0]["From"] == "Spendbeat <spend@example.com>"
        assert box.envelopes[0][1] == ["cfo@example.com", "team@example.com"]


def test_an_address_inside_is_refused_when_it_is_added(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for url in ("http://169.254.169.254/latest/", "http://127.0.0.2/", "http://[::ffff:7f00:2]/"):
        with pytest.raises(ForbiddenError, match="SPENDBEAT_WEBHOOK_ALLOWED"):
            run("add", "ops", "webhook", url)
    for url in ("http://2130706433/", "http://user:hunter2@example.com/", "ftp://example.com/"):
        with pytest.raises(AddressError) as caught:
            run("add", "ops", "webhook", url)
        assert "hunter2" not in str(caught.value)
    assert json.loads(run("list", "--json").output) == []


def test_an_address_that_is_no_longer_listed_is_refused_when_it_is_sent_to(
    home: Path, receiver: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    add("ops", receiver.url())
    monkeypatch.delenv("SPENDBEAT_WEBHOOK_ALLOWED")
    forget_caches()
    assert "Not accepted (forbidden): no answer" in run("test", "ops").output
    assert receiver.got == []


def test_disabled_enabled_removed(home: Path, receiver: Hook) -> None:
    add("ops", receiver.url())
    with transaction() as session:
        channel = registry.named(session, "ops")
        assert registry.note(session, channel.id, delivered=False)
    assert "is disabled" in run("disable", "ops", "--reason", "moving").output
    assert "before" in run("disable", "ops").output
    assert "disabled (moving)" in run("list").output
    assert "is enabled" in run("enable", "ops").output
    [found] = json.loads(run("list", "--json").output)
    assert (found["state"], found["state_reason"], found["failing_since"]) == ("active", "", None)
    assert "active already" in run("enable", "ops").output
    assert run("remove", "ops", given="n\n").exit_code == 1
    assert "is removed" in run("remove", "ops", "--yes").output
    assert "gAAAA" not in stored()
    assert json.loads(run("list", "--json").output) == []
    assert json.loads(run("list", "--removed", "--json").output)[0]["state"] == "removed"
    add("ops", receiver.url())
    with transaction() as session:
        assert not registry.enable(session, channel.id)
        gone = registry.find(session, channel.id)
    assert gone is not None
    assert sending.send(gone, MESSAGE).result == "gone"
    with pytest.raises(BadInputError, match="already"):
        add("ops", receiver.url())
    for command in ("test", "disable", "enable", "rotate-secret", "remove"):
        with pytest.raises(BadInputError, match="no channel called"):
            run(command, "nobody")


def test_failures_are_counted_from_the_first_one(home: Path, receiver: Hook) -> None:
    add("ops", receiver.url())
    with transaction() as session:
        channel_id = registry.named(session, "ops").id
        assert registry.note(session, channel_id, delivered=True) is None
        first = registry.note(session, channel_id, delivered=False)
    with transaction() as session:
        assert registry.note(session, channel_id, delivered=False) == first
        assert registry.note(session, channel_id, delivered=True) is None


def test_a_rotated_secret_and_the_old_one_sign_until_the_overlap_ends(
    home: Path, receiver: Hook
) -> None:
    first = add("ops", receiver.url())
    second = json.loads(run("rotate-secret", "ops", "--json").output)["secret"]
    third = run("rotate-secret", "ops", "--overlap", "30m").output.splitlines()[-1]
    send("ops")
    got = receiver.got[-1]
    assert len(got.headers["webhook-signature"].split()) == 3
    for secret in (first, second, third):
        Webhook(secret).verify(got.body, got.headers)
    for secret in (first, second, third):
        assert secret not in stored()
    last = run("rotate-secret", "ops", "--overlap", "0").output.splitlines()[-1]
    send("ops")
    got = receiver.got[-1]
    Webhook(last).verify(got.body, got.headers)
    for secret in (first, second, third):
        with pytest.raises(WebhookVerificationError):
            Webhook(secret).verify(got.body, got.headers)
    # Nothing is kept of what signs no more: the URL and one secret.
    assert stored().count("gAAAA") == 2


def test_a_later_rotation_does_not_make_an_old_secret_last_longer(
    home: Path, receiver: Hook
) -> None:
    add("ops", receiver.url())
    run("rotate-secret", "ops", "--overlap", "1h")
    run("rotate-secret", "ops", "--overlap", "7d")
    with transaction() as session:
        newest, middle, oldest = registry.named(session, "ops").secrets
    assert newest.until is None
    assert middle.until is not None
    assert oldest.until is not None
    assert oldest.until < middle.until


def test_an_old_secret_ends_by_itself(home: Path, receiver: Hook) -> None:
    old = add("ops", receiver.url())
    new = json.loads(run("rotate-secret", "ops", "--json").output)["secret"]
    with transaction() as session:
        session.execute(
            text(
                "UPDATE channels SET secrets ="
                " jsonb_set(secrets, '{1,until}', '\"2026-01-01T00:00:00+00:00\"')"
            )
        )
    send("ops")
    got = receiver.got[-1]
    Webhook(new).verify(got.body, got.headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(old).verify(got.body, got.headers)


def test_too_many_secrets_and_odd_times_are_refused(home: Path, receiver: Hook) -> None:
    add("ops", receiver.url())
    for _ in range(4):
        run("rotate-secret", "ops")
    with pytest.raises(BadInputError, match="--overlap 0"):
        run("rotate-secret", "ops")
    for odd in ("soon", "-1h", "1.5h", "91d", "9999999h"):
        with pytest.raises(BadInputError):
            run("rotate-secret", "ops", f"--overlap={odd}")
    run("add", "finance", "email", "a@example.com")
    with pytest.raises(BadInputError, match="only a webhook"):
        run("rotate-secret", "finance")


def test_a_key_that_is_missing_or_wrong_is_said_clearly(
    home: Path, receiver: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    add("ops", receiver.url())
    key = (home / "secret.key").read_text()
    (home / "secret.key").unlink()
    tested = run("test", "ops")
    assert tested.exit_code == 1
    assert "Not accepted (unreadable)" in tested.output
    assert "is not there" in tested.output
    # A new key now would hide that the old one is lost.
    with pytest.raises(SecretKeyError, match="is not there"):
        add("other", receiver.url())
    assert not (home / "secret.key").exists()
    monkeypatch.setenv("SPENDBEAT_SECRET_KEY", store.new_key())
    forget_caches()
    assert "encrypted with another one" in run("test", "ops").output.replace("\n", " ")
    with pytest.raises(SecretKeyError, match="another one"):
        run("rotate", group=secrets)
    monkeypatch.setenv("SPENDBEAT_SECRET_KEY", f"{store.new_key()}, {key}")
    forget_caches()
    assert send("ops") == "delivered"


def test_keys_are_rotated_without_a_gap(
    home: Path, receiver: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = store.new_key(), store.new_key()
    monkeypatch.setenv("SPENDBEAT_SECRET_KEY", old)
    forget_caches()
    add("ops", receiver.url())
    run("rotate-secret", "ops")
    run("add", "alerts", "slack", receiver.url(SLACK))
    run("add", "finance", "email", "a@example.com")
    assert not (home / "secret.key").exists()
    monkeypatch.setenv("SPENDBEAT_SECRET_KEY", f"{new},{old}")
    forget_caches()
    assert send("ops") == "delivered"
    assert json.loads(run("rotate", "--json", group=secrets).output)["encrypted"] == 4
    monkeypatch.setenv("SPENDBEAT_SECRET_KEY", new)
    forget_caches()
    assert send("ops") == "delivered"
    assert len(receiver.got[-1].headers["webhook-signature"].split()) == 2
    assert send("alerts") == "delivered"
    refused = run("rotate", "--new-key", group=secrets)
    assert refused.exit_code == 2
    assert "SPENDBEAT_SECRET_KEY is set" in refused.output


def test_a_key_file_is_rotated_in_one_go(home: Path, receiver: Hook) -> None:
    add("ops", receiver.url())
    before = (home / "secret.key").read_text().split()
    said = run("rotate", "--new-key", "--forget", group=secrets).output
    assert "2 secrets are encrypted" in said
    after = (home / "secret.key").read_text().split()
    assert len(after) == 1
    assert after != before
    assert send("ops") == "delivered"
    assert len(run("new-key", group=secrets).output.strip()) == 44


def test_a_channel_is_shown_nowhere_with_its_ciphertexts(home: Path, receiver: Hook) -> None:
    secret = add("ops", receiver.url())
    with transaction() as session:
        channel = registry.named(session, "ops")
    assert "gAAAA" not in repr(channel)
    assert secret not in repr(channel)
    with transaction("spendbeat_reader") as session:
        assert [found.name for found in registry.listed(session)] == ["ops"]
        with pytest.raises(Exception, match="permission denied"):
            session.execute(text("SELECT sealed_url FROM channels"))


@pytest.mark.parametrize("name", ["", "a b", "-x", "x" * 101, "\u00e4"])
def test_a_name_that_would_be_hard_to_type_is_refused(home: Path, name: str) -> None:
    with pytest.raises(BadInputError, match="cannot be a channel's name"):
        run("add", "--", name, "email", "a@example.com")
