"""`spendbeat up` and `spendbeat servers`: all of it starts, comes back, and goes away."""

import base64
import json
import os
import signal
import stat
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from sqlalchemy import text

from tests.support.books import Books
from tests.support.homes import kill_everything, names, processes
from tests.support.programs import ROOT, Program
from tests.support.waiting import wait_for
from worker.celery import app
from worker.embedded import paths
from worker.processes import running_in

WAITING = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    " AND wait_event_type = 'Lock'"
)
SPENDBEAT = (sys.executable, "-m", "worker.cli")


def embedded(home: Path) -> dict[str, str]:
    """An environment in which nothing but the embedded servers is known."""
    return {
        "DATABASE_URL": "",
        "REDIS_URL": "",
        "SPENDBEAT_HOME": str(home),
        "SPENDBEAT_WEB_PORT": "0",
        "SPENDBEAT_FLOWER_PORT": "0",
        "SPENDBEAT_METRICS_PORT": "0",
        "SPENDBEAT_TICK_SECONDS": "0.25",
    }


@pytest.fixture
def up(home: Path, tmp_path: Path) -> Iterator[Program]:
    program = Program("up", (*SPENDBEAT, "up"), tmp_path / "up.log", embedded(home)).start()
    yield program
    program.stop()
    kill_everything(home)


def ready(up: Program) -> None:
    up.wait_for_log(" ready.", 90)
    up.wait_for_log("Spendbeat is up", 90)


def status(url: str, login: str | None = None) -> int:
    request = urllib.request.Request(url)
    if login:
        request.add_header("Authorization", "Basic " + base64.b64encode(login.encode()).decode())
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def flower_workers(url: str, login: str) -> dict[str, set[str]] | None:
    """The queues of each worker by its name, once Flower knows both; it asks for a second."""
    request = urllib.request.Request(url + "/api/workers?refresh=1")
    request.add_header("Authorization", "Basic " + base64.b64encode(login.encode()).decode())
    with urllib.request.urlopen(request, timeout=10) as answer:
        said = json.load(answer)
    found = {
        name.partition("@")[0]: {queue["name"] for queue in worker.get("active_queues", ())}
        for name, worker in said.items()
    }
    return found if len(found) == 2 and all(found.values()) else None


def child(home: Path, word: str) -> psutil.Process:
    """The oldest process of this home with `word` among its arguments."""
    found = [p for p in processes(home) if word in p.cmdline()]
    return min(found, key=lambda p: (p.create_time(), p.pid))


