"""What was recorded survives its process: kills, forks, exits, several processes on one spool."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from spendbeat_gateway import Recorder

from tests.support.gateway import recorder, response
from tests.support.gateway_kills import caller, ids, storm
from tests.support.programs import ROOT
from tests.support.receiver import Receiver
from tests.support.waiting import wait_for


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver().up() as running:
        yield running


def run(script: str, folder: Path, url: str, **environment: str) -> str:
    """A short program with the recorder's environment; its output."""
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env={
            **os.environ,
            "SPENDBEAT_GATEWAY_URL": url,
            "SPENDBEAT_GATEWAY_SPOOL": str(folder),
            **environment,
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_what_killed_processes_recorded_arrives_once(tmp_path: Path) -> None:
    found = storm(tmp_path, 8)
    assert found.noted > 0
    assert found.lost == frozenset()


def test_two_processes_share_a_spool_and_one_of_them_ships(
    tmp_path: Path, receiver: Receiver
) -> None:
    """When the one that ships is killed, the other takes over."""
    notes = tmp_path / "a", tmp_path / "b"
    spool = tmp_path / "spool"
    load = ("--pause", "0.002")
    with (
        caller(spool, receiver.url, notes[0], *load) as first,
        caller(spool, receiver.url, notes[1], *load) as second,
    ):
        wait_for(lambda: ids(notes[0]) & receiver.ids, "calls of the first")
        wait_for(lambda: ids(notes[1]) & receiver.ids, "calls of the second")
        shipping = int((spool / "shipper.lock").read_text())
        dead, left = (first, notes[1]) if shipping == first.pid else (second, notes[0])
        dead.kill()
        known = receiver.ids
        wait_for(lambda: (ids(left) & receiver.ids) - known, "calls of the one that is left")
        assert {len(asked.events) for asked in receiver.asked} != {1}, "it sends batches"


def test_a_short_program_ships_before_it_ends(tmp_path: Path, receiver: Receiver) -> None:
    script = """
import spendbeat_gateway
usage = {"prompt_tokens": 5, "completion_tokens": 5}
for n in range(3):
    spendbeat_gateway.record({"model": "gpt-4o", "usage": usage}, provider="openai")
"""
    run(script, tmp_path, receiver.url, SPENDBEAT_GATEWAY_PROJECT="search")
    assert [event["project"] for event in receiver.events.values()] == ["search"] * 3


def test_a_short_program_ends_soon_also_where_nobody_answers(tmp_path: Path) -> None:
    """A server that accepts and says nothing holds it up for two seconds; the call stays."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        script = """
import spendbeat_gateway
spendbeat_gateway.record(provider="openai", model="gpt-4o", input_tokens=1)
"""
        began = time.monotonic()
        run(script, tmp_path, url)
        assert time.monotonic() - began < 20  # far from the 30 s of a request
    with recorder(tmp_path) as spendbeat:
        assert spendbeat.stats().waiting == 1


def test_parent_and_children_record_after_forks(tmp_path: Path, receiver: Receiver) -> None:
    """As a server with worker processes does, here with a parent that has recorded before."""
    script = """
import os, sys
import spendbeat_gateway

def call(who):
    for n in range(50):
        spendbeat_gateway.record(id=f"{who}-{n}", provider="a", model="b", input_tokens=1)

call("before")
children = []
for child in range(3):
    pid = os.fork()
    if pid == 0:
        call(f"child-{child}")
        os._exit(0)
    children.append(pid)
    call(f"parent-{child}")
for pid in children:
    os.waitpid(pid, 0)
call("after")
assert spendbeat_gateway.flush(30)
assert spendbeat_gateway.stats().faults == 0
"""
    run(script, tmp_path, receiver.url)
    names = ["before", "after", *(f"{who}-{n}" for who in ("child", "parent") for n in range(3))]
    assert receiver.ids == {f"{name}-{n}" for name in names for n in range(50)}


def test_children_of_multiprocessing_ship_before_they_end(
    tmp_path: Path, receiver: Receiver
) -> None:
    """They end without atexit; and this parent records nothing, so it ships nothing either."""
    script = """
import multiprocessing
import spendbeat_gateway

spendbeat_gateway.default_recorder()

def work(n):
    spendbeat_gateway.record(id=f"first of {n}", provider="a", model="b", input_tokens=1)
    spendbeat_gateway.flush()
    spendbeat_gateway.record(id=f"last of {n}", provider="a", model="b", input_tokens=1)

process = multiprocessing.get_context("fork").Process(target=work, args=("fork",))
process.start()
process.join()
"""
    run(script, tmp_path, receiver.url)
    assert receiver.ids == {"first of fork", "last of fork"}


def test_a_child_outlives_its_parent(tmp_path: Path, receiver: Receiver) -> None:
    """The parent's end must not take the child's files with it."""
    script = """
import os, sys, time
import spendbeat_gateway
spendbeat_gateway.record(id="parent", provider="a", model="b", input_tokens=1)
assert spendbeat_gateway.flush(30)
parent = os.getpid()
if os.fork() == 0:
    sys.stdout.close(); os.close(1); os.close(2)
    spendbeat_gateway.record(id="child-0", provider="a", model="b", input_tokens=1)
    while os.getppid() == parent:
        time.sleep(0.01)
    for n in range(1, 50):
        spendbeat_gateway.record(id=f"child-{n}", provider="a", model="b", input_tokens=1)
    os.kill(os.getpid(), 9)
"""
    run(script, tmp_path, receiver.url)
    with recorder(tmp_path, receiver.url) as spendbeat:
        wanted = {"parent", *(f"child-{n}" for n in range(50))}
        wait_for(lambda: spendbeat.flush(1) and receiver.ids == wanted, "all calls")


def test_a_fork_that_no_hook_announced_gets_a_spool_of_its_own(
    tmp_path: Path, receiver: Receiver
) -> None:
    """As uWSGI forks: in C. What the child leaves is adopted by the next that ships."""
    script = """
import ctypes, os, time
import spendbeat_gateway
spendbeat_gateway.record(id="parent", provider="a", model="b", input_tokens=1)
# The thread must not be inside SQLite just then: no library survives that.
spendbeat_gateway.default_recorder()._shipper.stop(10)
parent = os.getpid()
if ctypes.PyDLL(None).fork() == 0:
    ctypes.pythonapi.PyOS_AfterFork_Child()
    spendbeat_gateway.record(id="child-0", provider="a", model="b", input_tokens=1)
    print(spendbeat_gateway.stats().spool, flush=True)
    os.close(1); os.close(2)
    while os.getppid() == parent:
        time.sleep(0.01)
    for n in range(1, 20):
        spendbeat_gateway.record(id=f"child-{n}", provider="a", model="b", input_tokens=1)
    os.kill(os.getpid(), 9)
"""
    assert "/fork-" in run(script, tmp_path, receiver.url)
    with recorder(tmp_path, receiver.url) as spendbeat:
        spendbeat.record(id="last", provider="a", model="b", input_tokens=1)
        wanted = {"parent", "last", *(f"child-{n}" for n in range(20))}
        wait_for(lambda: spendbeat.flush(1) and receiver.ids == wanted, "all calls")
        wait_for(lambda: not list(tmp_path.glob("fork-*")), "the folder of the fork to go")


def test_threads_that_record_while_others_fork(tmp_path: Path, receiver: Receiver) -> None:
    """No fork catches a lock that its child waits for in vain."""
    with recorder(tmp_path, receiver.url) as spendbeat:
        stop = threading.Event()

        def work(who: int) -> None:
            n = 0
            while not stop.is_set():
                n += 1
                assert record(spendbeat, f"{who}-{n}")

        def record(to: Recorder, id_: str) -> str | None:
            return to.record(response(1, id=None), id=id_, provider="openai")

        threads = [threading.Thread(target=work, args=(who,)) for who in range(3)]
        for thread in threads:
            thread.start()
        try:
            for child in range(10):
                pid = os.fork()
                if pid == 0:
                    signal.alarm(20)
                    os._exit(0 if record(spendbeat, f"child-{child}") else 1)
                assert os.waitpid(pid, 0)[1] == 0
        finally:
            stop.set()
            for thread in threads:
                thread.join()
        assert spendbeat.flush(30)
        assert {f"child-{child}" for child in range(10)} <= receiver.ids
        assert spendbeat.stats().dropped == 0
