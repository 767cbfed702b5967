"""Mail against a real server: with and without TLS, refused, postponed, and only once."""

import socket
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from time import sleep as pause

import pytest

from spend.delivery import email
from spend.delivery.destination import AddressError
from spend.delivery.email import MailServer
from spend.delivery.outcome import Message
from tests.support.certificates import Authority, authority
from tests.support.hooks import raw
from tests.support.mailbox import Mailbox, mailbox

MESSAGE = Message(
    "msg_1",
    datetime(2026, 11, 22, 3, 0, tzinfo=UTC),
    "budget.crossed",
    {
        "version": 1,
        "title": "Budget\r\nBcc: evil@example.com \u00fc",
        "text": "80 % of $10\n.\nend",
    },
)


@pytest.fixture
def box() -> Iterator[Mailbox]:
    with mailbox() as box:
        yield box


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return authority(tmp_path_factory.mktemp("ca"))


def silent(connection: socket.socket) -> None:
    connection.recv(1)


def plain(box: Mailbox) -> MailServer:
    return email.server(f"smtp://127.0.0.1:{box.port}?tls=none", "spendbeat@example.com")


def test_a_mail_has_the_messages_id_and_one_headline(box: Mailbox) -> None:
    outcome = email.send(["a@example.com", "b@example.com"], MESSAGE, plain(box))
    assert (outcome.result, outcome.reason, outcome.status) == ("delivered", "accepted", 250)
    assert outcome.answer == "kept"
    [mail] = box.mails
    assert mail["Message-ID"] == "<msg_1@example.com>"
    assert mail["Subject"] == "Budget Bcc: evil@example.com \u00fc"
    assert mail["Bcc"] is None
    assert mail["To"] == "a@example.com, b@example.com"
    assert mail["From"] == "Spendbeat <spendbeat@example.com>"
    assert mail["Date"].datetime == MESSAGE.at
    assert mail.get_content().splitlines() == ["80 % of $10", ".", "end"]
    assert box.envelopes == [("spendbeat@example.com", ["a@example.com", "b@example.com"])]


def test_a_server_that_says_later_is_asked_later(box: Mailbox) -> None:
    box.replies.append("451 try again")
    outcome = email.send(["a@example.com"], MESSAGE, plain(box))
    assert (outcome.result, outcome.reason, outcome.status) == ("retry", "busy", 451)
    box.replies.append("554 looks like spam")
    outcome = email.send(["a@example.com"], MESSAGE, plain(box))
    assert (outcome.result, outcome.reason, outcome.status) == ("retry", "refused", 554)
    assert outcome.answer == "looks like spam"
    assert email.send(["a@example.com"], MESSAGE, plain(box)).result == "delivered"
    assert len(box.mails) == 1


def test_a_mailbox_that_is_refused_does_not_keep_the_mail_from_others(box: Mailbox) -> None:
    box.refused["gone@example.com"] = "550 no such user"
    box.refused["full@example.com"] = "452 full"
    outcome = email.send(["gone@example.com", "a@example.com"], MESSAGE, plain(box))
    assert outcome.result == "delivered"
    assert "550 gone@example.com: no such user" in outcome.answer
    assert box.envelopes[0][1] == ["a@example.com"]
    outcome = email.send(["gone@example.com"], MESSAGE, plain(box))
    assert (outcome.result, outcome.reason, outcome.status) == ("retry", "refused", 550)
    outcome = email.send(["gone@example.com", "full@example.com"], MESSAGE, plain(box))
    assert (outcome.reason, outcome.status) == ("busy", 452)
    assert len(box.mails) == 1


def test_starttls_and_a_login(certificates: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates.file))
    context = certificates.server("127.0.0.1")
    with mailbox(starttls=context, login=("me", "pass word/@:")) as box:
        url = f"smtp://me:pass%20word%2F%40%3A@127.0.0.1:{box.port}"
        by = email.server(url, "spendbeat@example.com")
        assert email.send(["a@example.com"], MESSAGE, by).result == "delivered"
        assert box.encrypted == [True]
        outcome = email.send(["a@example.com"], MESSAGE, replace(by, password="wr0ng"))
        assert (outcome.result, outcome.reason, outcome.status) == ("retry", "refused", 535)
        assert "wr0ng" not in repr(outcome)
        assert "pass" not in repr(by).replace("password", "")


