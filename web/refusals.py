"""What the service says no to, with the status, the words and how it is counted."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from spend.capture.desk import Problem

MOST_PROBLEMS = 100
# Soon: whoever was too many is served within moments. Later: a server has to come back first.
_SOON = "1"
_LATER = "5"


class Refusal(Exception):  # noqa: N818 - a verdict on what was sent
    """An answer other than 200. result: its name in spend.ingest_counts.REQUESTS."""

    def __init__(
        self,
        status: int,
        result: str,
        message: str,
        *,
        headers: dict[str, str] | None = None,
        problems: Sequence[Problem] = (),
    ) -> None:
        super().__init__(message)
        self.status = status
        self.result = result
        self.message = message
        self.headers = headers or {}
        self.problems = tuple(problems)

    def as_json(self) -> dict[str, Any]:
        """{"error": text}, and where single events are at fault `problems`, at most 100."""
        if not self.problems:
            return {"error": self.message}
        return {"error": self.message, "problems": listed(self.problems[:MOST_PROBLEMS])}


def listed(problems: Sequence[Problem]) -> list[dict[str, Any]]:
    """Problems as JSON: the event's place in the request (from 0), its id, and why."""
    return [asdict(problem) for problem in problems]


def unauthorized(message: str) -> Refusal:
    challenge = {"WWW-Authenticate": 'Bearer realm="spendbeat"'}
    return Refusal(401, "unauthorized", message, headers=challenge)


def forbidden(scope: str) -> Refusal:
    challenge = f'Bearer realm="spendbeat", error="insufficient_scope", scope="{scope}"'
    return Refusal(
        403,
        "unauthorized",
        f"This token lacks the scope {scope}.",
        headers={"WWW-Authenticate": challenge},
    )


def bound() -> Refusal:
    """A token that is bound to an organization, team or key, where others' figures are shown."""
    return Refusal(
        403,
        "unauthorized",
        "This token is bound to an organization, team or key and sees only the spend of that; what"
        " was asked for is not open to it.",
    )


def foreign() -> Refusal:
    """A browser's cookie, with a change that no page of ours sent."""
    return Refusal(
        403,
        "unauthorized",
        "A change with the dashboard's login has to come from a page of this service. Programs send"
        " 'Authorization: Bearer sb_...'.",
    )


def invalid(message: str) -> Refusal:
    return Refusal(400, "invalid", message)


def too_large(message: str) -> Refusal:
    # The rest of the body is still on its way, and nobody will read it.
    return Refusal(413, "too_large", message, headers={"Connection": "close"})


def unsupported(message: str) -> Refusal:
    return Refusal(415, "unsupported", message)


def refused(problems: Sequence[Problem], events: int) -> Refusal:
    """422: some events cannot be booked, so none was."""
    more = f"; the first {MOST_PROBLEMS} are named" if len(problems) > MOST_PROBLEMS else ""
    return Refusal(
        422,
        "invalid",
        f"{len(problems)} of {events} events cannot be booked, so none was{more}.",
        problems=problems,
    )


def too_slow(seconds: float) -> Refusal:
    return Refusal(
        408,
        "incomplete",
        f"The body did not come within {seconds:.0f} seconds.",
        headers={"Connection": "close"},
    )


def gone() -> Refusal:
    """Nobody hears this answer any more."""
    return Refusal(400, "incomplete", "The sender went away.")


def busy(most: int) -> Refusal:
    return Refusal(
        503,
        "busy",
        f"{most} requests are being worked on; send this one again.",
        headers={"Retry-After": _SOON},
    )


def no_more_streams(most: int) -> Refusal:
    return Refusal(
        503,
        "full",
        f"{most} clients listen to events here; come again later, or set SPENDBEAT_WEB_STREAMS.",
        headers={"Retry-After": _LATER},
    )


def too_many_streams(most: int) -> Refusal:
    return Refusal(
        429,
        "full",
        f"{most} clients listen to events with this token, and more may not"
        " (SPENDBEAT_WEB_STREAMS_PER_TOKEN).",
        headers={"Retry-After": _LATER},
    )


def stopping() -> Refusal:
    return Refusal(
        503, "unavailable", "The service is being stopped.", headers={"Retry-After": _LATER}
    )


def greedy(most: int) -> Refusal:
    """One token has as much in hand as it may, while there is room for others."""
    return Refusal(
        429,
        "limited",
        f"{most} requests of this token are being worked on; send this one again.",
        headers={"Retry-After": _SOON},
    )


def unavailable() -> Refusal:
    return Refusal(
        503,
        "unavailable",
        "The database does not take it now; nothing was booked. Send the same again.",
        headers={"Retry-After": _LATER},
    )


def unavailable_here() -> Refusal:
    return Refusal(
        503,
        "unavailable",
        "The database does not take it now; send the same again.",
        headers={"Retry-After": _LATER},
    )


def failed_here() -> Refusal:
    return Refusal(500, "failed", "An error of the service; its log says more.")


def failed() -> Refusal:
    return Refusal(500, "failed", "An error of the service; its log says more. Nothing was booked.")
