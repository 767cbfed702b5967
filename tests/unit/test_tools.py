"""Programs for tests: found, or a clear error; never a test that is skipped."""

from pathlib import Path

import pytest

from tests import tools


def _program(folder: Path, name: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    made = folder / name
    made.write_text("#!/bin/sh\n")
    made.chmod(0o755)
    return made


@pytest.fixture(autouse=True)
def _bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tools, "TOOLS", tmp_path / "tools")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))


def test_a_program_under_any_of_its_names_is_found(tmp_path: Path) -> None:
    made = _program(tmp_path / "bin", "google-chrome")
    assert tools.tool("chromium") == made


def test_what_was_unpacked_here_comes_before_the_systems(tmp_path: Path) -> None:
    _program(tmp_path / "bin", "promtool")
    own = _program(tmp_path / "tools" / "usr" / "bin", "promtool")
    assert tools.tool("promtool") == own


def test_a_missing_program_is_an_error_that_names_its_package() -> None:
    with pytest.raises(tools.MissingToolError, match="apt-get install prometheus"):
        tools.tool("promtool")


def test_where_packages_cannot_be_had_it_says_so_instead_of_going_on() -> None:
    with pytest.raises(tools.MissingToolError, match="could not be installed"):
        tools.install()
