"""Webhooks and Slack against real receivers: what is sent, to whom, and what an answer means."""

import json
import socket
import struct
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from spend.delivery import answers, destination, posting, slack, webhook
from spend.delivery.destination import Networks
from spend.delivery.outcome import Message, Outcome
from tests.support.certificates import Authority, authority
from tests.support.hooks import Hook, Reply, hook, raw

LOOPBACK = destination.networks("127.0.0.0/8")
NOBODY = Networks()
MESSAGE = Message(
    "msg_1",
    datetime(2026, 11, 22, 3, 0, tzinfo=UTC),
    "budget.crossed",
    {"version": 1, "budget": "Team B\u00fcro <x>", "spent_usd": "12.50"},
)


@pytest.fixture
def receiver() -> Iterator[Hook]:
    with hook() as hook_:
        yield hook_


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return authority(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def trusted(certificates: Authority, monkeypatch: pytest.MonkeyPatch) -> Authority:
    """Trusted by OpenSSL's own variable."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates.file))
    return certificates


def here(*_: object) -> list[str]:
    return ["127.0.0.1"]


def send(url: str, *secrets: str, allowed: Networks = LOOPBACK) -> Outcome:
    signing = secrets or (webhook.new_secret(),)
    return webhook.send(url, signing, MESSAGE, allowed=allowed, resolve=here)


def test_a_receiver_verifies_each_live_secret_with_the_standards_library(receiver: Hook) -> None:
    new, old, other = (webhook.new_secret() for _ in range(3))
    outcome = send(receiver.url("/hook?a=b"), new, old)
    assert outcome.result == "delivered"
    assert (outcome.reason, outcome.status, outcome.answer) == ("accepted", 200, "ok")
    [got] = receiver.got
    assert got.path == "/hook?a=b"
    assert got.headers["host"] == f"127.0.0.1:{receiver.port}"
    assert got.headers["webhook-id"] == "msg_1"
    for secret in (new, old):
        said = Webhook(secret).verify(got.body, got.headers)
        assert said == {
            "type": "budget.crossed",
            "timestamp": "2026-11-22T03:00:00+00:00",
            "data": MESSAGE.body,
        }
    with pytest.raises(WebhookVerificationError):
        Webhook(other).verify(got.body, got.headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(new).verify(got.body + b" ", got.headers)


def test_each_attempt_has_the_same_id_and_bytes_and_a_time_of_its_own(receiver: Hook) -> None:
    secret = webhook.new_secret()
    early = webhook.headers(MESSAGE, "{}", [secret], datetime(2026, 1, 1, tzinfo=UTC))
    assert early["webhook-timestamp"] == "1767225600"
    for _ in range(2):
        send(receiver.url(), secret)
    first, second = receiver.got
    assert first.body == second.body
    assert first.headers["webhook-id"] == second.headers["webhook-id"]
    # Not the message's own time: a receiver refuses what is older than five minutes.
    assert abs(int(first.headers["webhook-timestamp"]) - datetime.now(UTC).timestamp()) < 300


@pytest.mark.parametrize(
    ("status", "result", "reason"),
    [
        (200, "delivered", "accepted"),
        (204, "delivered", "accepted"),
        (299, "delivered", "accepted"),
        (300, "retry", "redirect"),
        (304, "retry", "redirect"),
        (400, "retry", "refused"),
        (401, "retry", "refused"),
        (404, "retry", "refused"),
        (410, "gone", "gone"),
        (413, "retry", "refused"),
        (429, "retry", "busy"),
        (500, "retry", "failed"),
        (502, "retry", "busy"),
        (503, "retry", "busy"),
        (504, "retry", "busy"),
        (599, "retry", "failed"),
        (600, "retry", "failed"),
        (103, "retry", "not_http"),
    ],
)
def test_what_a_status_means(receiver: Hook, status: int, result: str, reason: str) -> None:
    receiver.replies.append(Reply(status))
    outcome = send(receiver.url())
    assert (outcome.result, outcome.reason, outcome.status) == (result, reason, status)


def test_the_time_to_wait_is_that_of_the_receiver(receiver: Hook) -> None:
    receiver.replies.append(Reply(429, headers={"Retry-After": "120"}))
    assert send(receiver.url()).retry_after == 120
    receiver.replies.append(Reply(503, headers={"Retry-After": "Fri, 31 Dec 2100 00:00:00 GMT"}))
    assert send(receiver.url()).retry_after == answers.MOST_RETRY_AFTER
    receiver.replies.append(Reply(200, headers={"Retry-After": "120"}))
    assert send(receiver.url()).retry_after is None


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("0", 0),
        (" 7 ", 7),
        ("9999999999", 86_400),
        (format_datetime(datetime(2026, 11, 22, 3, 1, 30, tzinfo=UTC), usegmt=True), 90),
        ("Sun, 22 Nov 2026 03:01:30 -0000", 90),
        ("Sun, 22 Nov 2026 02:00:00 GMT", 0),
        ("Sunday, 22-Nov-26 03:00:05 GMT", 5),
        ("-1", None),
        ("1.5", None),
        ("soon", None),
        ("99999999999999999999", None),
        ("Sun, 99 Nov 2026 03:01:30 GMT", None),
        ("\u0661\u0662", None),
        ("", None),
        (None, None),
    ],
)
def test_a_time_to_wait_is_seconds_or_a_date(header: str | None, seconds: float | None) -> None:
    assert answers.wait(header, datetime(2026, 11, 22, 3, 0, tzinfo=UTC)) == seconds


def test_a_redirect_to_the_inside_is_not_followed(receiver: Hook) -> None:
    for status in (301, 302, 303, 307, 308):
        with hook() as inside:
            receiver.replies.append(Reply(status, headers={"Location": inside.url("/secret")}))
            outcome = send(receiver.url())
            assert (outcome.result, outcome.reason) == ("retry", "redirect")
            assert inside.got == []
    assert len(receiver.got) == 5


def test_a_name_that_moves_inside_is_refused_at_the_next_attempt(receiver: Hook) -> None:
    told = iter(["93.184.215.14", "127.0.0.1", "127.0.0.1"])
    asked = []

    def rebinding(host: str, port: int) -> list[str]:
        asked.append((host, port))
        return [next(told)]

    url = f"http://rebinding.example:{receiver.port}/hook"
    # When it was saved, the name still led outside.
    destination.check(destination.parse(url), NOBODY, rebinding)
    for _ in range(2):
        outcome = webhook.send(
            url, [webhook.new_secret()], MESSAGE, allowed=NOBODY, resolve=rebinding
        )
        assert (outcome.result, outcome.reason) == ("retry", "forbidden")
        assert "127.0.0.1" in outcome.answer
    assert receiver.got == []
    assert asked == [("rebinding.example", receiver.port)] * 3


def test_the_connection_goes_to_the_address_that_was_checked(
    receiver: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The resolver is asked once; a second answer of its own would be another address."""
    told = iter([["127.0.0.1"], ["127.0.0.2"]])
    looked_up = []
    real = socket.getaddrinfo

    def watched(host: str, *rest: object, **more: object) -> object:
        looked_up.append(host)
        return real(host, *rest, **more)  # type: ignore[arg-type]  # handed through

    monkeypatch.setattr(socket, "getaddrinfo", watched)
    url = f"http://rebinding.example:{receiver.port}/hook"
    secret = webhook.new_secret()
    outcome = webhook.send(url, [secret], MESSAGE, allowed=LOOPBACK, resolve=lambda *_: next(told))
    assert outcome.result == "delivered"
    assert receiver.got[0].headers["host"] == f"rebinding.example:{receiver.port}"
    assert next(told) == ["127.0.0.2"]
    assert "rebinding.example" not in looked_up


def test_proxies_of_the_environment_are_passed_over(
    receiver: Hook, monkeypatch: pytest.MonkeyPatch
) -> None:
    with hook() as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "https_proxy"):
            monkeypatch.setenv(name, proxy.url(""))
        monkeypatch.delenv("no_proxy", raising=False)
        assert send(receiver.url()).result == "delivered"
        assert proxy.got == []
    assert len(receiver.got) == 1


