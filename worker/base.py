"""The one base task: transactions, messages after the commit, timing, logging, retries."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, is_dataclass
from time import perf_counter
from typing import Any

from celery import Task
from celery.utils.log import get_task_logger
from kombu.exceptions import OperationalError as BrokerError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.orm import Session

from spend.errors import SpendbeatError, UnavailableError
from worker import bell, database

log = get_task_logger("spendbeat")

_BROKER_ERRORS = (BrokerError, RedisConnectionError, RedisTimeoutError)
# Postgres' code for a statement that ran into statement_timeout: it would do so again.
_QUERY_CANCELED = "57014"
_LONGEST_COUNTDOWN = 60.0
# The second is for a process that stands still with its locks, between two statements.
_LIMITS = (
    "SET LOCAL statement_timeout = {milliseconds};"
    " SET LOCAL idle_in_transaction_session_timeout = {milliseconds}"
)

# What was said already, so that a condition that lasts is one line and not one every five seconds.
_said: set[str] = set()


def transient(error: BaseException) -> bool:
    """Whether the same work may succeed a little later: a lost connection, a deadlock."""
    if isinstance(error, OperationalError | InterfaceError):
        return getattr(error.orig, "pgcode", None) != _QUERY_CANCELED
    if isinstance(error, DBAPIError):
        return error.connection_invalidated
    return isinstance(error, _BROKER_ERRORS)


def countdown(retries: int) -> float:
    """Seconds until the next attempt: doubled each time, half of it by chance."""
    longest = min(2.0 ** (retries + 1), _LONGEST_COUNTDOWN)
    return longest / 2 + random.uniform(0, longest / 2)  # noqa: S311 - spreads load, no secret


@dataclass
class Run:
    """One transaction of a task."""

    session: Session
    tells: bool = False
    _later: list[tuple[Task[..., Any], dict[str, Any], float, str]] = field(default_factory=list)

    def send(self, task: Task[..., Any], *, expires: float, note: str = "", **kwargs: Any) -> None:
        """Send a message once this transaction has been committed, and not otherwise.

        note: what Flower shows beside the arguments, for people only.
        """
        self._later.append((task, kwargs, expires, note))

    def ring(self) -> None:
        """Once this transaction has been committed, tell listeners of the feed to look."""
        self.tells = True

    def deliver(self) -> None:
        if self.tells:
            bell.ring()
        for task, kwargs, expires, note in self._later:
            shown: dict[str, Any] = {"argsrepr": note}  # which Celery's types do not know
            task.apply_async(kwargs=kwargs, expires=expires, **shown)


class LedgerTask(Task[..., Any]):
    """A task of this project; a subclass of Celery's with the plumbing in it."""

    abstract = True
    # These are answers, not accidents: Celery logs them without a traceback.
    throws = (SpendbeatError,)
    max_retries = 3

    @contextmanager
    def transaction(self) -> Iterator[Run]:
        """One transaction as the writer; its messages leave after its commit."""
        with database.transaction() as session:
            limit = self.soft_time_limit or self.app.conf.task_soft_time_limit
            # Celery's soft limit cannot interrupt a statement, and its hard one would leave the
            # statement running, with its locks, in a server that nobody listens to.
            # SET, not a query: the domain may still choose its isolation level.
            session.execute(text(_LIMITS.format(milliseconds=int(limit * 1000))))
            run = Run(session)
            yield run
        run.deliver()

    def __call__(self, *args: Any, **kwargs: Any) -> dict[str, Any]:
        started = perf_counter()
        try:
            result = self.run(*args, **kwargs)
        except SpendbeatError as error:
            self._say_once(str(error))
            raise
        except Exception as error:
            if not transient(error):
                raise
            self._try_again(error)
            raise
        _said.clear()
        found = {**kwargs, **_facts(result)}
        line = " ".join(f"{name}={value}" for name, value in found.items())
        write = log.info if found.get("rows") else log.debug
        write("task=%s %s seconds=%.3f", self.name, line, perf_counter() - started)
        return found

    def _try_again(self, error: Exception) -> None:
        """Raise Retry, or what to tell the user when there were attempts enough."""
        if self.request.called_directly:
            return
        retries = self.request.retries
        if self.max_retries is not None and retries < self.max_retries:
            pause = countdown(retries)
            reason = " ".join(str(error).split())[:200]
            log.warning("task=%s retry=%d in=%.1f %s", self.name, retries + 1, pause, reason)
            raise self.retry(exc=error, countdown=pause)
        if isinstance(error, OperationalError) and not getattr(error.orig, "pgcode", None):
            message = database.unreachable(error)
            self._say_once(message)
            raise UnavailableError(message) from error

    def _say_once(self, message: str) -> None:
        if message not in _said:
            _said.add(message)
            log.error("task=%s %s", self.name, message)


def _facts(result: object) -> dict[str, Any]:
    """What a result says, for the log line and for Flower: counts instead of lists."""
    if not is_dataclass(result):
        return {} if result is None else {"result": result}
    found: dict[str, Any] = {}
    for item in fields(result):
        value = getattr(result, item.name)
        if isinstance(value, tuple | list):
            found[item.name] = len(value)
        elif isinstance(value, str | int | float | bool):
            found[item.name] = value
        elif value is not None:
            found[item.name] = str(value)
    return found
