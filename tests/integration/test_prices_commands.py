"""The command line explains prices and keeps those of one's own."""

import json
from typing import Any

import pytest

from spend.errors import BadInputError
from tests.support.captured import spendbeat


def said(*arguments: str) -> str:
    result = spendbeat("prices", *arguments)
    if result.exception:
        raise result.exception
    return result.stdout


def explained(*arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(said("show", *arguments, "--json"))
    return found


def test_a_price_is_explained_with_its_source_and_its_tiers(database: str) -> None:
    found = explained("gemini-2.5-pro", "--at", "2026-11-01")
    assert (found["provider"], found["source"], found["version"]) == (
        "google",
        "genai-prices",
        "0.2.3",
    )
    assert [tier["above_input_tokens"] for tier in found["tiers"]] == [0, 200_000]
    assert found["tiers"][1]["per_million"]["input"] == "2.5"
    assert "above 200,000 tokens" in said("show", "gemini-2.5-pro")


def test_a_price_by_the_hour_says_when_it_holds(database: str) -> None:
    found = explained("deepseek-chat", "--at", "2026-01-01T03:00Z")
    assert found["daily"] == ["00:30:00", "16:30:00"]
    assert "daily 00:30 to 16:30" in said("show", "deepseek-chat", "--at", "2026-01-01T03:00Z")


def test_an_unknown_model_is_said_to_be_unpriced(database: str) -> None:
    assert explained("orchid", "--provider", "openai")["source"] == "unpriced"
    assert "unpriced" in said("show", "orchid", "--provider", "openai")
    with pytest.raises(BadInputError, match="--provider"):
        said("show", "orchid")


def test_a_price_of_ones_own_is_kept_listed_and_used(database: str) -> None:
    assert "none" in said("list")
    made = said("set", "orchid", "--provider", "acme", "--input", "1.5", "--output", "3",
                "--cache-read", "0.15", "--from", "2026-11-01", "--to", "2026-12-01",
                "--note", "contract")  # fmt: skip
    assert made == "Override 1: acme orchid, from 2026-11-01 00:00 to 2026-12-01 00:00 (UTC).\n"
    found = explained("orchid", "--at", "2026-11-15")
    assert (found["provider"], found["source"], found["version"]) == ("acme", "override", "1")
    assert found["tiers"][0]["per_million"] == {
        "input": "1.5", "output": "3", "cache_read": "0.15",
    }  # fmt: skip
    assert explained("orchid", "--at", "2026-10-15")["assumption"] == "before-first-price"
    assert explained("orchid", "--at", "2026-12-15")["source"] == "unpriced"
    (listed,) = json.loads(said("list", "--json"))
    assert (listed["note"], listed["valid_to"]) == ("contract", "2026-12-01T00:00:00+00:00")
    assert "contract" in said("list")


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (("--input", "NaN", "--output", "1", "--from", "2026-01-01"), "out of range"),
        (("--input", "-1", "--output", "1", "--from", "2026-01-01"), "out of range"),
        (("--input", "x", "--output", "1", "--from", "2026-01-01"), "not a number"),
        (("--input", "1", "--output", "1", "--from", "soon"), "not a date or time"),
        (("--input", "1e-25", "--output", "1", "--from", "2026-01-01"), "24 decimal"),
        (
            ("--input", "1", "--output", "1", "--from", "2026-02-01", "--to", "2026-01-01"),
            "end after",
        ),
    ],
)
def test_a_price_that_cannot_be_is_refused(
    database: str, options: tuple[str, ...], problem: str
) -> None:
    with pytest.raises(BadInputError, match=problem):
        said("set", "m", "--provider", "p", *options)
    assert json.loads(said("list", "--json")) == []
