"""What the service says of itself, and what it understands of a gateway's header."""

from typing import Any

import pytest

from spend.capture.fields import FIELDS, REQUIRED
from spend.gateway_spools import Spool, parse
from web.app import create
from web.openapi import EVENT, EXAMPLE, MEANINGS
from worker.settings import load


@pytest.fixture(scope="module")
def described() -> dict[str, Any]:
    return create(load()).openapi()


def test_every_field_is_described_and_no_other() -> None:
    assert set(MEANINGS) == set(FIELDS)
    assert all("description" in meaning or "enum" in meaning for meaning in MEANINGS.values())
    assert EVENT["required"] == list(REQUIRED)
    assert set(REQUIRED) <= set(EXAMPLE) <= set(FIELDS)


def test_every_route_is_described_with_its_answers_and_its_token(described: dict[str, Any]) -> None:
    paths = described["paths"]
    assert {"/", "/ingest", "/ingest/litellm", "/v1/traces"} == set(paths)
    for path in paths.keys() - {"/"}:
        post = paths[path]["post"]
        assert post["security"] == [{"token": []}]
        assert {"200", "400", "401", "403", "413", "415", "503"} <= set(post["responses"])
        assert post["requestBody"]["content"]["application/json"]["schema"]
        assert "Retry-After" in post["responses"]["503"]["headers"]
    assert described["components"]["securitySchemes"]["token"]["scheme"] == "bearer"


def test_there_are_no_pages_that_load_from_elsewhere() -> None:
    app = create(load())
    assert app.docs_url is None
    assert app.redoc_url is None


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ("name=api-7; waiting=12; dropped=0; oldest=3", Spool("api-7", 12, 0, 3)),
        ("oldest=3;dropped=0;waiting=12;name=a b;more=x", Spool("a b", 12, 0, 3)),
        ("name=; waiting=1; dropped=0; oldest=0", None),
        ("name=a; waiting=1; dropped=0", None),
        ("name=a; waiting=-1; dropped=0; oldest=0", None),
        ("name=a; waiting=1.5; dropped=0; oldest=0", None),
        ("name=a; waiting=9999999999999999; dropped=0; oldest=0", None),
        ("name=\u00e4; waiting=1; dropped=0; oldest=0", None),
        (f"name={'a' * 101}; waiting=1; dropped=0; oldest=0", None),
        ("waiting", None),
        ("", None),
    ],
)
def test_a_gateways_word_is_taken_where_it_makes_sense(header: str, found: Spool | None) -> None:
    assert parse(header) == found
