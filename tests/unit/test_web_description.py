"""What the service says of itself, and what it understands of a gateway's header."""

import re
from collections.abc import Iterator
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any

import pytest

from spend.budgets import reading, saying
from spend.budgets.checking import check
from spend.budgets.definition import Budget
from spend.capture.fields import FIELDS, REQUIRED
from spend.gateway_spools import Spool, parse
from spend.reports import DIMENSIONS
from web import reports
from web.app import create
from web.described import budgets as openapi_budgets
from web.described.ingest import EVENT, EXAMPLE, MEANINGS
from worker.settings import load


@pytest.fixture(scope="module")
def described() -> dict[str, Any]:
    return create(load()).openapi()


def test_every_field_is_described_and_no_other() -> None:
    assert set(MEANINGS) == set(FIELDS)
    assert all("description" in meaning or "enum" in meaning for meaning in MEANINGS.values())
    assert EVENT["required"] == list(REQUIRED)
    assert set(REQUIRED) <= set(EXAMPLE) <= set(FIELDS)


def operations(described: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            if path not in {"/", "/ready"}:
                yield method, path, operation


def test_every_route_is_described_with_its_answers_and_its_token(described: dict[str, Any]) -> None:
    found = {path for _, path, _ in operations(described)}
    assert {"/ingest", "/ingest/litellm", "/v1/traces", "/budgets", "/alerts", "/channels"} <= found
    assert {"/aggregate", "/spend"} <= found
    for method, path, operation in operations(described):
        named = f"{method} {path}"
        assert operation["security"] == [{"token": []}], named
        assert operation["summary"], named
        assert operation["description"], named
        answers = operation["responses"]
        assert {"400", "401", "403", "503"} <= set(answers), named
        assert "Retry-After" in answers["503"]["headers"], named
        if "requestBody" in operation:
            assert {"413", "415"} <= set(answers), named
            assert operation["requestBody"]["content"]["application/json"]["schema"], named
        said = {one["name"] for one in operation.get("parameters", ()) if one["in"] == "path"}
        assert said == set(re.findall(r"{(\w+)}", path)), named
    assert described["components"]["securitySchemes"]["token"]["scheme"] == "bearer"


def test_every_field_of_a_budget_is_described_and_no_other() -> None:
    assert set(openapi_budgets.MEANINGS) == set(reading.FIELDS)
    assert set(openapi_budgets.EXAMPLE) <= set(reading.FIELDS)
    check(reading.read(openapi_budgets.EXAMPLE))


def test_what_a_budget_answers_is_what_is_described() -> None:
    made = reading.read(openapi_budgets.EXAMPLE)
    now = datetime(2026, 11, 22, tzinfo=UTC)
    values: dict[str, Any] = {field.name: now for field in fields(Budget)}
    said = saying.budget(Budget(**{**values, "definition": made}))
    assert set(openapi_budgets.BUDGET["required"]) <= set(said)
    assert set(said) <= set(openapi_budgets.BUDGET["properties"])


def test_what_spend_may_be_asked_is_what_is_described(described: dict[str, Any]) -> None:
    said = {one["name"]: one for one in described["paths"]["/spend"]["get"]["parameters"]}
    assert all(name in said["by"]["description"] for name in (*DIMENSIONS, "tag", "tag:KEY"))
    assert said["limit"]["schema"]["maximum"] == reports.MOST
    assert said["limit"]["schema"]["default"] == reports.USUAL
    answers = described["paths"]["/spend"]["get"]["responses"]["200"]
    assert set(answers["content"]) == {"application/json", "text/csv"}
    line = answers["content"]["application/json"]["schema"]["properties"]["data"]["items"]
    assert set(line["required"]) == {*reports.FIGURES, "at_least"}


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