def test_tls_from_the_start(certificates: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates.file))
    with mailbox(tls=certificates.server("127.0.0.1")) as box:
        by = email.server(f"smtps://127.0.0.1:{box.port}", "spendbeat@example.com")
        assert email.send(["a@example.com"], MESSAGE, by).result == "delivered"


def test_no_mail_without_the_tls_that_was_asked_for(
    certificates: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates.file))
    with mailbox() as box:
        by = email.server(f"smtp://127.0.0.1:{box.port}", "spendbeat@example.com")
        outcome = email.send(["a@example.com"], MESSAGE, by)
        assert (outcome.result, outcome.reason) == ("retry", "tls")
        assert "?tls=none" in outcome.answer
        assert box.mails == []
    for context in (certificates.server("other.example"), authority(tmp_path).server("127.0.0.1")):
        with mailbox(starttls=context) as box:
            by = email.server(f"smtp://127.0.0.1:{box.port}", "spendbeat@example.com")
            outcome = email.send(["a@example.com"], MESSAGE, by)
            assert (outcome.result, outcome.reason) == ("retry", "tls")
            assert box.mails == []


@pytest.mark.parametrize("scheme", ["smtp", "smtps"])
def test_a_server_that_answers_letter_by_letter_is_left(
    certificates: Authority, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    """No pause of it is too long, the whole is; a thread that waits for it has no other limit."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates.file))
    monkeypatch.setattr(email, "_TOTAL_SECONDS", 0.3)

    def drip(connection: socket.socket) -> None:
        if scheme == "smtps":
            context = certificates.server("127.0.0.1")
            connection = context.wrap_socket(connection, server_side=True)
        connection.sendall(b"220 here\r\n")
        while connection.send(b"2"):
            pause(0.02)

    with raw(drip) as port:
        tls = "?tls=none" if scheme == "smtp" else ""
        by = email.server(f"{scheme}://127.0.0.1:{port}{tls}", "spendbeat@example.com")
        outcome = email.send(["a@example.com"], MESSAGE, by)
    assert (outcome.result, outcome.reason) == ("retry", "timeout")
    assert outcome.answer == "no answer in time"


def test_a_server_that_is_not_there_or_silent(
    box: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    by = plain(box)
    monkeypatch.setattr(email, "_SECONDS", 0.2)
    with raw(silent) as port:
        assert email.send(["a@example.com"], MESSAGE, replace(by, port=port)).reason == "timeout"
    assert email.send(["a@example.com"], MESSAGE, replace(by, port=port)).reason == "unreachable"
    nowhere = replace(by, host="nothing.invalid")
    assert email.send(["a@example.com"], MESSAGE, nowhere).reason == "unresolved"
    with raw(lambda connection: connection.sendall(b"SSH-2.0-x\r\n")) as port:
        assert email.send(["a@example.com"], MESSAGE, replace(by, port=port)).reason == "not_http"
    with raw(lambda connection: connection.sendall(b"220 hello\r\n")) as port:
        assert email.send(["a@example.com"], MESSAGE, replace(by, port=port)).reason == (
            "unreachable"
        )


@pytest.mark.parametrize(
    "url",
    [
        "mail.example",
        "http://mail.example",
        "smtp://",
        "smtp://mail.example:port",
        "smtp://mail.example:99999",
        "smtp://mail.example?tls=maybe",
        "smtps://mail.example?tls=none",
        "smtp://mail.example?starttls=no",
        "smtp://mail.example?x",
        "smtp://me:hunter2@mail.example?tls=none",
        "smtp://me:hunter2@[::1",
        "smtp://me:hunter2%C3%BC@mail.example",
    ],
)
def test_a_mail_server_that_makes_no_sense_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(AddressError) as caught:
        email.server(url, "spendbeat@example.com")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nobody",
        "a@b@c",
        "a@example.com\nBcc: b@example.com",
        "A <a@example.com>",
        "a@ex\u00e4mple.com",
        "a@example.com;b@example.com",
        "-@example..com",
        ", ".join(f"a{number}@example.com" for number in range(21)),
    ],
)
def test_mailboxes_that_make_no_sense_are_refused(text: str) -> None:
    with pytest.raises(AddressError):
        email.recipients(text)


def test_mailboxes_are_taken_apart() -> None:
    assert email.recipients("a@x.example, b+c@x.example,a@x.example") == (
        "a@x.example",
        "b+c@x.example",
    )