def test_a_certificate_is_checked_against_the_name_not_the_address(trusted: Authority) -> None:
    with hook(trusted.server("hooks.example")) as receiver:
        assert send(receiver.url(host="hooks.example", scheme="https")).result == "delivered"
        assert receiver.got[0].sni == "hooks.example"
        for host in ("other.example", "127.0.0.1"):
            outcome = send(receiver.url(host=host, scheme="https"))
            assert (outcome.result, outcome.reason) == ("retry", "tls")
            assert "certificate" in outcome.answer
        assert len(receiver.got) == 1


def test_an_address_in_the_certificate_counts_for_itself(trusted: Authority) -> None:
    with hook(trusted.server("127.0.0.1")) as receiver:
        assert send(receiver.url(scheme="https")).result == "delivered"


def test_nobody_is_believed_whose_authority_is_unknown(
    certificates: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates.file))
    with hook(authority(tmp_path).server("hooks.example")) as receiver:
        assert send(receiver.url(host="hooks.example", scheme="https")).reason == "tls"
        assert receiver.got == []


def test_plain_http_behind_https_is_a_failure_of_tls(receiver: Hook) -> None:
    assert send(receiver.url(scheme="https")).reason == "tls"


def hang_up(connection: socket.socket) -> None:
    connection.recv(1000)


