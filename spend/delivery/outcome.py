"""What is sent to a channel, and what came of it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

Result = Literal["delivered", "retry", "gone"]

Reason = Literal[
    "accepted",  # 2xx, or the mail server took it
    "timeout",  # no whole answer in time
    "unreachable",  # nobody listens, or the connection broke
    "unresolved",  # the name has no address
    "forbidden",  # it leads into the own network or to an odd port, and nobody allowed that
    "tls",  # TLS failed, most often the certificate
    "not_http",  # the answer is not one of HTTP, or of SMTP
    "redirect",  # 3xx; none is followed
    "busy",  # 429, 502, 503, 504, or a mail server's 4xx: later
    "refused",  # another 4xx, or a mail server's 5xx
    "failed",  # another 5xx
    "gone",  # 410, or what says the same elsewhere: never again
    "unreadable",  # the channel's secrets cannot be decrypted with this key
    "unset",  # a setting that this kind needs is missing
]
REASONS: tuple[Reason, ...] = Reason.__args__  # type: ignore[attr-defined]  # of a Literal


@dataclass(frozen=True)
class Message:
    """What is told, the same on each attempt.

    id: the webhook-id, constant over retries; letters, digits, _ and - only.
    at: when what it tells happened, aware. type: such as "budget.crossed".
    body: JSON (no Decimal, no datetime), versioned. Webhooks get
    {"type": type, "timestamp": at, "data": body}. For Slack and mail, body["title"] is the
    headline and body["text"] the words below it, where they are present; they fall back to the
    type and to the plain values of the body.
    """

    id: str
    at: datetime
    type: str
    body: dict[str, Any]


@dataclass(frozen=True)
class Outcome:
    """One attempt.

    status: of HTTP or SMTP; None where no answer came. seconds: from the name's look-up to the
    end of the answer. answer: its first 500 characters, printable; where none came, what went
    wrong, in words. Neither holds a secret. retry_after: seconds that the receiver asked to wait,
    at most a day.
    """

    result: Result
    reason: Reason
    status: int | None = None
    seconds: float = 0.0
    answer: str = ""
    retry_after: float | None = None