def test_everything_starts_is_locked_and_stops_on_sigterm(up: Program, home: Path) -> None:
    ready(up)
    state = json.loads((home / "up.json").read_text())
    password_file = Path(state["flower_password_file"])
    login = f"{state['flower_user']}:{password_file.read_text().strip()}"
    assert stat.S_IMODE(password_file.stat().st_mode) == 0o600
    assert status(state["metrics"]) == 200
    assert status(state["web"]) == 200
    assert status(state["flower"] + "/api/workers") == 401
    workers = wait_for(lambda: flower_workers(state["flower"], login), "both workers' answers")
    assert workers["delivery"] == {"delivery"}
    assert workers["worker"] == {queue.name for queue in app.conf.task_queues} - {"delivery"}
    secret = login.partition(":")[2]
    assert not [p for p in processes(home) if secret in " ".join(p.cmdline())]
    assert secret not in up.logs()

    second = subprocess.run(
        [*SPENDBEAT, "up"],
        env={**os.environ, **embedded(home)},
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert second.returncode == 1
    assert f"is in use by process {up.pid}" in second.stderr
    assert "Traceback" not in second.stderr

    os.kill(up.pid, signal.SIGTERM)
    assert up.process is not None
    assert up.process.wait(30) == 0, up.logs()
    assert names(home) == []
    assert not (home / "up.json").exists()


def test_what_is_killed_comes_back_and_the_totals_agree(up: Program, home: Path) -> None:
    ready(up)
    books = Books(paths.postgres_url(home))
    books.spend("openai")
    wait_for(books.agree, "the rows to be rolled up")

    worker = child(home, "worker")
    pool = [p.pid for p in worker.children()]
    assert pool
    os.kill(worker.pid, signal.SIGKILL)
    up.wait_for_log("worker was ended by SIGKILL")
    wait_for(lambda: not any(psutil.pid_exists(p) for p in pool), "its pool to be gone")

    books.engine.dispose()
    data = paths.postgres_data(home)
    postmaster = int((data / "postmaster.pid").read_text().split()[0])
    os.kill(postmaster, signal.SIGKILL)
    up.wait_for_log("postgres was ended by SIGKILL")
    up.wait_for_log("postgres runs again")
    assert running_in(data, "postgres")

    wait_for(lambda: up.logs().count(" ready.") >= 2, "the worker to be ready again")
    books.spend("anthropic")
    wait_for(books.agree, "the new rows to be rolled up", 60)
    assert len(books.rolled()) == 6
    books.close()


def test_after_kill_nine_of_the_supervisor_nothing_is_left_and_nothing_is_lost(
    up: Program, home: Path
) -> None:
    ready(up)
    books = Books(paths.postgres_url(home))
    books.spend("openai")
    wait_for(books.agree, "the rows to be rolled up")
    books.spend("anthropic", 1000)
    books.engine.dispose()

    os.kill(up.pid, signal.SIGKILL)
    wait_for(lambda: not processes(home), f"everything to end; left: {names(home)}")

    lines = up.logs().count("Spendbeat is up")
    up.start()
    wait_for(lambda: up.logs().count("Spendbeat is up") > lines, "it to be up again", 90)
    wait_for(books.agree, "all rows to be rolled up", 60)
    assert sum(count for _, count, _ in books.rolled().values()) == 1100
    books.close()


def test_a_process_deep_in_a_statement_ends_with_the_killed_supervisor_too(
    database: str, home: Path, tmp_path: Path
) -> None:
    """With a Postgres of the user's own, which goes on and would keep it waiting."""
    environment = {**embedded(home), "DATABASE_URL": database}
    up = Program("up", (*SPENDBEAT, "up"), tmp_path / "up.log", environment).start()
    books = Books(database)
    try:
        ready(up)
        assert not paths.postgres_data(home).exists()
        with books.engine.connect() as holder:
            holder.execute(text("LOCK TABLE spend_buckets IN ACCESS EXCLUSIVE MODE"))
            books.spend("openai")
            wait_for(lambda: books.scalar(WAITING), "a worker to wait for the table")
            os.kill(up.pid, signal.SIGKILL)
            wait_for(lambda: not processes(home), "everything of ours to end")
    finally:
        kill_everything(home)
        up.stop()
        books.close()


def test_after_kill_nine_of_everything_at_once_the_next_start_recovers(
    up: Program, home: Path
) -> None:
    ready(up)
    books = Books(paths.postgres_url(home))
    books.spend("openai", 1000)
    books.engine.dispose()
    kill_everything(home)
    os.kill(up.pid, signal.SIGKILL)
    wait_for(lambda: not processes(home), "everything to be dead")

    lines = up.logs().count("Spendbeat is up")
    up.start()
    wait_for(lambda: up.logs().count("Spendbeat is up") > lines, "it to be up again", 90)
    wait_for(books.agree, "all rows to be rolled up", 60)
    assert sum(count for _, count, _ in books.rolled().values()) == 1000
    books.close()


def test_the_servers_alone_say_where_they_are_and_stop_on_ctrl_c(
    home: Path, tmp_path: Path
) -> None:
    servers = Program(
        "servers", (*SPENDBEAT, "servers"), tmp_path / "servers.log", embedded(home)
    ).start()
    servers.wait_for_log("REDIS_URL=")
    assert f"DATABASE_URL='{paths.postgres_url(home)}'" in servers.logs()
    os.kill(servers.pid, signal.SIGINT)
    assert servers.process is not None
    assert servers.process.wait(30) == 0
    assert names(home) == []


def test_a_port_that_is_taken_is_said_before_anything_starts(home: Path, tmp_path: Path) -> None:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = subprocess.run(
            [*SPENDBEAT, "up"],
            env={**os.environ, **embedded(home), "SPENDBEAT_FLOWER_PORT": str(port)},
            cwd=ROOT,
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert done.returncode == 1
    assert f"Port {port}" in done.stderr
    assert "SPENDBEAT_FLOWER_PORT" in done.stderr
    assert not paths.postgres_data(home).exists()
