"""The command line explains prices and keeps those of one's own."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from spend.errors import BadInputError
from tests.support.captured import spendbeat
from worker.database import transaction


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


def known_now() -> str:
    """The server's time, as text that --known-at reads."""
    with transaction("spendbeat_reader") as session:
        return str(session.scalar(text("SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', "
                                       "'YYYY-MM-DD\"T\"HH24:MI:SS.US')")))  # fmt: skip


def test_a_price_may_have_thresholds_service_tiers_and_every_class(database: str) -> None:
    said("set", "orchid", "--provider", "acme", "--input", "1", "--output", "4", "--from",
         "2026-01-01", "--reasoning", "5", "--audio-input", "6", "--audio-output", "7",
         "--cached-audio", "0.5", "--request", "0.01", "--cache-write-1h", "3",
         "--when", "above=200_000,input=2,output=6", "--when", "tier=Batches,input=0.5,output=2",
         "--when", "above=200000,tier=batch,input=1,output=3,cache-read=0.1")  # fmt: skip
    tiers = explained("orchid", "--at", "2026-11-15")["tiers"]
    assert [(t["service_tier"], t["above_input_tokens"]) for t in tiers] == [
        ("", 0), ("", 200_000), ("batch", 0), ("batch", 200_000),
    ]  # fmt: skip
    assert tiers[0]["per_request"] == "0.01"
    assert tiers[0]["per_million"] == {
        "input": "1", "output": "4", "cache_write_1h": "3", "reasoning": "5", "audio_input": "6",
        "audio_output": "7", "cached_audio": "0.5",
    }  # fmt: skip
    assert tiers[3]["per_million"] == {"input": "1", "output": "3", "cache_read": "0.1"}
    assert "batch" in said("show", "orchid")


@pytest.mark.parametrize(
    ("when", "problem"),
    [
        ("input=1,output=2", "needs above=TOKENS or tier=NAME"),
        ("above=5", "and rates"),
        ("above=x,input=1", "'above=x' is not"),
        ("tier=standard,input=1", "'tier=standard' is not"),
        ("above=5,inputs=1", "'inputs=1' is not"),
        ("above=5,input=dear", "not a number"),
        ("tier=batch,above=5,input=1", "no rates for all prompts at the batch tier"),
    ],
)
def test_conditions_that_cannot_be_are_refused(database: str, when: str, problem: str) -> None:
    with pytest.raises(BadInputError, match=problem):
        said("set", "m", "--provider", "p", "--input", "1", "--output", "1", "--from",
             "2026-01-01", "--when", when)  # fmt: skip


def test_ending_a_price_is_a_fact_of_its_own_that_can_be_taken_back(database: str) -> None:
    """The older price holds again after the end; what was known before stays known."""
    said("set", "orchid", "--provider", "acme", "--input", "1", "--output", "1", "--from",
         "2026-01-01")  # fmt: skip
    said("set", "orchid", "--provider", "acme", "--input", "2", "--output", "2", "--from",
         "2026-06-01")  # fmt: skip
    before = known_now()
    assert "to 2026-08-01" in said("end", "2", "--at", "2026-08-01", "--note", "contract ended")
    ended = known_now()

    def wins(*known_at: str) -> str:
        return str(explained("orchid", "--at", "2026-09-01", *known_at)["version"])

    assert (wins(), wins("--known-at", before), wins("--known-at", ended)) == ("1", "2", "1")
    assert "withdrawn" in said("end", "2", "--withdraw")
    assert explained("orchid", "--at", "2026-07-01")["version"] == "1"
    said("end", "2", "--never")
    assert (wins(), wins("--known-at", ended)) == ("2", "1")
    for wrong in (("end", "99"), ("end", "2", "--never", "--withdraw")):
        with pytest.raises(BadInputError, match=r"no price 99|exclude each other"):
            said(*wrong)


def test_a_history_shows_both_time_axes_and_who_wins_when(database: str, tmp_path: Path) -> None:
    map_(tmp_path, 3)
    said("import", str(tmp_path / "map.json"), "--list", "litellm", "--from", "2026-01-01")
    earlier = known_now()
    said("set", "gpt-4o", "--provider", "openai", "--input", "2", "--output", "8", "--from",
         "2026-11-01", "--to", "2026-12-01")  # fmt: skip
    found = json.loads(said("history", "gpt-4o", "--provider", "openai", "--json"))
    assert [(r["id"], r["list"]) for r in found["recorded"]] == [(1, "litellm"), (2, "")]
    assert [(w["valid_from"], w["source"], w["version"]) for w in found["winners"]] == [
        (None, "genai-prices", "0.2.3"),
        ("2026-01-01T00:00:00+00:00", "list", "1"),
        ("2026-11-01T00:00:00+00:00", "override", "2"),
        ("2026-12-01T00:00:00+00:00", "list", "1"),
    ]
    found = json.loads(said("history", "gpt-4o", "--provider", "openai", "--json", "--known-at",
                            earlier))  # fmt: skip
    assert len(found["recorded"]) == 1
    assert [w["source"] for w in found["winners"]] == ["genai-prices", "list"]
    assert "what wins" in said("history", "gpt-4o", "--provider", "openai")


