"""What several integration tests ask for."""

import uuid
from collections.abc import Iterator

import pytest
from sqlalchemy import create_engine, make_url, text

from spend.capture.desk import Desk
from tests.support.books import Books
from tests.support.litellm_tables import OLD, LitellmTables, schema
from tests.support.service import Service, serving
from worker.database import engine


@pytest.fixture(scope="session")
def schemas(postgres_server: str) -> Iterator[dict[str, str]]:
    """The newest schema and that of an old version, by name."""
    with schema(postgres_server) as new, schema(postgres_server, OLD) as old:
        yield {"new": new, "old": old}


@pytest.fixture(params=["new", "old"])
def version(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def litellm(
    postgres_server: str, schemas: dict[str, str], request: pytest.FixtureRequest
) -> Iterator[LitellmTables]:
    """A database of LiteLLM's; of both versions where the test asks for `version`."""
    which = request.getfixturevalue("version") if "version" in request.fixturenames else "new"
    name = f"litellm_test_{uuid.uuid4().hex[:8]}"
    admin = create_engine(postgres_server, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {schemas[which]}"))
    tables = LitellmTables(
        make_url(postgres_server).set(database=name).render_as_string(hide_password=False)
    )
    yield tables
    tables.engine.dispose()
    with admin.connect() as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    admin.dispose()


@pytest.fixture
def books(database: str) -> Iterator[Books]:
    books = Books(database)
    yield books
    books.close()


@pytest.fixture
def service(database: str) -> Iterator[Service]:
    """The HTTP service, with a token that may send."""
    with serving() as service:
        yield service


@pytest.fixture
def desk(database: str) -> Desk:
    return Desk(engine())
