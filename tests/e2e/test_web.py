"""`spendbeat web` as processes: it serves, stops in order, and leaves nothing behind."""

import json
import os
import re
import signal
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from sqlalchemy import text

from tests.support.books import Books
from tests.support.programs import Program
from tests.support.service import event, token
from tests.support.waiting import wait_for

COMMAND = (sys.executable, "-m", "worker.cli", "web", "--port", "0")
WAITING = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    " AND wait_event_type = 'Lock'"
)


@pytest.fixture
def start(database: str, tmp_path: Path) -> Iterator[Callable[..., Program]]:
    programs: list[Program] = []

    def start(*arguments: str) -> Program:
        log = tmp_path / f"web{len(programs)}.log"
        program = Program("web", (*COMMAND, *arguments), log, {"DATABASE_URL": database})
        programs.append(program)
        return program.start()

    yield start
    for program in programs:
        program.stop()


def address(web: Program) -> str:
    """Where it listens; it answers there."""
    web.wait_for_log("HTTP: ")
    found = re.search(r"http://\S+", web.logs())
    assert found
    url = found[0]
    wait_for(lambda: answers(url), "it to answer")
    return url


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return json.load(answer)["status"] == "ok"
    except OSError:
        return False


def post(url: str, secret: str, body: object) -> dict[str, int]:
    headers = {"Authorization": f"Bearer {secret}", "Content-Type": "application/json"}
    request = urllib.request.Request(f"{url}/ingest", json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        found: dict[str, int] = json.load(answer)
        return found


def test_what_is_in_hand_is_answered_before_it_stops(
    start: Callable[..., Program], books: Books
) -> None:
    """SIGTERM while a request waits for the ledger: the request is booked and answered."""
    web = start()
    url, secret = address(web), token()
    post(url, secret, event(0))
    found: list[dict[str, int]] = []
    sender = threading.Thread(target=lambda: found.append(post(url, secret, event(1))))
    with books.engine.begin() as holder:
        holder.execute(text("LOCK TABLE cost_logs IN ACCESS EXCLUSIVE MODE"))
        sender.start()
        wait_for(lambda: books.scalar(WAITING), "it to wait for the ledger")
        os.kill(web.pid, signal.SIGTERM)
        wait_for(lambda: not answers(url), "it to take no more")
    sender.join()
    assert found[0]["imported"] == 1
    assert web.process is not None
    assert web.process.wait(15) == 0
    assert "Traceback" not in web.logs()


def test_several_processes_share_a_port_and_none_outlives_a_killed_parent(
    start: Callable[..., Program], books: Books
) -> None:
    web = start("--processes", "2")
    url, secret = address(web), token()
    children = psutil.Process(web.pid).children(recursive=True)
    servers = [c for c in children if "spawn_main" in " ".join(c.cmdline())]
    assert len(servers) == 2
    for number in range(10):
        post(url, secret, event(number))
    assert books.scalar("SELECT count(*) FROM cost_logs") == 10
    total = "SELECT coalesce(sum(total), 0) FROM ingest_counts WHERE counted = 'requests'"
    wait_for(lambda: books.scalar(total) == 10, "both to have counted")
    os.kill(web.pid, signal.SIGKILL)
    wait_for(lambda: not any(server.is_running() for server in servers), "both to end")


def test_several_processes_stop_on_sigterm(start: Callable[..., Program]) -> None:
    web = start("--processes", "2")
    address(web)
    os.kill(web.pid, signal.SIGTERM)
    assert web.process is not None
    assert web.process.wait(30) == 0


def test_a_port_that_is_taken_is_one_sentence(start: Callable[..., Program]) -> None:
    first = start()
    port = address(first).rpartition(":")[2]
    second = start("--port", port)
    assert second.process is not None
    assert second.process.wait(30) == 1
    assert f":{port}: it is in use" in second.logs()
    assert "SPENDBEAT_WEB_PORT" in second.logs()
    assert "Traceback" not in second.logs()
