"""A real Postgres for every test that asks: one server, one migrated template, a clone per test.

DATABASE_URL names a server to use instead of the embedded one; its login must be able to create
databases and roles. Tests run in several processes at once, each with a server and a template of
its own; a server named by DATABASE_URL is the only thing they share.
"""

import gc
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis
from sqlalchemy import make_url

from tests.support import memory
from tests.support.databases import made, name
from tests.support.litellm_tables import OLD
from tests.support.litellm_tables import schema as litellm_schema
from worker import database as databases
from worker import schema
from worker.settings import settings

# A root for temporary folders of this run alone: pytest closes the shared one to others whenever
# a run begins, and a server that runs as nobody in another run would lose its data.
_TEMPORARY = tempfile.mkdtemp(prefix="spendbeat-tests-")
Path(_TEMPORARY).chmod(0o711)
os.environ["PYTEST_DEBUG_TEMPROOT"] = _TEMPORARY

_MOST_WORKERS = 8
# Nothing asserts how long something took, on a machine that does other things too.
hypothesis.register_profile("here", deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis.load_profile("here")
# A shell that starts us in the background tells us to ignore Ctrl-C, and what we start inherits it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _cores() -> int:
    """Those that this process may use, where the system says so."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """A worker per core; 0, hence this very process, where files are named or output is wanted.

    `--pdb` means 0 by itself; `-n` with a number overrides this.
    """
    if config.option.capture == "no" or config.option.trace:
        return 0
    if all(Path(str(argument).partition("::")[0]).is_file() for argument in config.args):
        return 0
    return min(_MOST_WORKERS, _cores())


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """A worker's temporary folders are under its own root, not under one that xdist shares."""
    if hasattr(config, "workerinput"):
        config.option.basetemp = None


def pytest_collection_finish() -> None:
    """What was imported stays; the collector need not look at it again and again."""
    gc.collect()
    gc.freeze()


def pytest_sessionfinish(exitstatus: int) -> None:
    """Leave the folders behind only where there is something to look at."""
    if exitstatus == 0:
        shutil.rmtree(_TEMPORARY, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a running server's maintenance database."""
    given = os.environ.get("DATABASE_URL")
    if given:
        yield make_url(given).set(drivername="postgresql+psycopg2").render_as_string(False)
        return
    from worker.embedded.postgres import EmbeddedPostgres

    kept = tmp_path_factory.mktemp("pg", numbered=True)
    for folder in (kept, kept.parent, kept.parent.parent):
        folder.chmod(0o711)  # the server may run as nobody
    tuning = {"fsync": "off", "max_wal_size": "256MB"}
    with memory.folder(kept) as home:
        home.chmod(0o711)
        with EmbeddedPostgres(home, extra_settings=tuning) as server:
            yield server.url("postgres")
        if home != kept:
            shutil.copy(server.log, kept)


@pytest.fixture(scope="session")
def template(postgres_server: str) -> Iterator[str]:
    """The name of a migrated, empty database to clone."""
    with made(postgres_server, "spendbeat_template") as url:
        engine = databases.make_engine(url, None)
        with engine.connect() as connection:
            schema.upgrade(connection)
        engine.dispose()
        yield name(url)


def forget_caches() -> None:
    """Make settings and engines be read again."""
    databases.engine.cache_clear()
    settings.cache_clear()


@pytest.fixture
def database(postgres_server: str, template: str) -> Iterator[str]:
    """A migrated database of this test's own, named by DATABASE_URL; yields its URL."""
    with _cloned(postgres_server, template) as url:
        yield url


@pytest.fixture(scope="module")
def shared_database(postgres_server: str, template: str) -> Iterator[str]:
    """The same for all tests of a module, none of which may mind what the others leave in it."""
    with _cloned(postgres_server, template) as url:
        yield url


@contextmanager
def _cloned(server: str, template: str) -> Iterator[str]:
    with (
        pytest.MonkeyPatch.context() as patch,
        made(server, "spendbeat_test", template) as url,
    ):
        patch.setenv("DATABASE_URL", url)
        forget_caches()
        yield url
        for role in ("spendbeat_writer", "spendbeat_reader", "spendbeat_owner"):
            databases.engine(role).dispose()
        forget_caches()


@pytest.fixture(scope="session")
def litellm_schemas(postgres_server: str) -> Iterator[dict[str, str]]:
    """The newest schema of LiteLLM's database and that of an old version, by name, to clone."""
    with litellm_schema(postgres_server) as new, litellm_schema(postgres_server, OLD) as old:
        yield {"new": new, "old": old}
