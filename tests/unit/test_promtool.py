"""What promtool says of rules and settings: they are right, and fire where they should."""

import subprocess
from pathlib import Path

import pytest

from tests.support.monitoring import FOLDER
from tests.support.prometheus import configured
from tests.tools import tool


def promtool(*arguments: str, folder: Path = FOLDER) -> str:
    """What it says; AssertionError with that where it does not agree."""
    command = [tool("promtool"), *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_rules_are_right() -> None:
    assert "SUCCESS" in promtool("check", "rules", "rules.yml")


def test_each_rule_fires_where_it_should_and_not_before() -> None:
    assert "SUCCESS" in promtool("test", "rules", "rules_test.yml")


def test_the_settings_are_right_and_want_the_token(tmp_path: Path) -> None:
    settings = configured(tmp_path, "sb_token")
    assert "SUCCESS" in promtool("check", "config", settings.name, folder=settings.parent)
    (settings.parent / "secrets" / "metrics.token").unlink()
    with pytest.raises(AssertionError, match=r"metrics\.token"):
        promtool("check", "config", settings.name, folder=settings.parent)
