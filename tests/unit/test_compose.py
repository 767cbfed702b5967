"""docker-compose.yml and Dockerfile: what they start exists, and nothing is open to others."""

import re
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from celery.bin.celery import celery
from flower.command import flower

from worker.cli.root import cli

ROOT = Path(__file__).resolve().parent.parent.parent
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
QUEUES = {"worker": "-X", "delivery": "-Q"}
OURS = sorted(name for name, service in SERVICES.items() if "build" in service)


def accepts(group: click.Group, arguments: list[str]) -> None:
    """Raise click's error where a group would not take these arguments."""
    context = click.Context(group)
    _, _, left = _parsed(group, context, arguments)
    name, *rest = left
    command = flower if name == "flower" else group.get_command(context, name)
    assert command is not None, f"there is no command {name}"
    values, _, extra = _parsed(command, click.Context(command, info_name=name), rest)
    assert not extra, f"{name} does not take {extra}"
    del values


def _parsed(command: click.Command, context: click.Context, arguments: list[str]) -> Any:
    parser = command.make_parser(context)
    parser.allow_interspersed_args = not isinstance(command, click.Group)
    values, left, order = parser.parse_args(list(arguments))
    return values, order, left


def test_every_service_of_the_pipeline_is_there() -> None:
    assert OURS == ["beat", "delivery", "exporter", "flower", "migrate", "web", "worker"]
    assert sorted(SERVICES.keys() - set(OURS)) == ["postgres", "redis"]


@pytest.mark.parametrize("name", OURS)
def test_the_command_is_one_that_the_program_takes(name: str) -> None:
    program, *arguments = SERVICES[name]["command"]
    accepts({"celery": celery, "spendbeat": cli}[program], arguments)


def test_one_worker_delivers_and_the_other_does_all_else() -> None:
    """Each of them is asked by its own name whether it is well."""
    asked = {}
    for name in ("worker", "delivery"):
        command = SERVICES[name]["command"]
        asked[name] = {
            option: command[command.index(option) + 1] for option in ("-n", QUEUES[name])
        }
        assert f'"{name}@$$HOSTNAME"' in SERVICES[name]["healthcheck"]["test"][1]
    assert asked == {
        "worker": {"-n": "worker@%h", "-X": "delivery"},
        "delivery": {"-n": "delivery@%h", "-Q": "delivery"},
    }


def test_a_wrong_option_would_be_noticed() -> None:
    with pytest.raises(click.NoSuchOption):
        accepts(celery, ["-A", "worker", "worker", "--no-such-option"])
    with pytest.raises(AssertionError, match="does not take"):
        accepts(cli, ["migrate", "now"])
    with pytest.raises(AssertionError, match="no command"):
        accepts(cli, ["migrat"])


@pytest.mark.parametrize("name", sorted(SERVICES.keys() - {"migrate"}))
def test_every_service_that_stays_says_whether_it_is_well(name: str) -> None:
    assert SERVICES[name]["healthcheck"]["test"]


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_what_is_published_is_published_to_this_machine_only(name: str) -> None:
    service = SERVICES[name]
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))
    assert "network_mode" not in service
    if "ports" not in service:
        # Only messages have a way out.
        assert service["networks"] == (["data", "doors"] if name == "delivery" else ["data"])
    assert COMPOSE["networks"]["data"]["internal"] is True


def test_no_password_has_a_default() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    uses = re.findall(r"\$\{([A-Z_]*PASSWORD)(.*?)\}", text)
    assert {name for name, _ in uses} == {"POSTGRES_PASSWORD", "FLOWER_PASSWORD"}
    assert all(rest.startswith(":?") for _, rest in uses)
    for service in SERVICES.values():
        for name, value in service["environment"].items() if "environment" in service else ():
            if "PASSWORD" in name or "AUTH" in name:
                assert "${" in value, f"{name} is written in the file"


def test_images_are_pinned_and_ours_runs_without_rights() -> None:
    for name in SERVICES.keys() - set(OURS):
        assert re.search(r":\d+\.\d+", SERVICES[name]["image"])
    for name in OURS:
        assert SERVICES[name]["cap_drop"] == ["ALL"]
        assert SERVICES[name]["read_only"] is True
    recipe = (ROOT / "Dockerfile").read_text()
    assert all(
        re.search(r":\d+\.\d+\.\d+-", line) for line in recipe.splitlines() if "FROM " in line[:5]
    )
    users = re.findall(r"^USER (\S+)", recipe, re.MULTILINE)
    assert users
    assert users[-1] not in {"root", "0"}


def test_the_image_has_every_package_of_the_service() -> None:
    recipe = (ROOT / "Dockerfile").read_text()
    ignored = (ROOT / ".dockerignore").read_text().split()
    for package in ("models", "spend", "tasks", "web", "worker", "migrations"):
        assert f"COPY {package} {package}" in recipe
        assert f"!{package}" in ignored
    for file in (path.name for path in ROOT.glob("*config.py")):
        assert f" {file} " in recipe
        assert f"!{file}" in ignored
