"""How much one request may carry, and how many are worked on at once."""

from dataclasses import dataclass

from worker.settings import Settings

_MIB = 1 << 20


@dataclass(frozen=True)
class Limits:
    """Per request: body (bytes as sent), unpacked (bytes), events. Per process: the rest."""

    body: int
    unpacked: int
    events: int
    in_flight: int
    threads: int

    @classmethod
    def of(cls, chosen: Settings) -> "Limits":
        return cls(
            body=chosen.web_body_mib * _MIB,
            unpacked=chosen.web_unpacked_mib * _MIB,
            events=chosen.web_events,
            in_flight=chosen.web_in_flight,
            threads=chosen.web_threads,
        )
