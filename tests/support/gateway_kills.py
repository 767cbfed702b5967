"""kill -9 of processes that record, at random moments, over one spool."""

import random
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from spendbeat_gateway import Recorder

from tests.support.databases import away
from tests.support.programs import Program
from tests.support.receiver import Receiver
from tests.support.service import Service, serving, token
from tests.support.waiting import wait_for

CALLER = "tests.support.gateway_caller"
_LOAD = ("--threads", "2", "--pause", "0.001")


@dataclass(frozen=True)
class Outcome:
    """noted: ids that record() returned before the kill; arrived: how many different ones came."""

    kills: int
    noted: int
    arrived: int
    sent_again: int
    lost: frozenset[str]
    unknown: int  # arrived, without the caller having lived to note it


def ids(notes: Path) -> set[str]:
    """Complete lines only: a kill may cut the last one."""
    return set(notes.read_text().rpartition("\n")[0].split()) if notes.exists() else set()


@contextmanager
def caller(
    folder: Path, url: str, notes: Path, *options: str, name: str = "caller", token: str = ""
) -> Iterator[Program]:
    command = (sys.executable, "-m", CALLER, str(folder), url, str(notes), *options)
    environment = {"SPENDBEAT_GATEWAY_TOKEN": token}
    program = Program(name, command, notes.with_suffix(".log"), environment)
    try:
        yield program.start()
    finally:
        program.kill()


def storm(folder: Path, kills: int, *, seed: int = 1, callers: int = 2) -> Outcome:
    """Kill processes that record, `callers` at a time, until `kills` have died.

    The receiver is down for about a third of them. What they leave behind is shipped by whoever
    comes next.
    """
    moments = random.Random(seed)
    receiver = Receiver()
    with receiver.up():
        pass  # to have a port
    spool = folder / "spool"
    notes = [folder / f"notes-{n}" for n in range(kills)]
    for n in range(0, kills, callers):
        with ExitStack() as stack:
            if moments.random() < 0.7:
                stack.enter_context(receiver.up())
            programs = [
                stack.enter_context(caller(spool, receiver.url, note, *_LOAD))
                for note in notes[n : n + callers]
            ]
            for program, note in zip(programs, notes[n:], strict=False):
                wait_for(lambda note=note: ids(note), f"a first call of {program.name}")
                time.sleep(moments.uniform(0, 1.5))  # the random moment
                program.kill()
    with receiver.up():
        recorder = Recorder(url=receiver.url, spool=spool)
        assert recorder.flush(60), f"the spool was not emptied: {recorder.stats()}"
        recorder.close()
    noted = set().union(*map(ids, notes))
    return Outcome(
        kills,
        len(noted),
        len(receiver.ids),
        sum(receiver.times.values()) - len(receiver.times),
        frozenset(noted - receiver.ids),
        len(receiver.ids - noted),
    )


def service_storm(
    folder: Path, url: str, kills: int, seconds_away: float, *, seed: int = 1
) -> tuple[set[str], int]:
    """The same against the real service, whose database (`url`) is away for a while meanwhile.

    Returns the ids that record() returned, and how many processes were killed while it was away.
    """
    moments, spool, secret = random.Random(seed), folder / "spool", token()
    killed_meanwhile = 0

    def kill_some(service: Service, numbers: Iterable[int]) -> None:
        for n in numbers:
            with caller(spool, service.url, folder / f"notes-{n}", *_LOAD, token=secret) as program:
                wait_for(lambda n=n: ids(folder / f"notes-{n}"), f"a first call of {program.name}")
                time.sleep(moments.uniform(0, 1.5))
                program.kill()

    with serving(secret) as service:
        kill_some(service, range(kills // 2))
        with away(url):
            end = time.monotonic() + seconds_away
            while time.monotonic() < end:
                kill_some(service, [kills // 2 + killed_meanwhile])
                killed_meanwhile += 1
        kill_some(
            service, range(kills // 2 + killed_meanwhile, max(kills, kills // 2 + killed_meanwhile))
        )
        recorder = Recorder(url=service.url, token=secret, spool=spool)
        assert recorder.flush(120), f"the spool was not emptied: {recorder.stats()}"
        recorder.close()
    return set().union(*map(ids, folder.glob("notes-*[0-9]"))), killed_meanwhile
