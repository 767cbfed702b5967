"""Mail by SMTP. The server is the operator's, so its address is not restricted."""

import re
import smtplib
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from typing import Literal
from urllib.parse import parse_qsl, unquote, urlsplit

from spend.delivery import words
from spend.delivery.answers import printable
from spend.delivery.destination import AddressError
from spend.delivery.outcome import Message, Outcome, Reason

Security = Literal["tls", "starttls", "none"]

MOST_RECIPIENTS = 20
# For each answer, and for all of them after the greeting.
_SECONDS = 15.0
_TOTAL_SECONDS = 45.0
_MAILBOX = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9.-]{1,253}", re.ASCII)
_PORTS = {"tls": 465, "starttls": 587, "none": 25}
_LOWEST, _TEMPORARY, _PERMANENT = 200, 400, 500


@dataclass(frozen=True)
class MailServer:
    """sender: the mailbox that messages are from. user: None where no login is needed."""

    host: str
    port: int
    security: Security
    sender: str
    user: str | None = None
    password: str = field(default="", repr=False)

    @property
    def domain(self) -> str:
        return self.sender.rpartition("@")[2]


def server(url: str, sender: str) -> MailServer:
    """smtp://user:password@host:port has STARTTLS, smtps:// TLS from the start; ?tls=none goes
    without. Raises AddressError, without the URL.
    """
    try:
        parts = urlsplit(url)
        port, options = parts.port, dict(parse_qsl(parts.query, strict_parsing=bool(parts.query)))
    except ValueError:
        raise AddressError("is not a URL such as smtp://user:password@host:587") from None
    tls = options.pop("tls", None)
    if parts.scheme not in {"smtp", "smtps"} or not parts.hostname or options:
        raise AddressError("must be smtp:// or smtps:// with a host; the only option is ?tls=none")
    if tls not in {None, "none"} or (tls and parts.scheme == "smtps"):
        raise AddressError("has an option tls, which can only be none, and only with smtp://")
    security: Security = "tls" if parts.scheme == "smtps" else "none" if tls else "starttls"
    if security == "none" and parts.username:
        raise AddressError("would send a password without TLS: leave out ?tls=none, or the login")
    login = unquote(parts.username or "") + unquote(parts.password or "")
    if not login.isascii() or not login.isprintable():
        raise AddressError("has a login beyond printable ASCII, which SMTP does not know")
    if not _MAILBOX.fullmatch(sender):
        raise AddressError(f"needs SPENDBEAT_MAIL_FROM to be a mailbox, not {sender!r:.100}")
    return MailServer(
        parts.hostname,
        port or _PORTS[security],
        security,
        sender,
        unquote(parts.username) if parts.username else None,
        unquote(parts.password or ""),
    )


def recipients(text: str) -> tuple[str, ...]:
    """Mailboxes separated by commas. Raises AddressError."""
    found = tuple(dict.fromkeys(part for part in re.split(r"[,\s]+", text) if part))
    for mailbox in found:
        if not _MAILBOX.fullmatch(mailbox) or ".." in mailbox:
            raise AddressError(f"{mailbox!r:.100} is not a mailbox such as team@example.com.")
    if not 1 <= len(found) <= MOST_RECIPIENTS:
        raise AddressError(f"A channel has 1 to {MOST_RECIPIENTS} mailboxes, not {len(found)}.")
    return found


def send(to: Sequence[str], message: Message, by: MailServer) -> Outcome:
    """One attempt: delivered once the server took it for at least one mailbox."""
    began = time.monotonic()
    try:
        status, answer = _handed_over(to, _mail(to, message, by), by)
    except OSError as error:  # what smtplib raises is one as well
        return _failure(began, error, by)
    return _outcome(began, status, answer)


def _failure(began: float, error: OSError, by: MailServer) -> Outcome:
    reason: Reason = "unreachable"
    status, answer = None, error.strerror or str(error)
    if isinstance(error, smtplib.SMTPResponseException):
        status, answer, reason = _said(error.smtp_code, error.smtp_error)
    # smtplib calls a time limit that passed a connection that ended.
    elif isinstance(error, TimeoutError) or isinstance(error.__context__, TimeoutError):
        answer, reason = "no answer in time", "timeout"
    elif isinstance(error, smtplib.SMTPNotSupportedError) and "STARTTLS" in answer:
        answer = f"{by.host} offers no STARTTLS; ?tls=none behind SPENDBEAT_SMTP_URL goes without"
        reason = "tls"
    elif isinstance(error, ssl.SSLError):
        answer, reason = getattr(error, "verify_message", None) or answer, "tls"
    elif isinstance(error, socket.gaierror):
        answer, reason = f"{by.host}: {answer}", "unresolved"
    elif isinstance(error, smtplib.SMTPException) and not isinstance(
        error, smtplib.SMTPServerDisconnected
    ):
        reason = "refused"
    return _outcome(began, status, answer, reason)