def map_(folder: Path, input_: float, **more: object) -> str:
    """A price map of LiteLLM's form; the path."""
    content = {
        "sample_spec": {"litellm_provider": "one of ..."},
        "gpt-4o": {
            "litellm_provider": "openai",
            "input_cost_per_token": input_ / 1e6,
            "output_cost_per_token": 1e-05,
            "input_cost_per_token_batches": 1.25e-06,
            "output_cost_per_token_batches": 5e-06,
        },
        "dall-e": {"litellm_provider": "openai", "output_cost_per_image": 0.04},
        **more,
    }
    path = folder / "map.json"
    path.write_text(json.dumps(content))
    return str(path)


def imported(*arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(said("import", *arguments, "--list", "litellm", "--json"))
    return found


def test_importing_a_list_again_records_only_what_changed(database: str, tmp_path: Path) -> None:
    path = map_(tmp_path, 2.5, o9={"litellm_provider": "openai", "input_cost_per_token": 1e-6})
    counts = ("new", "changed", "same", "skipped", "gone")
    trial = imported(path, "--from", "2026-01-01", "--dry-run")
    assert [trial[name] for name in counts] == [2, 0, 0, 2, 0]
    assert json.loads(said("list", "--list", "litellm", "--json")) == []
    first = imported(path, "--from", "2026-01-01")
    assert first["changes"] == trial["changes"]
    again = imported(path, "--from", "2026-03-01")
    assert [again[name] for name in counts] == [0, 0, 2, 2, 0]
    path = map_(tmp_path, 2)
    shown = said("import", path, "--list", "litellm", "--from", "2026-06-01", "--dry-run")
    assert "0 new, 1 changed, 0 same, 2 skipped" in shown
    assert "1 models of the list are not in the file and stay" in shown
    changed = imported(path, "--from", "2026-06-01")
    assert [changed[name] for name in counts] == [0, 1, 0, 2, 1]
    listed = json.loads(said("list", "--list", "litellm", "--json"))
    assert [(p["model"], p["tiers"][0]["per_million"].get("input")) for p in listed] == [
        ("gpt-4o", "2.5"), ("o9", "1"), ("gpt-4o", "2"),
    ]  # fmt: skip
    for at, version in (("2026-05-31", "1"), ("2026-06-01", "3")):
        assert explained("gpt-4o", "--provider", "openai", "--at", at)["version"] == version


def test_a_list_wins_over_the_library_and_not_over_a_price_of_ones_own(
    database: str, tmp_path: Path
) -> None:
    said("import", map_(tmp_path, 3), "--list", "litellm", "--from", "2026-01-01")
    found = explained("gpt-4o", "--provider", "openai", "--at", "2026-11-01")
    assert (found["source"], found["list"]) == ("list", "litellm")
    assert "imported from litellm" in said("show", "gpt-4o", "--provider", "openai")
    assert "Imported lists: litellm" in said("list")
    said("set", "gpt-4o", "--provider", "openai", "--input", "2", "--output", "8", "--from",
         "2020-01-01")  # fmt: skip
    said("import", map_(tmp_path, 4), "--list", "litellm", "--from", "2026-02-01")
    assert explained("gpt-4o", "--provider", "openai")["source"] == "override"


def test_two_imports_of_one_list_at_once_record_it_once(database: str, tmp_path: Path) -> None:
    path = map_(tmp_path, 3)
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: said("import", path, "--list", "l", "--from", "2026-01-01"),
                         range(4)))  # fmt: skip
    assert len(json.loads(said("list", "--list", "l", "--json"))) == 1


def test_nobody_changes_a_price_or_says_since_when_it_is_known(database: str) -> None:
    said("set", "m", "--provider", "p", "--input", "1", "--output", "1", "--from", "2026-01-01")
    said("end", "1", "--at", "2026-06-01")
    for statement in (
        "UPDATE price_overrides SET valid_to = now()",
        "DELETE FROM price_overrides",
        "DELETE FROM price_ends",
        "INSERT INTO price_ends (price_id, known_at) VALUES (1, now())",
        "INSERT INTO price_overrides (provider, known_at) VALUES ('p', now())",
    ):
        with pytest.raises(DBAPIError, match="permission denied"), transaction() as session:
            session.execute(text(statement))
    with pytest.raises(DBAPIError, match="append"), transaction("spendbeat_owner") as session:
        session.execute(text("DELETE FROM price_ends"))
