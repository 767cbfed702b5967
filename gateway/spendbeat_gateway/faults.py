"""Our own failures: swallowed, counted, logged once each. The caller's call never sees them."""

import logging
import threading
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

log = logging.getLogger("spendbeat_gateway")

_P = ParamSpec("_P")
_T = TypeVar("_T")
_D = TypeVar("_D")
_MOST_MESSAGES = 200  # distinct ones per process; more of them say nothing new

count = 0
_said: set[str] = set()
_said_lock = threading.Lock()


def say_once(message: str, *, level: int = logging.WARNING) -> None:
    """Log a message the first time that it comes in this process."""
    with _said_lock:
        if message in _said or len(_said) >= _MOST_MESSAGES:
            return
        _said.add(message)
    log.log(level, message)


def note(where: str, error: BaseException) -> None:
    """Count a failure of ours. Its text is not logged: it could hold a part of the call."""
    global count  # noqa: PLW0603 - one figure per process
    count += 1
    at = error.__traceback__
    while at is not None and at.tb_next is not None:
        at = at.tb_next
    line = f"{at.tb_frame.f_code.co_filename}:{at.tb_lineno}" if at is not None else "?"
    say_once(
        f"spendbeat_gateway failed in {where} ({type(error).__name__} at {line}); the call went on,"
        " and this is said once"
    )


def guarded(instead: _D) -> Callable[[Callable[_P, _T]], Callable[_P, _T | _D]]:
    """Makes a function answer `instead` where it would raise."""

    def decorate(function: Callable[_P, _T]) -> Callable[_P, _T | _D]:
        @wraps(function)
        def wrapper(*args: _P.args, **kwargs: _P.kwargs) -> _T | _D:
            try:
                return function(*args, **kwargs)
            except Exception as error:  # noqa: BLE001 - the promise of this module
                note(function.__qualname__, error)
                return instead

        return wrapper

    return decorate


def forget_locks() -> None:
    """After a fork: another thread may have held the lock, and is not here to release it."""
    global _said_lock  # noqa: PLW0603 - one lock per process
    _said_lock = threading.Lock()