def _handed_over(to: Sequence[str], mail: EmailMessage, by: MailServer) -> tuple[int, str]:
    """The server's last word. Raises what smtplib raises."""
    context = ssl.create_default_context()
    helo = by.domain  # instead of a look-up of this machine's own name, which may take long
    if by.security == "tls":
        smtp: smtplib.SMTP = smtplib.SMTP_SSL(
            by.host, by.port, helo, timeout=_SECONDS, context=context
        )
    else:
        smtp = smtplib.SMTP(by.host, by.port, helo, timeout=_SECONDS)
    try:
        with _within(_TOTAL_SECONDS, smtp):
            return _spoken(smtp, to, mail, by, context)
    finally:
        # Not QUIT: what it answers must not turn a mail that was taken into one to repeat.
        smtp.close()


@contextmanager
def _within(seconds: float, smtp: smtplib.SMTP) -> Iterator[None]:
    """Hang up on a server that answers, but too slowly in all. Raises TimeoutError then.

    A thread cannot be interrupted by a time limit of the task.
    """
    late = threading.Event()

    def hang_up() -> None:
        late.set()
        if smtp.sock is not None:
            with suppress(OSError):
                # Not TLS' own, which asks the other side.
                socket.socket.shutdown(smtp.sock, socket.SHUT_RDWR)

    timer = threading.Timer(seconds, hang_up)
    timer.daemon = True
    timer.start()
    try:
        yield
    except OSError:
        if late.is_set():
            raise TimeoutError from None
        raise
    finally:
        timer.cancel()


def _spoken(
    smtp: smtplib.SMTP,
    to: Sequence[str],
    mail: EmailMessage,
    by: MailServer,
    context: ssl.SSLContext,
) -> tuple[int, str]:
    """The server's last word, on a connection that it has greeted."""
    if by.security == "starttls":
        smtp.starttls(context=context)
    smtp.ehlo_or_helo_if_needed()
    if by.user is not None:
        smtp.login(by.user, by.password)
    _expect(*smtp.mail(by.sender))
    refused = []
    for mailbox in to:
        status, answer = smtp.rcpt(mailbox)
        if status >= _TEMPORARY:
            refused.append((status, f"{mailbox}: {answer.decode(errors='replace')}"))
    if len(refused) == len(to):
        # A mailbox that may work later is worth another attempt.
        raise smtplib.SMTPResponseException(*min(refused))
    status, answer = smtp.data(mail.as_bytes(policy=SMTP))
    _expect(status, answer)
    missing = "".join(f"; not taken: {status} {text}" for status, text in refused)
    return status, answer.decode(errors="replace") + missing


def _expect(status: int, answer: bytes) -> None:
    if status >= _TEMPORARY:
        raise smtplib.SMTPResponseException(status, answer)


def _mail(to: Sequence[str], message: Message, by: MailServer) -> EmailMessage:
    mail = EmailMessage(policy=SMTP)
    mail["From"] = f"Spendbeat <{by.sender}>"
    mail["To"] = ", ".join(to)
    mail["Subject"] = printable(words.title(message))
    mail["Date"] = format_datetime(message.at)
    # The same on each attempt: mail programs show a message that came twice once.
    mail["Message-ID"] = f"<{message.id}@{by.domain}>"
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(words.text(message) + "\n", cte="quoted-printable")
    return mail


def _said(status: int, answer: bytes | str) -> tuple[int | None, str, Reason]:
    text = answer.decode(errors="replace") if isinstance(answer, bytes) else answer
    if status < _LOWEST:
        return None, text or "this is no answer of SMTP", "not_http"
    return status, text, "refused" if status >= _PERMANENT else "busy"


def _outcome(began: float, status: int | None, answer: str, reason: Reason = "accepted") -> Outcome:
    seconds = round(time.monotonic() - began, 6)
    result: Literal["delivered", "retry"] = "delivered" if reason == "accepted" else "retry"
    return Outcome(result, reason, status, seconds, printable(answer))
