"""Tests that run in several processes: how many, and what they leave in memory."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests import conftest
from tests.support import memory


def config(*arguments: str, **options: Any) -> Any:
    return SimpleNamespace(
        args=arguments, option=SimpleNamespace(**{"capture": "fd", "trace": False, **options})
    )


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (config("tests"), 4),
        (config(str(Path(__file__).parent), __file__), 4),
        (config(__file__, f"{__file__}::config"), 0),
        (config("tests", capture="no"), 0),
        (config("tests", trace=True), 0),
    ],
    ids=["all", "a folder", "files", "output", "trace"],
)
def test_folders_are_tested_by_each_core_and_named_files_by_this_process(
    monkeypatch: pytest.MonkeyPatch, asked: Any, expected: int
) -> None:
    monkeypatch.setattr(conftest, "_cores", lambda: 4)
    assert conftest.pytest_xdist_auto_num_workers(asked) == expected


def test_a_folder_in_memory_is_removed_by_its_run_or_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "_MEMORY", tmp_path)
    monkeypatch.setattr(memory, "_ENOUGH", 0)
    (tmp_path / "spendbeat-tests-of-a-killed-run" / "data").mkdir(parents=True)
    (tmp_path / "somebody-elses").mkdir()
    with memory.folder(tmp_path) as first:
        (first / "data").mkdir()
        with memory.folder(tmp_path) as second:
            assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
                [first.name, second.name, "somebody-elses"]
            )
    assert [path.name for path in tmp_path.iterdir()] == ["somebody-elses"]


def test_without_plenty_of_memory_it_is_a_folder_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "_ENOUGH", 1 << 60)
    with memory.folder(tmp_path) as found:
        assert found == tmp_path
