"""What several web processes count is one sum, whichever of them is asked and whatever dies."""

import os
import re
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from tests.support.metrics import Scrape, parsed
from tests.support.programs import Program
from tests.support.service import token
from tests.support.waiting import wait_for

COMMAND = (sys.executable, "-m", "worker.cli", "web", "--port", "0", "--processes", "2")
# Seconds; a process that begins on a busy machine is long about it.
STARTING = 90.0
REQUESTS = "spendbeat_http_requests_total"


@pytest.fixture
def start(database: str, tmp_path: Path) -> Iterator[Callable[[], Program]]:
    programs: list[Program] = []

    def start() -> Program:
        log = tmp_path / f"web{len(programs)}.log"
        own = {"DATABASE_URL": database, "TMPDIR": os.fspath(tmp_path)}
        programs.append(Program("web", COMMAND, log, own))
        return programs[-1].start()

    yield start
    for program in programs:
        program.stop()


def servers(web: Program) -> list[psutil.Process]:
    children = psutil.Process(web.pid).children(recursive=True)
    return [c for c in children if "spawn_main" in " ".join(c.cmdline())]


def address(web: Program) -> str:
    web.wait_for_log("HTTP: ")
    found = re.search(r"http://\S+", web.logs())
    assert found
    return found[0]


def ask(url: str, path: str, secret: str = "") -> httpx.Response:
    """Each on a connection of its own, so that any of the processes may answer."""
    headers = {"authorization": f"Bearer {secret}"} if secret else {}
    return httpx.get(f"{url}{path}", headers=headers, trust_env=False, timeout=30)


def scrape(url: str, secret: str) -> Scrape:
    answer = ask(url, "/metrics", secret)
    assert answer.status_code == 200, answer.text
    return parsed(answer.text)


def served(url: str, secret: str) -> float:
    found = scrape(url, secret).value(REQUESTS, route="/spend", status="4xx")
    assert found is not None
    return found


def files(tmp_path: Path) -> set[str]:
    return {file.name for file in tmp_path.glob("spendbeat-web-*/*.db")}


def test_sums_are_of_all_processes_and_outlive_those_that_are_killed(
    start: Callable[[], Program], tmp_path: Path
) -> None:
    """No count is lost or falls when a process is killed; its successor takes its files over."""
    web = start()
    url, secret = address(web), token("prometheus", "metrics")
    wait_for(lambda: ask_safely(url), "an answer", STARTING)
    wait_for(
        lambda: len(list(tmp_path.glob("spendbeat-web-*/counter_*.db"))) == 2, "both", STARTING
    )
    for _ in range(30):
        assert ask(url, "/spend").status_code == 401
    assert {served(url, secret) for _ in range(8)} == {30}
    known = files(tmp_path)
    for round_ in range(1, 3):
        victim = servers(web)[0]
        victim.send_signal(signal.SIGKILL)
        wait_for(
            lambda v=victim: not v.is_running() and len(servers(web)) == 2, "another", STARTING
        )
        for _ in range(10):
            wait_for(lambda: ask_safely(url, "/spend"), "an answer", STARTING)
        found = served(url, secret)
        assert found == 30 + 10 * round_
        assert scrape(url, secret).value("spendbeat_http_in_hand") == 1
    assert files(tmp_path) == known
    web.stop()
    assert not list(tmp_path.glob("spendbeat-web-*"))


def ask_safely(url: str, path: str = "/") -> bool:
    """Whether it was answered: a process that is killed takes its connections with it."""
    try:
        return ask(url, path).status_code > 0
    except httpx.TransportError:
        return False


def test_a_folder_of_other_programs_is_not_used(database: str, tmp_path: Path) -> None:
    """Whoever starts it may itself count with the same library."""
    del database
    command = (*COMMAND[:-1], "1")
    others = {"PROMETHEUS_MULTIPROC_DIR": os.fspath(tmp_path / "nowhere")}
    web = Program("web", command, tmp_path / "web.log", others).start()
    try:
        wait_for(lambda: ask_safely(address(web)), "an answer", STARTING)
        assert scrape(address(web), token("own", "metrics")).value("spendbeat_http_in_hand") == 1
    finally:
        web.stop()
