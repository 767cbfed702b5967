"""docker-compose.yml and Dockerfile: what they start exists, and nothing is open to others."""

import importlib.resources
import json
import re
from pathlib import Path
from typing import Any

import click
import jsonschema
import pytest
import yaml
from celery.bin.celery import celery
from flower.command import flower

from tests.support import compose, monitoring
from worker.cli.root import cli

ROOT = Path(__file__).resolve().parent.parent.parent
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
PASSWORDS = {"POSTGRES_PASSWORD", "FLOWER_PASSWORD", "GRAFANA_PASSWORD"}
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
    assert sorted(SERVICES.keys() - set(OURS)) == ["grafana", "postgres", "prometheus", "redis"]


def specification() -> Any:
    """The published schema of such files, as the package check-jsonschema brings it."""
    vendored = importlib.resources.files("check_jsonschema") / "builtin_schemas" / "vendor"
    return json.loads((vendored / "compose-spec.json").read_text(encoding="utf-8"))


def test_the_file_is_what_the_specification_of_compose_files_says() -> None:
    """As it is written, and with its variables replaced; a word that is not in it is noticed."""
    schema = specification()
    jsonschema.validate(COMPOSE, schema)
    whole = compose.read(dict.fromkeys(PASSWORDS, "x"))
    jsonschema.validate(whole, schema)
    whole["services"]["web"]["healthchek"] = {}
    with pytest.raises(jsonschema.ValidationError, match="healthchek"):
        jsonschema.validate(whole, schema)


def test_each_service_starts_after_what_it_needs() -> None:
    order = list(compose.in_order(SERVICES))
    assert order.index("postgres") < order.index("migrate")
    for name in set(OURS) - {"migrate"}:
        assert order.index(name) > max(order.index("migrate"), order.index("redis"))
    assert order.index("exporter") < order.index("prometheus") < order.index("grafana")
    for service in SERVICES.values():
        for name, wanted in service.get("depends_on", {}).items():
            if wanted["condition"] == "service_healthy":
                assert SERVICES[name]["healthcheck"]


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


@pytest.mark.parametrize("name", sorted(SERVICES.keys() - {"postgres", "redis"}))
def test_pages_of_others_cannot_reach_the_databases(name: str) -> None:
    """Redis has no password, since only those are beside it who need it."""
    others = name in {"prometheus", "grafana"}
    assert ("data" in SERVICES[name]["networks"]) is not others


@pytest.mark.parametrize("missing", sorted(PASSWORDS))
def test_no_password_has_a_default(missing: str) -> None:
    """Without it nothing starts, and what is said names it."""
    with pytest.raises(compose.UnsetError, match=missing):
        compose.read(dict.fromkeys(PASSWORDS - {missing}, "x"))


def test_a_password_is_in_the_environment_of_who_needs_it_and_nowhere_else() -> None:
    """A command line is shown to whoever looks at processes."""
    secret = "s3cret-"
    whole = compose.read({name: secret + name for name in (*PASSWORDS, "SPENDBEAT_SECRET_KEY")})
    places = {
        (name, variable)
        for name, service in whole["services"].items()
        for variable, value in service.pop("environment", {}).items()
        if secret in value
    }
    assert secret not in str(whole["services"])
    ours = {(name, "PGPASSWORD") for name in OURS} | {
        (name, "SPENDBEAT_SECRET_KEY") for name in OURS
    }
    assert places == ours | {
        ("postgres", "POSTGRES_PASSWORD"),
        ("flower", "FLOWER_BASIC_AUTH"),
        ("grafana", "GF_SECURITY_ADMIN_PASSWORD"),
    }
    text = (ROOT / "docker-compose.yml").read_text()
    assert set(re.findall(r"\$\{([A-Z_]*PASSWORD)", text)) == PASSWORDS


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_a_container_has_no_rights_and_writes_to_its_volume_only(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["user"] not in {"root", "0"}
    assert "privileged" not in service
    kept = [
        volume.partition(":")[0] for volume in service.get("volumes", ()) if ":ro" not in volume
    ]
    assert kept == ([name] if name in COMPOSE["volumes"] else [])


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_what_is_mounted_from_here_exists_and_cannot_be_changed(name: str) -> None:
    for volume in SERVICES[name].get("volumes", ()):
        if volume.startswith("./"):
            path, _, rest = volume.partition(":")
            assert (ROOT / path).exists()
            assert rest.endswith(":ro")


def test_images_are_pinned() -> None:
    """By version for readers, and by digest, which names one image for ever."""
    recipe = (ROOT / "Dockerfile").read_text()
    bases = re.findall(r"^FROM (?!build\b)(\S+)", recipe, re.MULTILINE)
    assert bases
    for image in (*bases, *(SERVICES[name]["image"] for name in SERVICES.keys() - set(OURS))):
        assert re.fullmatch(r"[\w./-]+:v?\d+\.\d+[\w.-]*@sha256:[0-9a-f]{64}", image)


def test_ours_runs_as_the_account_that_the_image_makes() -> None:
    recipe = (ROOT / "Dockerfile").read_text()
    (user,) = re.findall(r"^USER (\S+)", recipe, re.MULTILINE)
    assert f"--uid {user} " in recipe
    assert {SERVICES[name]["user"] for name in OURS} == {user}


def test_grafana_finds_its_prometheus_and_its_dashboard() -> None:
    """By the files that it reads at its start, at the places where they are mounted."""
    mounted = dict(volume.split(":")[:2] for volume in SERVICES["grafana"]["volumes"])
    provisioning = monitoring.load("grafana/provisioning/datasources/prometheus.yml")
    (source,) = provisioning["datasources"]
    assert (source["type"], source["isDefault"]) == ("prometheus", True)
    host, _, port = source["url"].removeprefix("http://").partition(":")
    assert f"--web.listen-address=0.0.0.0:{port}" in SERVICES[host]["command"]
    assert set(SERVICES[host]["networks"]) & set(SERVICES["grafana"]["networks"])
    interval = monitoring.load("prometheus.yml")["global"]["scrape_interval"]
    assert source["jsonData"]["timeInterval"] == interval
    (folder,) = monitoring.load("grafana/provisioning/dashboards/spendbeat.yml")["providers"]
    assert mounted["./monitoring/grafana/provisioning"] == "/etc/grafana/provisioning"
    shown = mounted["./monitoring/grafana/spendbeat.json"]
    assert shown.startswith(folder["options"]["path"] + "/")
    home = SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home == shown


def test_the_image_has_every_package_of_the_service() -> None:
    recipe = (ROOT / "Dockerfile").read_text()
    ignored = (ROOT / ".dockerignore").read_text().split()
    for package in ("models", "spend", "tasks", "web", "worker", "migrations"):
        assert f"COPY {package} {package}" in recipe
        assert f"!{package}" in ignored
    for file in (path.name for path in ROOT.glob("*config.py")):
        assert f" {file} " in recipe
        assert f"!{file}" in ignored
