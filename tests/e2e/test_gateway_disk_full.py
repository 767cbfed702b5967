"""A full disk under the spool: calls go on, drops are counted, what was kept still ships."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.gateway import recorder, response
from tests.support.programs import ROOT
from tests.support.receiver import Receiver
from tests.support.waiting import wait_for


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A file system of 2 MB; only root can make one."""
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def fill(disk: Path) -> Path:
    """Somebody else's file that takes all that is left."""
    file = disk / "somebody-elses"
    with file.open("wb", buffering=0) as out:
        size = 1 << 16
        while size:
            try:
                out.write(b"x" * size)
            except OSError:
                size //= 2
    return file


def a_disk_that_others_fill(folder: Path) -> None:
    receiver = Receiver()
    with receiver.up():
        pass
    with recorder(folder, receiver.url) as spendbeat:
        kept = {spendbeat.record(response(n), provider="openai") for n in range(300)}
        assert None not in kept
        theirs = fill(folder)
        # What the spool holds already it writes over, so it is not full at once.
        made: list[str | None] = []
        while made.count(None) < 100:
            assert len(made) < 5_000, "it was never full"
            made.append(spendbeat.record(response(300 + len(made)), provider="openai"))
        dropped = made.count(None)
        kept |= set(made) - {None}
        assert spendbeat.stats().dropped_by_reason == {"disk": dropped}
        with receiver.up():
            assert spendbeat.flush()
            assert receiver.ids == kept
            theirs.unlink()
            wait_for(
                lambda: spendbeat.record(response(9_999), provider="openai"), "room for new calls"
            )
            assert spendbeat.flush()
            wait_for(lambda: spendbeat.stats().shipped == len(kept) + 1, "the spool to be empty")
            assert spendbeat._outbox.counters()["dropped_disk"] >= dropped
            assert spendbeat.stats().faults == 0


def a_disk_that_the_spool_fills(folder: Path) -> None:
    """A volume smaller than the bound must not end as a spool that nothing can leave."""
    receiver = Receiver()
    with receiver.up():
        pass
    with recorder(folder, receiver.url) as spendbeat:
        made = [spendbeat.record(response(n), provider="openai") for n in range(10_000)]
        kept = set(made) - {None}
        assert 500 < len(kept) < 10_000
        with receiver.up():
            assert spendbeat.flush()
            assert receiver.ids == kept
            wait_for(
                lambda: spendbeat.record(response(99_999), provider="openai"), "room for new calls"
            )


if os.geteuid() == 0:

    @pytest.mark.parametrize("case", [a_disk_that_others_fill, a_disk_that_the_spool_fills])
    def test_a_small_disk(tmp_path: Path, case: "type[a_disk_that_others_fill]") -> None:
        with small_disk(tmp_path / "small") as folder:
            case(folder)


def test_files_that_may_not_grow(tmp_path: Path) -> None:
    """The same without a disk of its own: the kernel refuses to let files of a process grow."""
    script = """
import resource
import spendbeat_gateway
usage = {"prompt_tokens": 5, "completion_tokens": 5}
def call(n):
    return spendbeat_gateway.record({"usage": usage}, id=str(n), model="m", provider="p")
kept = [call(n) for n in range(100)]
resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 18, resource.RLIM_INFINITY))
kept += [call(n) for n in range(100, 3000)]
dropped = kept.count(None)
stats = spendbeat_gateway.stats()
assert dropped > 1000, dropped
assert stats.dropped_by_reason == {"disk": dropped}, stats
assert stats.faults == 0
print(*[id_ for id_ in kept if id_])
"""
    receiver = Receiver()
    with receiver.up():
        pass
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env={
            **os.environ,
            "SPENDBEAT_GATEWAY_URL": receiver.url,
            "SPENDBEAT_GATEWAY_SPOOL": str(tmp_path),
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    with receiver.up(), recorder(tmp_path, receiver.url) as spendbeat:
        assert spendbeat.flush()
        assert receiver.ids == set(done.stdout.split())
