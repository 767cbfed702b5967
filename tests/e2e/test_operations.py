"""Backup and restore by the commands that docs/operations.md shows, typed as they stand there."""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.programs import ROOT, Program

SPENDBEAT = (sys.executable, "-c", "from worker.cli import main; main()")
ROLL = "from tests.support import ledger; ledger.roll()"
ROW = (
    '{"id": "one", "started_at": "2026-11-02T10:00Z", "provider": "openai", "model": "gpt-4o",'
    ' "cost_usd": "1.25"}'
)
SERVERS = "spendbeat servers &"


def commands(heading: str) -> list[str]:
    """The blocks of commands of a section of the document, in order."""
    document = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    section = document.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return re.findall(r"^```\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)


@pytest.fixture
def homes() -> Iterator[Path]:
    """Where homes have paths as short as in the document."""
    with tempfile.TemporaryDirectory(prefix="sb", dir="/tmp") as folder:
        Path(folder).chmod(0o711)  # the servers may run as nobody
        yield Path(folder)


@pytest.fixture
def environment(homes: Path) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if k not in {"DATABASE_URL", "REDIS_URL"}}
    path = f"{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}"
    return {**kept, "PATH": path, "SPENDBEAT_HOME": str(homes / "old")}


def type_in(script: str, environment: dict[str, str], folder: Path) -> str:
    """Run commands one after the other in a folder; what they said. None may fail."""
    script = script.replace("$(echo .venv/", f"$(echo {sys.prefix}/")
    done = subprocess.run(
        ["bash", "-euc", script],
        env=environment,
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, f"{script}\n{done.stdout}"
    return done.stdout


@contextmanager
def servers(environment: dict[str, str], log: Path) -> Iterator[None]:
    program = Program("servers", (*SPENDBEAT, "servers"), log, environment).start()
    try:
        program.wait_for_log("DATABASE_URL", 120)
        yield
    finally:
        program.stop()


def test_a_dump_and_its_restore_by_the_commands_of_the_document(
    environment: dict[str, str], homes: Path, tmp_path: Path
) -> None:
    """On another cluster, every total is what it was, and an audit agrees."""
    dump, restore = commands("Backup and restore")[:2]
    folder = tmp_path / "work"
    folder.mkdir()
    new = {**environment, "SPENDBEAT_HOME": str(homes / "new")}
    with servers(environment, tmp_path / "old.log"):
        (folder / "rows.ndjson").write_text(ROW)
        type_in(
            f"spendbeat migrate; spendbeat import rows.ndjson; cd {ROOT}; python -c '{ROLL}'",
            environment,
            folder,
        )
        before = type_in("spendbeat spend --by provider --json", environment, folder)
        assert "1.25" in before
        type_in(dump, environment, folder)
    assert SERVERS in restore
    bin_folder, chosen = dump.splitlines()[0], restore.splitlines()[0]
    assert chosen.startswith("export SPENDBEAT_HOME=")
    rest = "\n".join(line for line in restore.splitlines()[1:] if SERVERS not in line)
    with servers(new, tmp_path / "new.log"):
        said = type_in(f"{bin_folder}\n{rest}", new, folder)
        assert "difference 0" in said
        assert type_in("spendbeat spend --by provider --json", new, folder) == before
