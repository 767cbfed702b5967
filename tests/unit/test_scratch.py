"""A folder that goes with its program, or with the next one."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.programs import ROOT
from worker.scratch import scratch

PROGRAM = """
import sys
from worker.scratch import scratch
with scratch("web") as folder:
    (folder / "figures").touch()
    print(folder, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary folders are made, here and by programs of the test."""
    monkeypatch.setenv("TMPDIR", os.fspath(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", os.fspath(tmp_path))
    return tmp_path


@contextmanager
def running() -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """A program that has such a folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout
        yield process, Path(process.stdout.readline().strip())
    finally:
        process.kill()
        process.communicate()


def test_it_goes_with_its_program(place: Path) -> None:
    with running() as (process, folder):
        assert folder.parent == place
        assert (folder / "figures").exists()
        process.communicate("")
    assert list(place.iterdir()) == []


def test_that_of_a_killed_program_goes_with_the_next_and_no_other(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is in use stays, and one so young that its lock may be about to come."""
    with running() as (_, used):
        with running() as (_, left):
            pass
        assert (left / "figures").exists()
        with scratch("web"):
            assert left.exists()
        monkeypatch.setattr("worker.scratch._YOUNG", -1.0)
        with scratch("web") as own:
            assert set(place.iterdir()) == {used, own}
        assert (used / "figures").exists()
