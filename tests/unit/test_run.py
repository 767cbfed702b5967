"""./run: what it decides without doing it."""

import importlib.machinery
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

RUN = Path(__file__).resolve().parent.parent.parent / "run"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script as a module, for a checkout in `tmp_path`."""
    loader = importlib.machinery.SourceFileLoader("run_script", str(RUN))
    spec = importlib.util.spec_from_loader("run_script", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    loader.exec_module(module)
    monkeypatch.setattr(module, "ROOT", tmp_path)
    for name in {*module.MAIN.projects, module.MAIN.constraints, module.LITELLM.constraints}:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    return module


def done(run: ModuleType, extras: list[str]) -> None:
    run.MAIN.python.parent.mkdir(parents=True)
    run.MAIN.python.touch()
    stamp = {"digest": run.MAIN.digest(), "extras": extras, "root": str(run.ROOT)}
    run.MAIN.stamp.write_text(json.dumps(stamp))


def call(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(RUN), *arguments], capture_output=True, text=True, check=False
    )


def test_help_lists_every_verb_and_so_does_nothing_at_all() -> None:
    shown = call("help")
    assert shown.returncode == 0
    assert call().stdout == shown.stdout
    for verb in ("demo", "up", "test", "lint", "bench", "storm", "shell", "migrate"):
        assert f"./run {verb}" in shown.stdout


def test_an_unknown_verb_is_named_and_exits_2() -> None:
    shown = call("dmeo")
    assert shown.returncode == 2
    assert "'dmeo'" in shown.stderr
    assert "./run demo" in shown.stderr


def test_it_installs_once(run: ModuleType) -> None:
    assert not run.MAIN.ready(["embedded"])
    done(run, ["dev", "embedded"])
    assert run.MAIN.ready(["embedded"])
    assert run.MAIN.ready(["dev", "embedded"])


def test_it_installs_again_for_another_extra(run: ModuleType) -> None:
    done(run, ["embedded"])
    assert not run.MAIN.ready(["dev", "embedded"])


@pytest.mark.parametrize("name", ["pyproject.toml", "gateway/pyproject.toml", "constraints.txt"])
def test_it_installs_again_when_what_is_needed_changed(run: ModuleType, name: str) -> None:
    done(run, ["embedded"])
    (run.ROOT / name).write_text("three")
    assert not run.MAIN.ready(["embedded"])


def test_it_installs_again_after_the_checkout_moved(run: ModuleType) -> None:
    done(run, ["embedded"])
    run.MAIN.stamp.write_text(run.MAIN.stamp.read_text().replace(str(run.ROOT), "/elsewhere"))
    assert not run.MAIN.ready(["embedded"])


def test_each_environment_is_installed_for_itself(run: ModuleType) -> None:
    """What LiteLLM's needs changed, and ours did not."""
    done(run, ["embedded"])
    before = run.LITELLM.digest()
    (run.ROOT / run.LITELLM.constraints).write_text("three")
    assert run.LITELLM.digest() != before
    assert run.MAIN.ready(["embedded"])
    assert not run.LITELLM.ready([])


def test_the_tests_and_nothing_else_get_litellm_and_programs(
    run: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed: list[str] = []
    monkeypatch.setattr(run, "install", lambda environment, _: installed.append(environment.name))
    monkeypatch.setattr(run, "install_tools", lambda: installed.append("programs"))
    monkeypatch.setattr(run, "act", lambda *_: 0)
    for verb in run.VERBS:
        run.main([verb])
    assert installed.count(".venv") == len(run.VERBS) - 1
    installed.clear()
    run.main(["test"])
    assert installed == [".venv", ".venv-litellm", "programs"]
    run.main(["up"])
    assert installed[3:] == [".venv"]


def test_a_damaged_stamp_means_install_again(run: ModuleType) -> None:
    done(run, ["embedded"])
    run.MAIN.stamp.write_text('{"digest": ')
    assert not run.MAIN.ready(["embedded"])


def test_an_index_that_only_pip_knows_is_used_through_pip(
    run: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A uv without a word about it would go to the public index."""
    for name in [*os.environ]:
        if name.startswith(("PIP_", "UV_")):
            monkeypatch.delenv(name)
    monkeypatch.setattr(run, "uv_files", list)
    nothing = ["true"]
    assert not run.only_pip_is_configured(nothing)
    configured = ["sh", "-c", "echo \"global.index-url='https://packages.example/simple'\""]
    assert run.only_pip_is_configured(configured)
    monkeypatch.setenv("PIP_INDEX_URL", "https://packages.example/simple")
    assert run.only_pip_is_configured(nothing)
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://packages.example/simple")
    assert not run.only_pip_is_configured(nothing)


def test_a_checkout_that_cannot_be_written_is_said(
    run: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write anywhere
    with pytest.raises(SystemExit, match="You cannot write to"):
        run.install(run.MAIN, ["embedded"])
