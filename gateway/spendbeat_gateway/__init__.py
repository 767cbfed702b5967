"""What runs inside the caller's process: records LLM calls and ships them to Spendbeat.

    import spendbeat_gateway

    spendbeat_gateway.record(client.chat.completions.create(...), provider="openai")

The functions here use one recorder per process, configured by SPENDBEAT_GATEWAY_* in the
environment; Recorder makes another. None of them raises because of a network, a disk or what it
was given; a guard that is asked for raises RefusedError.
"""

from collections.abc import Callable
from typing import Any, TypeVar

from spendbeat_gateway.recording import Recorder, default_recorder
from spendbeat_gateway.stats import Stats
from spendbeat_gateway.tracking import Call

__all__ = [
    "Call",
    "Recorder",
    "Stats",
    "call",
    "default_recorder",
    "flush",
    "record",
    "stats",
    "track",
]

_F = TypeVar("_F", bound=Callable[..., object])


def record(response: object = None, **fields: object) -> str | None:
    """Record one call that has ended; see Recorder.record."""
    return default_recorder().record(response, **fields)


def call(**fields: Any) -> Call:
    """A context manager around one call; see Call."""
    return default_recorder().call(**fields)


def track(**fields: Any) -> Callable[[_F], _F]:
    """A decorator for functions that make one call; see Recorder.track."""
    return default_recorder().track(**fields)


def flush(timeout: float = 10.0) -> bool:
    """Ship what is in the spool; whether all of it arrived within `timeout` seconds."""
    return default_recorder().flush(timeout)


def stats() -> Stats:
    """Figures of the spool."""
    return default_recorder().stats()
