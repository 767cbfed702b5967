"""`celery -A worker ...` typed by somebody who has started nothing yet, or set nonsense."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.programs import CELERY, ROOT


def run(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    clean = {k: v for k, v in os.environ.items() if k not in {"DATABASE_URL", "REDIS_URL"}}
    return subprocess.run(
        [*CELERY, *arguments],
        env={**clean, **environment},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("command", ["worker", "beat", "flower"])
def test_without_servers_it_says_how_to_get_them(command: str, tmp_path: Path) -> None:
    """One message that names the ways out; exit code 1; no traceback."""
    done = run({"SPENDBEAT_HOME": str(tmp_path)}, command)
    said = done.stdout + done.stderr
    assert done.returncode == 1
    assert "Traceback" not in said
    for way in ("spendbeat up", "spendbeat servers", "DATABASE_URL and REDIS_URL"):
        assert said.count(way) == 1


@pytest.mark.parametrize("command", ["worker", "beat", "flower"])
def test_settings_that_cannot_be_used_are_named(command: str, tmp_path: Path) -> None:
    """As by every other command: which, why, no traceback, and never the value."""
    done = run({"SPENDBEAT_HOME": str(tmp_path), "DATABASE_URL": "mysql://u:secret@h/d"}, command)
    said = done.stdout + done.stderr
    assert done.returncode == 1
    assert "DATABASE_URL" in said
    assert "Traceback" not in said
    assert "secret" not in said
