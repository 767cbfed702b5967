"""The plumbing that every task shares."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from celery import Celery
from sqlalchemy import event, text
from sqlalchemy.exc import DBAPIError, OperationalError, ProgrammingError

from spend.errors import RestoredClusterError, UnavailableError
from tasks.ticks import take
from tests.conftest import forget_caches
from worker.base import LedgerTask, countdown, transient
from worker.database import transaction

LOST = "SET ROLE NONE; SELECT pg_terminate_backend(pg_backend_pid())"
INSERT = text("INSERT INTO cost_logs (provider, model, cost_usd) VALUES ('openai', 'x', 1)")


@pytest.fixture
def app() -> Iterator[Celery]:
    """An app of the test's own, whose broker is this process's memory."""
    with Celery("plumbing", broker="memory://", set_as_current=False) as app:
        app.conf.task_soft_time_limit = 7
        yield app


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Settings that lead to no database."""
    monkeypatch.setenv("DATABASE_URL", f"postgresql://u:geheim@/none?host={tmp_path}")
    forget_caches()
    yield
    forget_caches()


def waiting(app: Celery) -> int:
    """Messages in the queue."""
    with app.connection_for_write() as connection:
        queue = connection.SimpleQueue("celery")
        return int(queue.qsize())


def rows() -> object:
    with transaction() as session:
        return session.scalar(text("SELECT count(*) FROM cost_logs"))


def failure(statement: str) -> DBAPIError:
    """What Postgres says to a statement."""
    try:
        with transaction() as session:
            session.execute(text("SET LOCAL statement_timeout = 50"))
            session.execute(text(statement))
    except DBAPIError as error:
        return error
    raise AssertionError(f"{statement} did not fail")


def test_messages_leave_after_the_commit_and_not_without_it(database: str, app: Celery) -> None:
    """A worker that is quicker than our commit would find nothing; one rung for nothing, too."""
    seen: list[int] = []

    @app.task(bind=True, base=LedgerTask)
    def ring(self: LedgerTask, fail: bool) -> None:
        with self.transaction() as run:
            run.session.execute(INSERT)
            run.send(ring, fail=False, expires=60)
            event.listen(run.session, "before_commit", lambda _: seen.append(waiting(app)))
            if fail:
                raise KeyError(run)

    with pytest.raises(KeyError):
        ring(fail=True)
    assert (waiting(app), rows()) == (0, 0)
    ring(fail=False)
    assert (waiting(app), rows()) == (1, 1)
    assert seen == [0]


def test_a_statement_ends_with_the_soft_time_limit(database: str, app: Celery) -> None:
    """Celery's limits cannot stop a statement; left alone it would hold its locks. Nor can they
    stop a process that stands still between two, and holds its own.
    """
    limits = ("statement_timeout", "idle_in_transaction_session_timeout")

    @app.task(bind=True, base=LedgerTask)
    def look(self: LedgerTask) -> object:
        with self.transaction() as run:
            return " ".join(str(run.session.scalar(text(f"SHOW {name}"))) for name in limits)

    assert look() == {"result": "7s 7s"}
    with transaction() as session:
        assert [session.scalar(text(f"SHOW {name}")) for name in limits] == ["0", "0"]


def test_what_may_pass_is_tried_again_and_what_cannot_is_not(database: str, app: Celery) -> None:
    """A lost connection is transient; wrong SQL, or a statement out of time, is not."""
    runs: list[str] = []

    @app.task(bind=True, base=LedgerTask, max_retries=2)
    def work(self: LedgerTask, statement: str, times: int) -> str:
        runs.append(statement)
        with self.transaction() as run:
            if len(runs) <= times:
                run.session.execute(text("SET LOCAL statement_timeout = 50"))
                run.session.execute(text(statement))
        return "done"

    assert work.apply(kwargs={"statement": LOST, "times": 2}).get()["result"] == "done"
    assert len(runs) == 3
    for hopeless, error in {
        "SELECT nonsense": ProgrammingError,
        "SELECT pg_sleep(9)": OperationalError,
    }.items():
        runs.clear()
        with pytest.raises(error):
            work.apply(kwargs={"statement": hopeless, "times": 9}, throw=True)
        assert len(runs) == 1


def test_errors_are_sorted_by_what_postgres_says(database: str) -> None:
    """By the error itself, not by its class alone: a cancelled statement has a class that lies."""
    assert not transient(failure("SELECT nonsense"))
    assert not transient(failure("SELECT pg_sleep(9)"))
    assert transient(failure(LOST))


def test_a_database_that_is_away_is_said_once_and_without_a_password(
    nowhere: None, app: Celery, caplog: pytest.LogCaptureFixture
) -> None:
    """After the last attempt the error is one that names what, where and what to do."""

    @app.task(bind=True, base=LedgerTask, max_retries=0)
    def look_away(self: LedgerTask) -> None:
        with self.transaction():
            pass

    with caplog.at_level(logging.ERROR, "spendbeat"):
        for _ in range(3):
            with pytest.raises(UnavailableError, match="DATABASE_URL"):
                look_away.apply(throw=True)
    said = [r for r in caplog.records if r.name == "spendbeat"]
    assert len(said) == 1
    assert "geheim" not in caplog.text


def test_a_restored_database_is_said_once_and_stops_ticks(
    database: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Every tick refuses; the log is one line and not one more every five seconds."""
    take()
    with transaction() as session:
        session.execute(text("UPDATE ticks SET system_identifier = 1"))
    with caplog.at_level(logging.ERROR, "spendbeat"):
        for _ in range(3):
            with pytest.raises(RestoredClusterError):
                take()
    said = [r.getMessage() for r in caplog.records if r.name == "spendbeat"]
    assert len(said) == 1
    assert "spendbeat rollups rebuild" in said[0]


def test_pauses_grow_and_are_spread() -> None:
    """Two workers that fail together do not come back together, and nobody waits for hours."""
    assert all(1 <= countdown(0) <= 2 for _ in range(50))
    assert all(30 <= countdown(40) <= 60 for _ in range(50))
    assert len({countdown(3) for _ in range(50)}) > 1
