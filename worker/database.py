"""Engines and sessions, one role each."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, Literal

from sqlalchemy import Engine, create_engine
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from worker.settings import settings

# The login is whoever DATABASE_URL names; each session then takes on the role it needs, so that
# a worker cannot change the ledger even by mistake.
Role = Literal["spendbeat_owner", "spendbeat_writer", "spendbeat_reader"]
# A server that takes connections and never says a word is given up after this.
CONNECT_SECONDS = 10
# A machine that is gone without a word, or cut off, is given up after about half a minute, by both
# sides: until then Postgres keeps the locks of its transactions, a shard's cursor among them, and
# that would be a quarter of an hour or two hours by the defaults of Linux. Not for Unix sockets.
_IDLE, _INTERVAL, _COUNT, _UNANSWERED = 15, 5, 3, 30_000
_SERVER_GIVES_UP = (
    f"-c tcp_keepalives_idle={_IDLE} -c tcp_keepalives_interval={_INTERVAL}"
    f" -c tcp_keepalives_count={_COUNT} -c tcp_user_timeout={_UNANSWERED}"
)
_CLIENT_GIVES_UP = {
    "keepalives_idle": _IDLE,
    "keepalives_interval": _INTERVAL,
    "keepalives_count": _COUNT,
    "tcp_user_timeout": _UNANSWERED,
}


def make_engine(
    url: str, role: Role | None, *, pool_size: int = 2, options: str = "", **connect: Any
) -> Engine:
    """An engine whose connections act as `role` (None: as the login itself), in UTC.

    options: further ones of the server, as -c name=value. connect: parameters of libpq.
    """
    role_option = f"-c role={role} " if role else ""
    return create_engine(
        url,
        pool_size=pool_size,
        pool_pre_ping=True,
        connect_args={
            # Compiling a plan over dozens of partitions takes longer than running it.
            "options": f"{role_option}-c timezone=UTC -c jit=off {_SERVER_GIVES_UP} {options}",
            "application_name": "spendbeat",
            "connect_timeout": CONNECT_SECONDS,
            **_CLIENT_GIVES_UP,
            **connect,
        },
    )


@cache
def engine(role: Role | None = "spendbeat_writer") -> Engine:
    """This process's engine for a role."""
    # Opened when that many threads ask at the same time, which those that deliver do.
    return make_engine(settings().sqlalchemy_url, role, pool_size=settings().delivery_threads)


@contextmanager
def transaction(role: Role | None = "spendbeat_writer") -> Iterator[Session]:
    """One transaction: committed at the end of the block, rolled back by an exception."""
    with Session(engine(role), expire_on_commit=False) as session, session.begin():
        yield session


def unreachable(error: OperationalError) -> str:
    """What to tell a user whose Postgres does not answer; never the password."""
    where = engine().url.render_as_string(hide_password=True)
    reason = str(error.orig).strip().splitlines()[0] if error.orig else "no answer"
    hint = (
        "Start it with 'spendbeat up', or set DATABASE_URL."
        if settings().embedded_postgres
        else "Check DATABASE_URL and that the server runs."
    )
    return f"Postgres at {where} cannot be used: {reason}\n{hint}"


def dispose() -> None:
    """Forget every pooled connection: after a fork, a connection has two owners."""
    roles: tuple[Role, ...] = ("spendbeat_writer", "spendbeat_reader", "spendbeat_owner")
    for role in roles:
        engine(role).dispose(close=False)
