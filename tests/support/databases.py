"""Databases of a test's own, and one that goes away and comes back."""

import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import create_engine, make_url, text


@contextmanager
def made(server: str, kind: str, template: str | None = None) -> Iterator[str]:
    """The URL of a new database, empty or a clone, that is gone afterwards.

    kind: the beginning of its name, for whoever looks at the server.
    """
    name = f"{kind}_{uuid.uuid4().hex[:8]}"
    copied = f" TEMPLATE {template}" if template else ""
    admin = create_engine(server, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}{copied}"))
    try:
        yield make_url(server).set(database=name).render_as_string(hide_password=False)
    finally:
        with admin.connect() as connection:
            connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
        admin.dispose()


def name(url: str) -> str:
    """The name of a database, to clone it."""
    found = make_url(url).database
    assert found is not None
    return found


@contextmanager
def away(url: str) -> Iterator[None]:
    """The database refuses every connection, and has ended those that there were."""
    name = make_url(url).database
    admin = create_engine(make_url(url).set(database="postgres"), isolation_level="AUTOCOMMIT")
    end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name"
    with admin.connect() as connection:
        connection.execute(text(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false"))
        connection.execute(text(end), {"name": name})
        try:
            yield
        finally:
            connection.execute(text(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true"))
    admin.dispose()
