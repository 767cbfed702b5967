"""What several integration tests ask for."""

from collections.abc import Iterator

import pytest

from spend.capture.desk import Desk
from tests.support.books import Books
from tests.support.litellm_tables import LitellmTables, tables
from tests.support.service import Service, serving
from worker.database import engine


@pytest.fixture(params=["new", "old"])
def version(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def litellm(
    postgres_server: str, litellm_schemas: dict[str, str], request: pytest.FixtureRequest
) -> Iterator[LitellmTables]:
    """A database of LiteLLM's; of both versions where the test asks for `version`."""
    which = request.getfixturevalue("version") if "version" in request.fixturenames else "new"
    with tables(postgres_server, litellm_schemas[which]) as found:
        yield found


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
