"""GET /events of `spendbeat web` as processes, with a real Redis: killed, stopped, several."""

import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import psutil
import pytest

from spend import feed
from spend.sql import query
from tests.conftest import forget_caches
from tests.e2e.test_web import COMMAND, address
from tests.support.programs import Program
from tests.support.service import token
from tests.support.streams import Stream, deaf, listening
from tests.support.valkey import Valkey, valkey
from tests.support.waiting import wait_for
from web.stream.listeners import MOST_WAITING
from worker import bell
from worker.database import transaction


@pytest.fixture
def redis(database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Valkey]:
    with valkey() as server:
        monkeypatch.setenv("REDIS_URL", f"redis+socket://{server.url.removeprefix('unix://')}")
        forget_caches()
        yield server


@pytest.fixture
def start(redis: Valkey, database: str, tmp_path: Path) -> Iterator[Callable[..., Program]]:
    programs: list[Program] = []

    def start(*arguments: str) -> Program:
        log = tmp_path / f"web{len(programs)}.log"
        environment = {"DATABASE_URL": database, "REDIS_URL": os.environ["REDIS_URL"]}
        programs.append(Program("web", (*COMMAND, *arguments), log, environment))
        return programs[-1].start()

    yield start
    for program in programs:
        program.stop()


def happen(count: int = 1) -> None:
    for _ in range(count):
        with transaction() as session:
            feed.put_reset(session)
        bell.ring()


def test_after_kill_nine_a_client_resumes_from_another_process_without_a_hole(
    start: Callable[..., Program],
) -> None:
    secret = token("reader", "read")
    first = start()
    with listening(address(first), secret) as stream:
        happen(5)
        stream.have(5)
        assert first.process is not None
        os.kill(first.pid, signal.SIGKILL)
        first.process.wait(10)
        happen(3)
        stream.wait_until_over()
    second = start()
    with listening(address(second), secret, last_event_id=stream.last_id) as resumed:
        happen(2)
        resumed.have(5)
        assert stream.ids() + resumed.ids() == list(range(1, 11))


def test_clients_of_several_processes_all_hear_all_with_the_same_ids(
    start: Callable[..., Program],
) -> None:
    secret = token("reader", "read")
    url = address(start("--processes", "2"))
    streams = [Stream(f"{url}/events", secret).start() for _ in range(8)]
    happen(20)
    for stream in streams:
        stream.have(20)
    assert {tuple(one.id for one in stream.told) for stream in streams} == {
        tuple(one.id for one in streams[0].told)
    }
    for stream in streams:
        stream.close()


@pytest.mark.parametrize("processes", [1, 2])
def test_a_service_that_is_stopped_ends_streams_and_does_not_wait_for_them(
    start: Callable[..., Program], processes: int
) -> None:
    secret = token("reader", "read")
    web = start("--processes", str(processes))
    url = address(web)
    streams = [Stream(f"{url}/events", secret).start() for _ in range(4)]
    os.kill(web.pid, signal.SIGTERM)
    for stream in streams:
        stream.wait_until_over()
        assert stream.status == 200
    assert web.process is not None
    assert web.process.wait(30) == 0
    assert "graceful shutdown exceeded" not in web.logs()
    assert "Traceback" not in web.logs()
    assert not psutil.pid_exists(web.pid) or not psutil.Process(web.pid).is_running()


def test_a_service_that_is_stopped_does_not_wait_for_one_that_reads_nothing(
    start: Callable[..., Program],
) -> None:
    web = start()
    batch = {"provider": "p" * 400_000, "counted_to": None, "rest": None}
    body = json.dumps({**batch, "lines": [["acme", None, None, 1, 0, "1"]]})
    with closing(deaf(address(web), token("reader", "read"))):
        for _ in range(MOST_WAITING // 4):  # more than the system takes, fewer than end a stream
            with transaction() as session:
                session.execute(query("feed", "put"), {"kind": "spend", "body": body})
        with listening(address(web), token("other", "read")) as other:
            happen()
            other.have(1)
        os.kill(web.pid, signal.SIGTERM)
        assert web.process is not None
        assert web.process.wait(30) == 0
    assert "graceful shutdown exceeded" not in web.logs()


def test_a_service_that_was_killed_leaves_no_subscription(
    start: Callable[..., Program], redis: Valkey
) -> None:
    web = start()
    address(web)

    def heard_by() -> int:
        return int(redis.client.execute_command("PUBSUB", "NUMSUB", bell.CHANNEL)[1])

    wait_for(lambda: heard_by() == 1, "it to listen")
    os.kill(web.pid, signal.SIGKILL)
    wait_for(lambda: heard_by() == 0, "it to be gone")
