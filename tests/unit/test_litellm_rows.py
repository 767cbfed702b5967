"""A row of LiteLLM_SpendLogs says what its callback's event says, in every version's spelling."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from spend.capture.litellm_db import request, says_nothing
from spend.litellm.daily_rows import Group
from spend.litellm.source import Source

AT = datetime(2026, 11, 2, 23, 59, 59, 999000, tzinfo=UTC)


def row(**columns: Any) -> dict[str, Any]:
    return {
        "request_id": "chatcmpl-0123456789abcdef",
        "started_at": AT,
        "spend": "1e-07",
        "prompt_tokens": 1000,
        "completion_tokens": 100,
        "model": "gpt-4o",
        "custom_llm_provider": "openai",
        "api_key": "hash-1",
        **columns,
    }


def fields(**columns: Any) -> dict[str, object]:
    return request(row(**columns), {"hash-1": "learned"})


def test_the_price_is_read_through_its_text() -> None:
    assert fields()["gateway_cost_usd"] == Decimal("1e-7")


def test_metadata_that_was_stored_as_text_is_read_all_the_same() -> None:
    said = {"user_api_key_alias": "checkout", "usage_object": {
        "prompt_tokens": 1000, "completion_tokens": 100,
        "prompt_tokens_details": {"cached_tokens": 7}}}  # fmt: skip
    for metadata in (said, json.dumps(said)):
        found = fields(metadata=metadata, request_tags=json.dumps(["project:alpha", "blue"]))
        assert (found["api_key"], found["cache_read_tokens"]) == ("checkout", 7)
        assert (found["project"], found["tags"]) == ("alpha", ["blue"])


@pytest.mark.parametrize("odd", [None, "", "no json", [], 7, {"usage_object": 3}])
def test_odd_metadata_loses_no_request(odd: object) -> None:
    found = fields(metadata=odd, request_tags=odd)
    assert (found["input_tokens"], found["output_tokens"]) == (1000, 100)
    assert found["api_key"] == "learned"


def test_a_key_without_a_name_is_its_hash() -> None:
    assert request(row(), {})["api_key"] == "hash-1"


@pytest.mark.parametrize(
    ("columns", "nothing"),
    [
        ({}, False),
        ({"model": ""}, False),
        ({"model": "", "spend": "0", "prompt_tokens": 0, "completion_tokens": 0}, True),
        ({"spend": "0", "prompt_tokens": 0, "completion_tokens": 0}, False),
        ({"call_type": "aretrieve_batch"}, False),
        ({"call_type": "aretrieve_batch", "model": "", "api_key": ""}, True),
        (
            {"call_type": "aretrieve_batch", "spend": "0", "prompt_tokens": 0,
             "completion_tokens": 0},
            True,
        ),
    ],
)  # fmt: skip
def test_what_is_no_call_of_a_model(columns: dict[str, Any], nothing: bool) -> None:
    assert says_nothing(row(**columns)) is nothing


def test_a_days_sum_is_a_request_within_that_day() -> None:
    sum_ = Group(
        "litellm-daily:db/litellm:2026-11-02:abc", AT.date(), datetime(2026, 11, 3, tzinfo=UTC),
        "ada", "hash-1", "claude-x", "anthropic", "shop", Decimal("2.5"), (100, 10, 80, 40, 3),
    )  # fmt: skip
    found = sum_.fields({"hash-1": "checkout"})
    assert found["started_at"] == datetime(2026, 11, 2, 12, tzinfo=UTC).timestamp()
    assert (found["user_id"], found["api_key"], found["team"]) == ("ada", "checkout", "shop")
    assert found["gateway_cost_usd"] == Decimal("2.5")
    # More cached than all of them: sums of some versions lack one or the other.
    assert (found["input_tokens"], found["cache_read_tokens"], found["cache_write_tokens"]) == (
        120, 80, 40,
    )  # fmt: skip
    assert found["other_ids"] == []


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("postgresql://me:secret@db/litellm", "db/litellm"),
        (
            "postgres://me@db:5433/litellm?schema=proxy&connection_limit=5",
            "db:5433/litellm?schema=proxy",
        ),
        ("postgresql://me@/litellm?host=/run/postgresql", "/run/postgresql/litellm"),
    ],
)
def test_a_source_is_called_by_its_place_and_not_by_its_login(url: str, name: str) -> None:
    assert Source(url).name == name
