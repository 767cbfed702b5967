"""The real stack: beat, worker and Flower as processes, an embedded Redis, a real Postgres.

`celery_setup` and the nodes around it are pytest-celery's; what they drive is in
tests/support/local_celery.py.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from celery import Celery
from kombu import pools
from pytest_celery import RedisTestBroker

from tests.support.books import Books
from tests.support.local_celery import LocalRedis, LocalTestWorker, LocalWorker
from tests.support.programs import CELERY, Program


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home that an embedded server can enter as `nobody` too."""
    for folder in (tmp_path, tmp_path.parent, tmp_path.parent.parent):
        folder.chmod(0o711)
    return tmp_path / "home"


@pytest.fixture
def celery_broker(home: Path) -> Iterator[RedisTestBroker]:
    broker = RedisTestBroker(LocalRedis(home))
    yield broker
    broker.teardown()
    pools.reset()  # pooled sockets of a server that is gone


@pytest.fixture
def celery_backend_cluster() -> None:
    """No task's result is read."""


@pytest.fixture
def celery_backend_cluster_config() -> None:
    """No task's result is read."""


@pytest.fixture
def environment(
    database: str, celery_broker: RedisTestBroker, monkeypatch: pytest.MonkeyPatch
) -> dict[str, str]:
    """What every process of the stack gets, this one too: quick ticks, an audit each second."""
    values = {
        "DATABASE_URL": database,
        "REDIS_URL": celery_broker.config()["url"],
        "SPENDBEAT_TICK_SECONDS": "0.25",
        "SPENDBEAT_AUDIT_SECONDS": "1",
        "SPENDBEAT_BATCH_ROWS": "300",
    }
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    return values


@pytest.fixture
def celery_worker(
    environment: dict[str, str], tmp_path: Path, celery_setup_app: Celery
) -> Iterator[LocalTestWorker]:
    worker = LocalTestWorker(LocalWorker("worker", tmp_path, environment), celery_setup_app)
    yield worker
    worker.teardown()


@pytest.fixture
def celery_worker_cluster_config(
    celery_broker_cluster_config: dict[str, object],
) -> dict[str, object]:
    return {"celery_broker_cluster_config": celery_broker_cluster_config}


Start = Callable[..., Program]


@pytest.fixture
def start(environment: dict[str, str], tmp_path: Path) -> Iterator[Start]:
    """Start `celery -A worker <arguments>` (or any command) under a name; ended with the test."""
    programs: list[Program] = []

    def start(
        name: str, *arguments: str, command: tuple[str, ...] = CELERY, **more: str
    ) -> Program:
        log = tmp_path / f"{name}.log"
        program = Program(name, (*command, *arguments), log, {**environment, **more})
        programs.append(program)
        return program.start()

    yield start
    for program in reversed(programs):
        program.stop()


@pytest.fixture
def books(database: str) -> Iterator[Books]:
    books = Books(database)
    yield books
    books.close()
