"""A real Postgres for every test that asks: one server, one migrated template, a clone per test.

DATABASE_URL names a server to use instead of the embedded one; its login must be able to create
databases and roles.
"""

import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, make_url, text

from worker import database as databases
from worker import schema
from worker.settings import settings

# A root for temporary folders of this run alone: pytest closes the shared one to others whenever
# a run begins, and a server that runs as nobody in another run would lose its data.
_TEMPORARY = tempfile.mkdtemp(prefix="spendbeat-tests-")
Path(_TEMPORARY).chmod(0o711)
os.environ["PYTEST_DEBUG_TEMPROOT"] = _TEMPORARY


def pytest_sessionfinish(exitstatus: int) -> None:
    """Leave the folders behind only where there is something to look at."""
    if exitstatus == 0:
        shutil.rmtree(_TEMPORARY, ignore_errors=True)


def _admin(server: str) -> Engine:
    return create_engine(server, isolation_level="AUTOCOMMIT")


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a running server's maintenance database."""
    given = os.environ.get("DATABASE_URL")
    if given:
        yield make_url(given).set(drivername="postgresql+psycopg2").render_as_string(False)
        return
    from worker.embedded.postgres import EmbeddedPostgres

    home = tmp_path_factory.mktemp("pg", numbered=True)
    for folder in (home, home.parent, home.parent.parent):
        folder.chmod(0o711)  # the server may run as nobody
    with EmbeddedPostgres(Path(home), extra_settings={"fsync": "off"}) as server:
        yield server.url("postgres")


@pytest.fixture(scope="session")
def template(postgres_server: str) -> Iterator[str]:
    """The name of a migrated, empty database to clone."""
    name = f"spendbeat_template_{uuid.uuid4().hex[:8]}"
    admin = _admin(postgres_server)
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    url = make_url(postgres_server).set(database=name)
    engine = databases.make_engine(url.render_as_string(False), None)
    with engine.connect() as connection:
        schema.upgrade(connection)
    engine.dispose()
    yield name
    with admin.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    admin.dispose()


def forget_caches() -> None:
    """Make settings and engines be read again."""
    databases.engine.cache_clear()
    settings.cache_clear()


@pytest.fixture
def database(postgres_server: str, template: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A migrated database of this test's own, named by DATABASE_URL; yields its URL."""
    name = f"spendbeat_test_{uuid.uuid4().hex[:8]}"
    admin = _admin(postgres_server)
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {template}"))
    url = make_url(postgres_server).set(database=name).render_as_string(False)
    monkeypatch.setenv("DATABASE_URL", url)
    forget_caches()
    yield url
    for role in ("spendbeat_writer", "spendbeat_reader", "spendbeat_owner"):
        databases.engine(role).dispose()
    forget_caches()
    with admin.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    admin.dispose()