def reset(connection: socket.socket) -> None:
    connection.recv(1000)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def garbage(connection: socket.socket) -> None:
    connection.recv(1000)
    connection.sendall(b"SSH-2.0-OpenSSH_9.9\r\n\r\n")


def endless_header(connection: socket.socket) -> None:
    connection.recv(1000)
    connection.sendall(b"HTTP/1.1 200 OK\r\nX: " + b"a" * 100_000)


def silent(connection: socket.socket) -> None:
    while connection.recv(1000):
        pass


def drip(connection: socket.socket) -> None:
    """A byte of a header every now and then, for ever."""
    connection.settimeout(0.02)
    connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
    while True:
        try:
            if not connection.recv(1000):
                return
        except TimeoutError:
            connection.sendall(b"a")


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        (hang_up, "unreachable"),
        (reset, "unreachable"),
        (garbage, "not_http"),
        (endless_header, "not_http"),
        (silent, "timeout"),
        (drip, "timeout"),
    ],
)
def test_a_receiver_that_misbehaves_holds_nobody_for_long(
    behaviour: object, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(posting, "TOTAL_SECONDS", 0.3)
    with raw(behaviour) as port:  # type: ignore[arg-type]  # of a parametrised test
        outcome = send(f"http://127.0.0.1:{port}/")
    assert (outcome.result, outcome.reason, outcome.status) == ("retry", reason, None)
    assert outcome.answer


def test_a_greeting_of_tls_that_never_comes_is_a_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(posting, "TOTAL_SECONDS", 0.3)
    with raw(silent) as port:
        assert send(f"https://127.0.0.1:{port}/").reason == "timeout"


def test_nobody_listening_is_unreachable() -> None:
    with hook() as receiver:
        url = receiver.url()
    outcome = send(url)
    assert (outcome.reason, outcome.answer) == ("unreachable", "Connection refused")


def test_an_answer_without_an_end_was_still_a_2xx(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever sent the status has the message; the rest decides nothing and is cut."""
    monkeypatch.setattr(posting, "BODY_SECONDS", 0.1)

    def endless(connection: socket.socket) -> None:
        connection.recv(1000)
        connection.sendall(b"HTTP/1.1 202 Accepted\r\n\r\nyes")
        silent(connection)

    def dripping(connection: socket.socket) -> None:
        connection.recv(1000)
        connection.sendall(b"HTTP/1.1 202 Accepted\r\n\r\n")
        connection.settimeout(0.02)
        for _ in range(500):
            with suppress(TimeoutError):
                connection.recv(1000)
            connection.sendall(b"x")

    def flood(connection: socket.socket) -> None:
        connection.recv(1000)
        connection.sendall(b"HTTP/1.1 202 Accepted\r\nContent-Length: 999999999\r\n\r\n")
        while True:
            connection.sendall(b"x" * 100_000)

    with raw(endless) as port:
        outcome = send(f"http://127.0.0.1:{port}/")
        assert (outcome.result, outcome.status, outcome.answer) == ("delivered", 202, "yes")
    with raw(dripping) as port:
        outcome = send(f"http://127.0.0.1:{port}/")
        assert outcome.result == "delivered"
        assert len(outcome.answer) < 500
    with raw(flood) as port:
        outcome = send(f"http://127.0.0.1:{port}/")
        assert outcome.result == "delivered"
        assert outcome.answer == "x" * 500


def test_an_answer_is_fit_for_a_terminal_and_for_postgres(receiver: Hook) -> None:
    receiver.replies.append(Reply(500, "a\x00b\x1b[31mred\r\n\u202e \u00fc\ud7ff" + "x" * 999))
    answer = send(receiver.url()).answer
    assert answer.startswith("a b [31mred \u00fc")
    assert answer.isprintable()
    assert len(answer) == 500


def test_the_secret_of_an_address_is_not_in_what_is_remembered(receiver: Hook) -> None:
    token = "T0/B0/abcdefghijklmnopqrstuvwx"
    url = receiver.url(f"/services/{token}?sig=0123456789abcdef")
    receiver.replies.append(Reply(404, f"no {token}, 0123456789abcdef"))
    outcome = send(url)
    for secret in ("abcdefghijklmnopqrstuvwx", "0123456789abcdef"):
        assert secret not in repr(outcome)
    for bad in (url.replace("127.0.0.1", "127.1"), url + " x", url + "#x"):
        assert "abcdefghijklmnopqrstuvwx" not in repr(send(bad))


def test_a_second_address_is_tried_when_the_first_does_not_answer(receiver: Hook) -> None:
    outcome = webhook.send(
        f"http://two.example:{receiver.port}/",
        [webhook.new_secret()],
        MESSAGE,
        allowed=LOOPBACK,
        resolve=lambda *_: ["127.0.0.9", "127.0.0.1"],
    )
    assert outcome.result == "delivered"


def test_slack_gets_words_in_which_nothing_calls_people(receiver: Hook) -> None:
    body = {"title": "Budget crossed", "text": "<!channel> 80 % & more\n<https://x|y>"}
    message = Message("msg_1", MESSAGE.at, "budget.crossed", body)
    assert slack.send(receiver.url(), message, allowed=LOOPBACK).result == "delivered"
    sent = json.loads(receiver.got[0].body)
    safe = "&lt;!channel&gt; 80 % &amp; more\n&lt;https://x|y&gt;"
    assert sent["text"] == f"Budget crossed\n{safe}"
    header, section = sent["blocks"]
    assert header["text"] == {"type": "plain_text", "text": "Budget crossed"}
    assert section["text"] == {"type": "mrkdwn", "text": safe}
    assert "webhook-signature" not in receiver.got[0].headers


def test_slack_gets_no_more_than_it_takes() -> None:
    message = Message("m", MESSAGE.at, "t", {"title": "x" * 500, "text": "&" * 5000})
    content = json.loads(json.dumps(slack.content(message)))
    header, section = content["blocks"]
    assert len(header["text"]["text"]) <= 150
    assert len(section["text"]["text"]) <= 3000
    assert section["text"]["text"].endswith("&amp;...")
    plain = slack.content(MESSAGE)
    assert plain["text"] == "budget.crossed\nbudget: Team B\u00fcro &lt;x&gt;\nspent_usd: 12.50"


@pytest.mark.parametrize(
    ("status", "body", "result"),
    [
        (200, "ok", "delivered"),
        (404, "no_service", "gone"),
        (403, "invalid_token", "gone"),
        (410, "channel_is_archived", "gone"),
        (404, "not found", "retry"),
        (400, "invalid_payload", "retry"),
        (403, "action_prohibited", "retry"),
        (500, "rollup_error", "retry"),
    ],
)
def test_a_webhook_that_slack_ended_is_gone(
    receiver: Hook, status: int, body: str, result: str
) -> None:
    receiver.replies.append(Reply(status, body))
    assert slack.send(receiver.url(), MESSAGE, allowed=LOOPBACK).result == result
