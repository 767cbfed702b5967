"""check-config shows what is set, hides what is secret and lists all mistakes at once."""

import json

import pytest
from click.testing import CliRunner
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from worker.cli.config import check_config, masked, strangers
from worker.settings import SettingsError, load


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DATABASE_URL", "REDIS_URL", "SPENDBEAT_HOME"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://u:hunter2@h/db", "postgresql://u:***@h/db"),
        ("postgresql://u:hun@ter2/x@h/db", "postgresql://u:***@h/db"),
        ("postgresql://u:hun@ter2/x%40h/db", "postgresql://u:***@h/db"),
        ("postgresql://u@h/db?password=hunter2&x=1", "postgresql://u@h/db?password=***&x=1"),
        ("redis://:hunter2@h:6379/0", "redis://:***@h:6379/0"),
        (
            "rediss://h/0?ssl_keyfile=k&SSL_PASSWORD=hunter2",
            "rediss://h/0?ssl_keyfile=k&SSL_PASSWORD=***",
        ),
        (
            "redis+socket:///run/redis.sock?virtual_host=0",
            "redis+socket:///run/redis.sock?virtual_host=0",
        ),
        ("/var/lib/a:b@c", "/var/lib/a:b@c"),
    ],
)
def test_a_password_in_a_url_is_never_shown(url: str, shown: str) -> None:
    assert masked(url) == shown


def test_every_setting_is_listed_with_its_source(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPENDBEAT_TICK_SECONDS", "2")
    monkeypatch.setenv("DATABASE_URL", "postgresql://u:hunter2@h/db")
    result = CliRunner().invoke(check_config, ["--json"])
    assert result.exit_code == 0
    assert "hunter2" not in result.output
    lines = {line["name"]: line for line in json.loads(result.output)["settings"]}
    assert lines["SPENDBEAT_TICK_SECONDS"]["value"] == "2.0"
    assert lines["SPENDBEAT_TICK_SECONDS"]["default"] == "5.0"
    assert lines["SPENDBEAT_TICK_SECONDS"]["given"]
    assert not lines["SPENDBEAT_BIND"]["given"]
    assert lines["REDIS_URL"]["value"] is None
    assert all(line["description"] for line in lines.values())


def test_the_table_hides_passwords_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://:hunter2@h/0")
    result = CliRunner().invoke(check_config, [])
    assert result.exit_code == 0
    assert "hunter2" not in result.output
    assert "redis://:***@h/0" in result.output


def test_all_mistakes_come_in_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPENDBEAT_CONCURRENCY", "many")
    monkeypatch.setenv("SPENDBEAT_LOG_LEVEL", "loud")
    monkeypatch.setenv("DATABASE_URL", "mysql://u:hunter2@h/db")
    with pytest.raises(SettingsError) as caught:
        load()
    for name in ("SPENDBEAT_CONCURRENCY", "SPENDBEAT_LOG_LEVEL", "DATABASE_URL"):
        assert name in str(caught.value)
    assert "hunter2" not in str(caught.value)
    as_json = CliRunner().invoke(check_config, ["--json"])
    assert as_json.exit_code == 1
    assert json.loads(as_json.output) == {"ok": False, "error": str(caught.value)}


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("postgres://u@h/db", "postgresql+psycopg2://u@h/db"),
        ("postgresql+psycopg://u@h/db", "postgresql+psycopg2://u@h/db"),
        ("postgresql://u:p%40w/x@h:5432/db", "postgresql+psycopg2://u:p%40w/x@h:5432/db"),
        ("postgresql://[::1]:5432/db", "postgresql+psycopg2://[::1]:5432/db"),
        ("postgresql:///db?host=/run/x:y", "postgresql+psycopg2:///db?host=/run/x:y"),
    ],
)
def test_a_database_is_reached_through_one_driver_however_its_url_is_spelt(
    monkeypatch: pytest.MonkeyPatch, given: str, read: str
) -> None:
    """SQLAlchemy takes each of them."""
    monkeypatch.setenv("DATABASE_URL", given)
    assert load().sqlalchemy_url == read
    assert make_url(read).drivername == "postgresql+psycopg2"


@pytest.mark.parametrize("url", ["postgresql", "/run/hunter2", "postgresql://u@h:hunter2/db"])
def test_a_database_url_that_sqlalchemy_cannot_read_is_refused_without_its_parts(
    monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    monkeypatch.setenv("DATABASE_URL", url)
    with pytest.raises(SettingsError, match="DATABASE_URL") as caught:
        load()
    assert "hunter2" not in str(caught.value)
    with pytest.raises((ArgumentError, ValueError)):
        make_url(url)


def test_a_password_with_an_at_is_not_taken_for_a_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLAlchemy would, and the error about that host would show it."""
    monkeypatch.setenv("DATABASE_URL", "postgresql://u:p@hunter2@h/db")
    with pytest.raises(SettingsError, match="in a password, @ is %40") as caught:
        load()
    assert "hunter2" not in str(caught.value)


def test_a_misspelt_setting_is_pointed_out() -> None:
    found = strangers({"SPENDBEAT_TIK_SECONDS": "1", "PATH": "/bin"}, ["SPENDBEAT_TICK_SECONDS"])
    assert len(found) == 1
    assert found[0].startswith("SPENDBEAT_TIK_SECONDS is not a setting")
    assert "SPENDBEAT_TICK_SECONDS?" in found[0]
