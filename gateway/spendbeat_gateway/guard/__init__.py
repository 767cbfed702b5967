"""Asks Redis before a call is made whether every budget has room for it, and keeps that room.

    from decimal import Decimal
    from spendbeat_gateway.guard import Guard

    guard = Guard("redis://localhost/0")
    answer = guard.reserve({"project": "shop"}, Decimal("0.02"), provider="openai", model="gpt-4o")
    if answer.allowed:
        ...  # make the call
        guard.settle(answer, Decimal("0.013"))

Needs `redis` (the extra `guard`), which is imported when the first Guard is made.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from spendbeat_gateway.guard.answers import AmountError, Hold, Reason, Refusal, RefusedError

if TYPE_CHECKING:
    from spendbeat_gateway.guard.asynchronous import AsyncGuard
    from spendbeat_gateway.guard.client import Guard
    from spendbeat_gateway.guard.estimate import Estimate

__all__ = [
    "AmountError",
    "AsyncGuard",
    "Estimate",
    "Guard",
    "Hold",
    "Reason",
    "Refusal",
    "RefusedError",
]

_LATER = {"AsyncGuard": "asynchronous", "Guard": "client", "Estimate": "estimate"}


def __getattr__(name: str) -> object:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LATER[name]}"), name)
