"""What a destination says about a batch, whatever way it went there."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Taken:
    """All of it is safe there."""


@dataclass(frozen=True)
class Later:
    """Nothing was taken, and nothing is wrong with the events.

    seconds: how long to wait, None for "as usual"; loud: a person has to do something.
    """

    reason: str
    seconds: float | None = None
    loud: bool = False


@dataclass(frozen=True)
class Bad:
    """Nothing was taken, since some events cannot be booked.

    items: their positions in the batch with reasons; empty where it does not say which.
    """

    reason: str
    items: tuple[tuple[int, str], ...] = ()


Answer = Taken | Later | Bad


class Sender(Protocol):
    """A way to the service. Raises nothing that a network or database can cause."""

    @property
    def where(self) -> str:
        """For people: without passwords."""

    def send(
        self, route: str, bodies: list[str], *, state: dict[str, str], timeout: float
    ) -> Answer:
        """bodies: events as JSON texts; state: of the spool; timeout: seconds for all of it."""

    def abandon(self) -> None:
        """After a fork, in the child: forget the connection, which is the parent's."""


_SECRET = 6  # characters; replacing a shorter one would only garble the text


def scrubbed(text: str, secrets: tuple[str, ...]) -> str:
    """Without secrets and line breaks, and short."""
    for secret in secrets:
        if len(secret) >= _SECRET:
            text = text.replace(secret, "***")
    return " ".join(text.split())[:300]
