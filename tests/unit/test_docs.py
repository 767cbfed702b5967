"""The documents name what is there: settings, dependencies, tests, files."""

import re
import tomllib
from pathlib import Path

import click
import pytest
from prometheus_client import CollectorRegistry
from pydantic_core import PydanticUndefined

from web.metrics import WebMetrics
from worker import metrics
from worker.cli.root import cli
from worker.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted(
    [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "docs/adr").glob("*.md")]
)
ADRS = [path for path in DOCUMENTS if path.parent.name == "adr"]
LINK = re.compile(r"\]\(([^)#]+)[^)]*\)")
TEST = re.compile(r"\btest_[a-z0-9_]+\b")
CODE = re.compile(r"```.*?```|`[^`]+`", re.DOTALL)
COMMAND = re.compile(r"\bspendbeat\s+([a-z][a-z-]+)(?:\s+([a-z][a-z-]+))?")
ROW = re.compile(r"^\| `([^`]+)` \| (?:`([^`]*)`|\([^)]*\)) \|", re.MULTILINE)


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_every_setting_is_in_the_document_with_its_default() -> None:
    settings = read("docs/configuration.md").partition("\n## ")[0]
    wanted = {
        str(info.validation_alias or f"SPENDBEAT_{name.upper()}"): ""
        if info.default in (None, PydanticUndefined)
        else str(info.default)
        for name, info in Settings.model_fields.items()
    }
    assert dict(ROW.findall(settings)) == wanted


def test_every_dependency_is_in_the_document_and_no_other() -> None:
    project = tomllib.loads(read("pyproject.toml"))["project"]
    extras = project["optional-dependencies"].values()
    wanted = {
        re.split(r"[^A-Za-z0-9-]", line)[0]
        for line in (*project["dependencies"], *(line for extra in extras for line in extra))
    }
    found = set(re.findall(r"^\| `([^`]+)`", read("docs/dependencies.md"), re.MULTILINE))
    assert found == wanted


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_what_a_document_names_is_there(document: Path) -> None:
    """Files that it links to, and tests that it says guard something."""
    source = document.read_text(encoding="utf-8")
    links = [link for link in LINK.findall(source) if "://" not in link]
    assert [link for link in links if not (document.parent / link).exists()] == []
    tests = [*(ROOT / "tests").rglob("test_*.py")]
    known = {path.stem for path in tests} | {
        name for path in tests for name in TEST.findall(path.read_text(encoding="utf-8"))
    }
    assert set(TEST.findall(source)) - known == set()


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_every_command_that_a_document_shows_exists(document: Path) -> None:
    code = " ; ".join(CODE.findall(document.read_text(encoding="utf-8")))
    context = click.Context(cli)
    for name, following in COMMAND.findall(code):
        command = cli.get_command(context, name)
        assert command is not None, name
        if isinstance(command, click.Group) and following:
            assert following in command.commands, f"{name} {following}"


def test_every_metric_to_watch_is_exported_and_every_one_that_is_exported_is_explained() -> None:
    watched = read("docs/operations.md").partition("## What to watch")[2].partition("\n## ")[0]
    figures = {f.name for f in vars(metrics).values() if isinstance(f, metrics.Figure)}
    counters = {f"celery_task_{name.removeprefix('task-')}_total" for name in counted()}
    served = re.findall(r"# TYPE (\w+?)(?:_total)? ", WebMetrics().text().decode())
    named = set(re.findall(r"`((?:spendbeat|celery)_\w+)`", watched))
    budgets = {f"spendbeat_budget_{what}_dollars" for what in ("used", "limit", "left")}
    assert named <= figures | counters | {"celery_task_runtime"} | set(served)
    assert figures | counters | {"celery_task_runtime"} | set(served) <= named | budgets


def counted() -> list[str]:
    return list(metrics.EventMetrics(CollectorRegistry()).counters)


@pytest.mark.parametrize("adr", ADRS, ids=name_of)
def test_a_decision_is_short_and_says_what_it_costs(adr: Path) -> None:
    source = adr.read_text(encoding="utf-8")
    assert len(source.splitlines()) <= 40
    assert [
        name for name in ("## Context", "## Decision", "## Consequences") if name not in source
    ] == []
