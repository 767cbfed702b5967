"""Price lists from outside: LiteLLM's map with its grammar of keys, and tables of one's own."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from spend.errors import BadInputError
from spend.pricing import Override, Rates, Tier
from spend.pricing.lists import Entry, Skipped, litellm, plan, read
from spend.pricing.lists.litellm import Key, parse_key
from spend.pricing.tiers import rates_to_json


@pytest.mark.parametrize(
    ("key", "found"),
    [
        ("input_cost_per_token", Key("input")),
        ("output_cost_per_token_batches", Key("output", 0, "batch")),
        ("input_cost_per_token_above_200k_tokens", Key("input", 200_000)),
        ("input_cost_per_token_above_128_tokens", Key("input", 128)),
        ("cache_read_input_token_cost_above_272k_tokens_flex", Key("cache_read", 272_000, "flex")),
        ("cache_creation_input_token_cost_above_1hr", Key("cache_write_1h")),
        (
            "cache_creation_input_token_cost_above_1hr_above_200k_tokens",
            Key("cache_write_1h", 200_000),
        ),
        ("cache_creation_input_token_cost_priority", Key("cache_write", 0, "priority")),
        ("output_cost_per_reasoning_token", Key("reasoning")),
        ("input_cost_per_audio_token_batches", Key("audio_input", 0, "batch")),
        ("cache_read_input_audio_token_cost", Key("cached_audio")),
        ("output_cost_per_audio_token", Key("audio_output")),
        ("input_cost_per_token_ultrafast", Key("input", 0, "ultrafast")),
        ("input_cost_per_token_cache_hit", None),
        ("input_cost_per_second", None),
        ("output_cost_per_image_token", None),
        ("input_cost_per_character_above_128k_tokens", None),
        ("explicit_cache_read_input_token_cost", None),
    ],
)
def test_a_key_is_taken_apart(key: str, found: Key | None) -> None:
    assert parse_key(key) == found


def tiers_of(provider: str = "acme", **said: object) -> dict[tuple[str, int], dict[str, str]]:
    entry = litellm.entry(f"{provider}/m", {"litellm_provider": provider, **said})
    assert isinstance(entry, Entry), entry
    return {(tier.service, tier.above): rates_to_json(tier.rates) for tier in entry.tiers}


def test_a_rate_missing_at_a_service_tier_is_the_standard_one() -> None:
    assert tiers_of(
        input_cost_per_token=2e-6,
        output_cost_per_token=8e-6,
        cache_read_input_token_cost=5e-7,
        input_cost_per_token_priority=4e-6,
    )["priority", 0] == {"input": "4", "output": "8", "cache_read": "0.5"}


def test_a_rate_missing_above_a_threshold_is_the_one_below_it() -> None:
    found = tiers_of(
        input_cost_per_token=2e-6,
        output_cost_per_token=8e-6,
        input_cost_per_token_above_200k_tokens=3e-6,
        cache_creation_input_token_cost_above_1hr=5e-6,
        input_cost_per_token_flex=1e-6,
    )
    assert found["", 200_000] == {"input": "3", "output": "8", "cache_write_1h": "5"}
    # As LiteLLM does: above the threshold flex has no rate of its own, so it is the standard one.
    assert found["flex", 200_000]["input"] == "3"
    assert found["flex", 0]["input"] == "1"


def test_a_batch_takes_nothing_from_the_standard_tier_but_output() -> None:
    found = tiers_of(
        input_cost_per_token=2e-6,
        output_cost_per_token=8e-6,
        cache_read_input_token_cost=5e-7,
        output_cost_per_reasoning_token=9e-6,
        input_cost_per_token_batches=1e-6,
        input_cost_per_token_above_272k_tokens_batches=1.5e-6,
    )
    assert found["batch", 0] == {"input": "1", "output": "8"}
    assert found["batch", 272_000] == {"input": "1.5", "output": "8"}


def test_reasoning_at_a_tier_follows_the_tiers_output() -> None:
    found = tiers_of(
        input_cost_per_token=1e-6,
        output_cost_per_token=4e-6,
        output_cost_per_reasoning_token=3e-6,
        output_cost_per_token_priority=8e-6,
        input_cost_per_token_flex=5e-7,
    )
    assert "reasoning" not in found["priority", 0]
    assert found["flex", 0]["reasoning"] == "3"


def test_a_threshold_of_xai_is_reached_and_not_crossed() -> None:
    said = {"input_cost_per_token": 1e-6, "input_cost_per_token_above_200k_tokens": 2e-6}
    assert set(tiers_of("xai", **said)) == {("", 0), ("", 199_999)}
    assert set(tiers_of("openai", **said)) == {("", 0), ("", 200_000)}


def test_cached_tokens_of_fireworks_cost_half_unless_said() -> None:
    assert tiers_of("fireworks_ai", input_cost_per_token=2e-6)["", 0]["cache_read"] == "1"
    assert "cache_read" not in tiers_of("acme", input_cost_per_token=2e-6)["", 0]


def test_cached_audio_costs_what_is_cached_and_not_what_is_audio() -> None:
    said: dict[str, Any] = {"input_cost_per_token": 2e-6, "input_cost_per_audio_token": 9e-6}
    assert tiers_of(**said)["", 0]["cached_audio"] == "2"
    assert tiers_of(**said, cache_read_input_token_cost=5e-7)["", 0]["cached_audio"] == "0.5"
    assert tiers_of(**said, cache_read_input_audio_token_cost=1e-6)["", 0]["cached_audio"] == "1"


def test_a_table_of_ranges_becomes_tiers() -> None:
    found = tiers_of(
        output_cost_per_token=7e-6,
        tiered_pricing=[
            {"range": [32_000.0, 128_000.0], "input_cost_per_token": 2e-6},
            {"range": [0, 32_000.0], "input_cost_per_token": 1e-6, "output_cost_per_token": 4e-6},
        ],
    )
    assert found == {
        ("", 0): {"input": "1", "output": "4"},
        ("", 32_000): {"input": "2", "output": "7"},
    }


def test_a_float_is_read_through_its_shortest_text() -> None:
    assert tiers_of(input_cost_per_token=0.1 + 0.2)["", 0]["input"] == "300000.00000000004"
    assert tiers_of(input_cost_per_token="3e-7")["", 0]["input"] == "0.3"


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({}, "no price per token"),
        ({"output_cost_per_image": 0.04}, "no price per token"),
        (
            {"input_cost_per_token": 0.0, "output_cost_per_token": 0, "input_cost_per_query": 0.1},
            "no price per token",
        ),
        ({"output_cost_per_token": 0.0, "input_cost_per_audio_token": 0.0}, "no price per token"),
        ({"input_cost_per_token": 1, "off_peak_pricing": {"hours_utc": "1:00-2:00"}}, "hour"),
        ({"input_cost_per_token": -1e-6}, "not an amount"),
        ({"input_cost_per_token": "dear"}, "not a number"),
        ({"input_cost_per_token": True}, "not a number"),
        ({"input_cost_per_token": float("nan")}, "not an amount"),
        ({"litellm_provider": None, "input_cost_per_token": 1e-6}, "no provider"),
    ],
)
def test_what_is_no_price_is_skipped_with_a_reason(said: dict[str, object], reason: str) -> None:
    found = litellm.entry("acme/m", {"litellm_provider": "acme", **said})
    assert isinstance(found, Skipped)
    assert reason in found.reason


def test_a_model_that_costs_nothing_by_the_list_is_a_known_zero() -> None:
    assert tiers_of(input_cost_per_token=0.0, output_cost_per_token=0)["", 0] == {
        "input": "0",
        "output": "0",
    }


@pytest.mark.parametrize(
    ("name", "provider", "found"),
    [
        ("gpt-4o", "openai", ("openai", "gpt-4o")),
        ("azure/eu/gpt-4o", "azure", ("azure", "eu/gpt-4o")),
        ("gemini-2.5-pro", "vertex_ai-language-models", ("vertex_ai", "gemini-2.5-pro")),
        ("vertex_ai/claude-4", "vertex_ai-anthropic_models", ("vertex_ai", "claude-4")),
        ("us.anthropic.claude-4", "bedrock_converse", ("bedrock", "us.anthropic.claude-4")),
        ("fireworks_ai/x/y", "fireworks_ai-embedding-models", ("fireworks_ai", "x/y")),
    ],
)
def test_models_are_named_as_requests_name_them(
    name: str, provider: str, found: tuple[str, str]
) -> None:
    assert litellm.names(name, provider) == found


def test_of_two_names_of_one_model_the_one_with_its_provider_holds(tmp_path: Path) -> None:
    for first, second in (("m", "acme/m"), ("acme/m", "m")):
        path = tmp_path / "map.json"
        rates = {"m": "1e-6", "acme/m": "2e-6"}
        path.write_text(
            "{"
            + ",".join(
                f'"{name}": {{"litellm_provider": "acme", "input_cost_per_token": {rates[name]}}}'
                for name in (first, second)
            )
            + "}"
        )
        ((entry,), skipped) = read(path)
        assert entry.tiers[0].rates.input == 2
        assert [s.reason for s in skipped] == ["is there twice, also with its provider's name"]


def table(tmp_path: Path, content: str) -> tuple[list[Entry], list[Skipped]]:
    path = tmp_path / "list.csv"
    path.write_text(content, encoding="utf-8-sig")
    return read(path)


def test_lines_of_one_model_and_period_are_the_tiers_of_one_price(tmp_path: Path) -> None:
    entries, skipped = table(
        tmp_path,
        "provider,model,service_tier,above_input_tokens,input,output,reasoning,valid_from\n"
        "acme,orchid,,,1,4,,2026-11-01\n"
        "acme,orchid,,200000,2,6,,2026-11-01\n"
        "acme,orchid,batches,,0.5,2,1.5,2026-11-01\n"
        "acme,orchid,,,3,9,,2026-12-01T00:00+01:00\n",
    )
    assert skipped == []
    november, december = entries
    assert november.valid_from == datetime(2026, 11, 1, tzinfo=UTC)
    assert december.valid_from == datetime(2026, 11, 30, 23, tzinfo=UTC)
    assert november.tiers == (
        Tier(0, Rates(Decimal(1), Decimal(4))),
        Tier(200_000, Rates(Decimal(2), Decimal(6))),
        Tier(0, Rates(Decimal("0.5"), Decimal(2), reasoning=Decimal("1.5")), "batch"),
    )


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("acme,x,,,-1,4", "not an amount"),
        (",x,,,1,4", "empty"),
        ("acme,x,,many,1,4", "no number of tokens"),
        ("acme,x,batch,,1,4", "no rates for all prompts at the standard tier"),
        ("acme,x,,5,1,4", "no rates for all prompts at the standard tier"),
        ("acme,x,,,1,4\nacme,x,,,2,4", "Two sets of rates"),
        ("acme,x,,,1e9,4", "out of range"),
    ],
)
def test_a_line_that_is_no_price_is_skipped_with_a_reason(
    tmp_path: Path, line: str, reason: str
) -> None:
    header = "provider,model,service_tier,above_input_tokens,input,output\n"
    entries, (skipped,) = table(tmp_path, f"{header}{line}\nacme,good,,,1,2\n")
    assert [entry.model for entry in entries] == ["good"]
    assert reason in skipped.reason


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("provider,model,input\n", "no column output"),
        ("provider,model,input,output,cached\n", "unknown column 'cached'"),
        ("", "no column provider"),
        ("{oops", "no JSON"),
    ],
)
def test_a_file_that_is_no_price_list_is_refused(
    tmp_path: Path, content: str, problem: str
) -> None:
    with pytest.raises(BadInputError, match=problem):
        table(tmp_path, content)
    with pytest.raises(BadInputError, match="Cannot read"):
        read(tmp_path / "missing.json")


def day(n: int) -> datetime:
    return datetime(2026, 11, n, tzinfo=UTC)


def price(dollars: int) -> tuple[Tier, ...]:
    return (Tier(0, Rates(Decimal(dollars), Decimal(dollars))),)


def had(id_: int, start: int, end: int | None, dollars: int, list_: str = "l") -> Override:
    return Override(
        id_, "acme", "x", day(start), day(end) if end else None, price(dollars), list=list_
    )


@pytest.mark.parametrize(
    ("existing", "since", "dollars", "recorded"),
    [
        ([], 5, 1, (5, None)),
        ([had(1, 1, None, 1)], 5, 1, None),
        ([had(1, 1, None, 2)], 5, 1, (5, None)),
        # An older file imported after a newer one fills the time before it and no more.
        ([had(1, 8, None, 2)], 5, 1, (5, 8)),
        ([had(1, 8, None, 1)], 5, 1, (5, 8)),
        ([had(1, 1, None, 2), had(2, 5, None, 1)], 5, 1, None),
        ([had(1, 1, 4, 1)], 5, 1, (5, None)),
        ([had(1, 1, None, 1, "other")], 5, 1, (5, None)),
        ([had(1, 1, None, 1, "")], 5, 1, (5, None)),
    ],
)
def test_an_import_records_what_the_list_did_not_say_of_that_time(
    existing: list[Override], since: int, dollars: int, recorded: tuple[int, int | None] | None
) -> None:
    found = plan(existing, [Entry("ACME", "X", price(dollars))], [], list_="l", since=day(since))
    wanted = [(c.wanted.valid_from, c.wanted.valid_to) for c in found.changes]
    assert wanted == (
        [(day(recorded[0]), day(recorded[1]) if recorded[1] else None)] if recorded else []
    )


def test_models_that_a_file_no_longer_has_are_named() -> None:
    found = plan([had(1, 1, None, 1)], [], [], list_="l", since=day(5))
    assert (found.gone, found.changes) == ([("acme", "x")], [])
