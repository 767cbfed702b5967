"""`spendbeat tokens`: a secret is shown once, and a name is one live token's."""

import json

import pytest
from click.testing import CliRunner, Result

from spend.errors import BadInputError
from worker.cli.tokens import tokens


def run(*arguments: str) -> Result:
    return CliRunner().invoke(tokens, arguments, catch_exceptions=False)


def test_a_token_is_made_listed_and_revoked(database: str) -> None:
    made = json.loads(
        run("create", "proxy", "--scope", "read", "--scope", "ingest", "--json").output
    )
    assert made["name"] == "proxy"
    assert made["scopes"] == ["ingest", "read"]
    assert made["secret"].startswith("sb_")
    listed = run("list")
    assert "proxy" in listed.output
    assert "live" in listed.output
    assert made["secret"] not in listed.output
    [row] = json.loads(run("list", "--json").output)
    assert row["revoked_at"] is None
    assert row["last_used_at"] is None
    assert set(row) == {
        "id", "name", "scopes", "created_at", "revoked_at", "last_used_at", "binding"
    }  # fmt: skip
    assert "revoked" in run("revoke", "proxy").output
    assert "revoked" in run("list").output


def test_the_secret_stands_on_a_line_of_its_own(database: str) -> None:
    said, secret = run("create", "proxy", "--scope", "ingest").output.splitlines()
    assert "shown this once" in said
    assert len(secret) == 46


def test_a_name_is_free_again_when_its_token_is_revoked(database: str) -> None:
    run("create", "proxy", "--scope", "ingest")
    with pytest.raises(BadInputError, match="already"):
        run("create", "proxy", "--scope", "read")
    run("revoke", "proxy")
    with pytest.raises(BadInputError, match="no live token"):
        run("revoke", "proxy")
    assert run("create", "proxy", "--scope", "read").exit_code == 0
    assert len(json.loads(run("list", "--json").output)) == 2


@pytest.mark.parametrize("name", ["", " ", "a b", "-x", "x" * 101, "a\nb", "\u00e4"])
def test_a_name_that_would_be_hard_to_type_is_refused(database: str, name: str) -> None:
    with pytest.raises(BadInputError, match="cannot be a token's name"):
        run("create", "--scope", "ingest", "--", name)


def test_a_scope_is_needed_and_has_to_exist(database: str) -> None:
    assert "--scope" in run("create", "proxy").output
    assert "'admin' is not one of" in run("create", "proxy", "--scope", "admin").output


def test_a_bound_token_is_made_and_shown_as_such(database: str) -> None:
    made = json.loads(
        run(
            "create", "acme", "--scope", "read", "--organization", "acme", "--team", "web", "--json"
        ).output
    )
    assert made["binding"] == {"organization": "acme", "team": "web"}
    said, _ = run("create", "key", "--scope", "read", "--api-key", "k1").output.splitlines()
    assert "sees only api_key k1" in said
    listed = run("list").output
    assert "organization acme, team web" in listed
    rows = {row["name"]: row["binding"] for row in json.loads(run("list", "--json").output)}
    assert rows == {"acme": made["binding"], "key": {"api_key": "k1"}}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--scope", "ingest", "--team", "web"), "scope read only"),
        (("--scope", "read", "--scope", "alerts", "--team", "web"), "scope read only"),
        (("--scope", "read", "--team", ""), "team is empty"),
        (("--scope", "read", "--organization", " acme"), "blanks around it"),
    ],
)
def test_what_a_bound_token_cannot_be_is_said(
    database: str, arguments: tuple[str, ...], words: str
) -> None:
    with pytest.raises(BadInputError, match=words):
        run("create", "t", *arguments)
    assert json.loads(run("list", "--json").output) == []
