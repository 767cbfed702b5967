"""Payloads of LiteLLM, captured from 1.106.2 or written as older versions do, become requests."""

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from spendbeat_gateway import litellm_payload

from spend.capture import litellm
from spend.capture.normalise import Normaliser
from spend.capture.request import Rejected

CAPTURED = json.loads((Path(__file__).parent / "captured" / "litellm_1_106_2.json").read_text())
PAYLOADS: Mapping[str, dict[str, Any]] = CAPTURED["payloads"]
TOKENS = {
    "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens",
    "cache_write_1h_tokens", "reasoning_tokens", "audio_input_tokens", "audio_output_tokens",
}  # fmt: skip


def made(name: str = "plain", **changed: Any) -> dict[str, Any]:
    return litellm.request({**PAYLOADS[name], **changed})


def tokens(request: Mapping[str, Any]) -> dict[str, Any]:
    return {name: n for name, n in request.items() if name in TOKENS and n}


def ids(request: Mapping[str, Any]) -> set[str]:
    return {request["id"], *request.get("other_ids", ())}


def with_metadata(name: str = "plain", **changed: Any) -> dict[str, Any]:
    return made(name, metadata={**PAYLOADS[name]["metadata"], **changed})


@pytest.mark.parametrize("name", PAYLOADS)
def test_what_the_callback_ships_maps_as_the_whole_payload_does(name: str) -> None:
    whole = litellm.request(PAYLOADS[name])
    assert litellm.request(litellm_payload.trimmed(PAYLOADS[name], {})) == whole
    assert Normaliser().mapping(whole).provider


def test_the_callback_adds_what_litellm_drops_from_the_calls_metadata() -> None:
    said = {"agent": "planner", "session_id": "s-1", "project": "loses", "prompt": "secret"}
    kwargs = {"litellm_params": {"metadata": said}}
    shipped = litellm_payload.trimmed(
        {**PAYLOADS["plain"], "metadata": {"spend_logs_metadata": {"project": "wins"}}}, kwargs
    )
    found = litellm.request(shipped)
    assert (found["agent"], found["session_id"], found["project"]) == ("planner", "s-1", "wins")
    assert "secret" not in json.dumps(shipped)


@pytest.mark.parametrize("name", PAYLOADS)
def test_the_callback_ships_no_prompt_no_answer_and_little_else(name: str) -> None:
    shipped = litellm_payload.trimmed(PAYLOADS[name], {})
    assert not {"messages", "response", "error_information"} & shipped.keys()
    assert len(json.dumps(shipped)) < 1500


class Answer:
    """As LiteLLM's ModelResponse, as far as it is read."""

    id = "chatcmpl-0123456789abcdef"

    class usage:  # noqa: N801 - an attribute of that name
        @staticmethod
        def model_dump() -> dict[str, Any]:
            return {"prompt_tokens": 7, "completion_tokens": 3}


@pytest.mark.parametrize("failed", [False, True])
def test_a_call_for_which_litellm_could_make_no_payload_is_still_one(*, failed: bool) -> None:
    kwargs = {
        "litellm_call_id": "call-1",
        "model": "gpt-4o",
        "custom_llm_provider": "openai",
        "litellm_params": {"metadata": {"user_api_key_team_id": "t-1", "user_api_key": "hash"}},
    }
    begun = datetime(2026, 11, 22, tzinfo=UTC)
    bare = litellm_payload.bare(kwargs, None if failed else Answer(), begun, failed=failed)
    found = Normaliser().mapping(litellm.request(litellm_payload.trimmed(bare, kwargs)))
    assert (found.provider, found.model, found.mix.team) == ("openai", "gpt-4o", "t-1")
    assert (found.started_at, found.status) == (begun, "failure" if failed else "success")
    assert found.usage.input_tokens == (0 if failed else 7)


class TestTokens:
    def test_anthropics_cache_is_part_of_the_prompt_and_split_by_its_life(self) -> None:
        assert tokens(made("anthropic cache")) == {
            "input_tokens": 5100,
            "output_tokens": 50,
            "cache_read_tokens": 2000,
            "cache_write_tokens": 1000,
            "cache_write_1h_tokens": 2000,
        }

    def test_cached_and_reasoning_tokens(self) -> None:
        assert tokens(made("reasoning flex")) == {
            "input_tokens": 1500,
            "output_tokens": 700,
            "cache_read_tokens": 1024,
            "reasoning_tokens": 512,
        }

    def test_audio(self) -> None:
        assert tokens(made("audio")) == {
            "input_tokens": 300,
            "output_tokens": 90,
            "audio_input_tokens": 200,
            "audio_output_tokens": 60,
        }

    def test_before_1_72_there_are_only_two_counts(self) -> None:
        assert tokens(with_metadata(usage_object=None)) == {"input_tokens": 10, "output_tokens": 20}

    def test_parts_larger_than_their_whole_are_cut_and_lose_no_request(self) -> None:
        usage = {
            "prompt_tokens": 10,
            "completion_tokens": 5,
            "cache_read_input_tokens": 8,
            "cache_creation_input_tokens": 8,
            "completion_tokens_details": {"reasoning_tokens": 9},
        }
        found = with_metadata(usage_object=usage)
        assert tokens(found) == {
            "input_tokens": 10,
            "output_tokens": 5,
            "cache_read_tokens": 8,
            "cache_write_tokens": 2,
            "reasoning_tokens": 5,
        }
        Normaliser().mapping(found)


class TestCosts:
    def test_what_litellm_computed_is_the_gateways(self) -> None:
        found = made()
        assert found["gateway_cost_usd"] == Decimal("0.00022500000000000002")
        assert "cost_usd" not in found

    @pytest.mark.parametrize("name", ["unknown", "router unknown", "audio", "short id"])
    def test_a_price_that_litellm_does_not_know_is_no_cost(self, name: str) -> None:
        """With a note where the model was called directly, without one behind a Router."""
        assert PAYLOADS[name]["response_cost"] == 0
        assert "gateway_cost_usd" not in made(name)

    def test_only_a_deployment_whose_own_price_is_0_is_free(self) -> None:
        assert made("router free")["gateway_cost_usd"] == 0
        assert "gateway_cost_usd" not in made("router free", model_id="another")

    def test_an_answer_from_the_cache_costs_nothing_and_that_is_final(self) -> None:
        assert made("cache hit")["cost_usd"] == 0

    def test_a_failure_says_nothing_about_costs(self) -> None:
        assert not {"cost_usd", "gateway_cost_usd"} & made("failure").keys()

    def test_a_failure_that_was_billed_says_so(self) -> None:
        """A stream that broke off, from 1.106 on."""
        assert made("failure", response_cost=0.25)["gateway_cost_usd"] == Decimal("0.25")

    def test_what_the_provider_reported_stays_apart(self) -> None:
        found = made("openrouter")
        assert found["provider_cost_usd"] == found["gateway_cost_usd"] == Decimal("0.00123")

    def test_litellms_own_cost_in_a_streams_usage_is_not_the_providers(self) -> None:
        usage = PAYLOADS["stream"]["metadata"]["usage_object"]
        assert usage["cost"] == PAYLOADS["stream"]["response_cost"]
        assert "provider_cost_usd" not in made("stream")

    @pytest.mark.parametrize(
        ("call_type", "free"), [("aretrieve_batch", True), ("aimage_generation", False)]
    )
    def test_without_tokens_0_is_free_unless_something_else_is_billed(
        self, call_type: str, *, free: bool
    ) -> None:
        found = made("failure", status="success", call_type=call_type)
        assert ("gateway_cost_usd" in found) is free


class TestServiceTier:
    def test_what_was_billed(self) -> None:
        assert made("reasoning flex")["service_tier"] == "flex"

    @pytest.mark.parametrize("said", ["standard", "default", "auto", None, ""])
    def test_the_standard_tier_is_none(self, said: str | None) -> None:
        assert "service_tier" not in made(model_parameters={"service_tier": said})

    def test_what_was_served_counts_and_not_what_was_asked_for(self) -> None:
        asked = {"service_tier": "priority"}
        found = made(
            "reasoning flex", cost_breakdown={"service_tier": "default"}, model_parameters=asked
        )
        assert "service_tier" not in found
        assert made(model_parameters=asked)["service_tier"] == "priority"

    def test_batches(self) -> None:
        assert made(call_type="aretrieve_batch")["service_tier"] == "batch"
        assert "service_tier" not in made(call_type="abatch_completion")


class TestNames:
    @pytest.mark.parametrize(
        ("provider", "model", "expected"),
        [
            ("openai", "gpt-4o", ("openai", "gpt-4o")),
            ("openai", "openai/gpt-4o", ("openai", "gpt-4o")),
            (None, "openai/gpt-4o", ("openai", "gpt-4o")),
            ("openrouter", "openrouter/anthropic/claude", ("openrouter", "anthropic/claude")),
            ("openrouter", "anthropic/claude", ("openrouter", "anthropic/claude")),
            ("bedrock", "bedrock/us.anthropic.claude", ("bedrock", "us.anthropic.claude")),
            ("vertex_ai", "gemini-2.5-pro", ("vertex_ai", "gemini-2.5-pro")),
            ("", "no-such-model", ("unknown", "no-such-model")),
            (None, None, ("unknown", "unknown")),
            (7, ["odd"], ("7", "unknown")),
        ],
    )
    def test_one_name_for_all_routes(
        self, provider: object, model: object, expected: tuple[str, str]
    ) -> None:
        bare = {"custom_llm_provider": provider, "model": model}
        found = made(**bare, model_map_information=None)
        assert (found["provider"], found["model"]) == expected

    def test_litellms_price_list_names_a_provider_that_nothing_else_does(self) -> None:
        prices = {"model_map_value": {"litellm_provider": "vertex_ai-language-models"}}
        found = made(custom_llm_provider=None, model="gemini-x", model_map_information=prices)
        assert found["provider"] == "vertex_ai"


class TestIdentity:
    def test_a_success_is_known_by_its_call_and_by_its_response(self) -> None:
        plain = PAYLOADS["plain"]
        found = made()
        assert found["id"].startswith(plain["litellm_call_id"] + "@")
        assert found["other_ids"] == [plain["id"]]

    def test_a_failure_and_its_fallback_share_a_call_id_and_are_two(self) -> None:
        """So it is behind a proxy."""
        call = PAYLOADS["failure"]["litellm_call_id"]
        assert not ids(made("failure")) & ids(made(litellm_call_id=call))

    def test_a_call_id_that_a_client_uses_twice_joins_nothing(self) -> None:
        one, other = made(), made(id="chatcmpl-another-one-of-these", startTime=1795313000.5)
        assert not ids(one) & ids(other)

    def test_one_call_told_twice_under_two_response_ids_is_one(self) -> None:
        """/v1/responses, by the sync and the async hook."""
        assert ids(made(id="resp_" + "a" * 40)) & ids(made(id="resp_" + "b" * 40))

    def test_a_cache_hit_does_not_have_the_ids_of_its_original(self) -> None:
        assert not ids(made("cache hit")) & ids(made("cache filled"))

    @pytest.mark.parametrize("name", ["cache hit", "embedding"])
    def test_a_row_of_the_spend_logs_joins_by_its_call_id(self, name: str) -> None:
        """It has the time to the millisecond, and a cache hit another stamp in its id."""
        payload = PAYLOADS[name]
        own = payload["id"].replace("_cache_hit", "_cache_hit9")
        row = {**payload, "id": own, "startTime": round(payload["startTime"], 3)}
        assert ids(litellm.request(row)) & ids(litellm.request(payload))

    @pytest.mark.parametrize("at", [1795313000.9996, 1795313001.0004, 1795313000.5])
    def test_rounding_to_the_next_second_joins_too(self, at: float) -> None:
        one, other = made("embedding", startTime=at), made("embedding", startTime=round(at, 3))
        assert ids(one) & ids(other)

    def test_a_short_response_id_counts_only_within_its_second(self) -> None:
        """Ollama draws one of a thousand."""
        own = PAYLOADS["short id"]["id"]
        assert own == "chatcmpl-417"
        one, other = made("short id"), made("short id", startTime=1795313000.5, litellm_call_id="x")
        assert not ids(one) & ids(other)

    def test_before_1_90_the_callback_adds_the_call_id(self) -> None:
        old = {name: v for name, v in PAYLOADS["plain"].items() if name != "litellm_call_id"}
        shipped = litellm_payload.trimmed(old, {"litellm_call_id": "the-call"})
        assert litellm.request(shipped)["id"].startswith("the-call@")
        assert litellm.request(old)["id"] == old["id"]
        assert ids(litellm.request(shipped)) & ids(litellm.request(old))

    def test_polls_of_a_batch_are_not_its_cost(self) -> None:
        poll = {"id": "batch_0123456789abcdef0123", "call_type": "aretrieve_batch"}
        running = made("failure", status="success", **poll)
        done, row = made(**poll), made(**{**poll, "id": poll["id"] + "_batch_cost"})
        done_again = made(**poll, startTime=1795399999.5, litellm_call_id="another")
        assert not ids(running) & ids(done)
        assert ids(done) & ids(row)
        assert ids(done) & ids(done_again)

    def test_call_ids_that_clients_chose_identify_no_better_than_others(self) -> None:
        chosen = {"id": "a-call-id-of-a-client", "litellm_call_id": "a-call-id-of-a-client"}
        one, other = (
            made("embedding", **chosen),
            made("embedding", **chosen, startTime=1795313000.5),
        )
        failed, row = (
            made("failure", **chosen),
            made("embedding", **{**chosen, "litellm_call_id": None}),
        )
        assert not ids(one) & ids(other)
        assert not ids(failed) & (ids(one) | ids(row))

    def test_an_id_longer_than_what_is_kept_still_identifies(self) -> None:
        found = made(id="resp_" + "a" * 900)
        assert ids(made(id="resp_" + "a" * 900, litellm_call_id=None)) & ids(found)
        assert not ids(made(id="resp_" + "a" * 900 + "b", litellm_call_id=None)) & ids(found)
        assert Normaliser().mapping(found)

    def test_without_any_id_it_is_what_it_says(self) -> None:
        assert made(id=None, litellm_call_id=None)["id"]


KEY = {
    "user_api_key_alias": "checkout",
    "user_api_key_hash": "h" * 64,
    "user_api_key_team_id": "t-1",
    "user_api_key_team_alias": "Core",
    "user_api_key_user_id": "u-1",
    "user_api_key_org_id": "o-1",
    "user_api_key_project_id": "p-1",
    "user_api_key_end_user_id": "e-1",
}


class TestAttribution:
    def test_litellms_keys_give_names_where_there_are_names(self) -> None:
        found = with_metadata("unknown", **KEY)
        assert {
            name: found[name]
            for name in ("api_key", "team", "user_id", "organization", "project", "end_user")
        } == {
            "api_key": "checkout",
            "team": "Core",
            "user_id": "u-1",
            "organization": "o-1",
            "project": "p-1",
            "end_user": "e-1",
        }

    def test_the_callers_own_words_win_over_the_key(self) -> None:
        said = {"project": "alpha", "user": "ann", "agent": "planner", "team": ["odd"]}
        found = with_metadata("unknown", **KEY, spend_logs_metadata=said)
        assert (found["project"], found["user_id"], found["agent"]) == ("alpha", "ann", "planner")
        assert found["team"] == "Core"

    def test_tags_fill_fields_that_nobody_named_and_stay_tags_otherwise(self) -> None:
        tags = ["project:alpha", "team:web", "sprint: s7 ", "blue", "colour:red"]
        metadata = {**PAYLOADS["unknown"]["metadata"], "user_api_key_team_alias": "Core"}
        found = made("unknown", metadata=metadata, request_tags=tags)
        assert (found["project"], found["team"], found["sprint"]) == ("alpha", "Core", "s7")
        assert set(found["tags"]) == {"team:web", "blue", "colour:red"}

    def test_tags_that_litellm_adds_by_itself_are_dropped(self) -> None:
        tags = ["User-Agent: curl", "User-Agent: curl/8.0", "blue"]
        assert made(request_tags=tags)["tags"] == ["blue"]

    def test_no_key_is_kept(self) -> None:
        secret = "sk-proj-0123456789abcdef"
        digest = hashlib.sha256(secret.encode()).hexdigest()
        found = with_metadata("unknown", user_api_key_hash=secret)
        assert found["api_key"] == digest  # as LiteLLM names it
        tagged = made("unknown", request_tags=[f"key={secret}"], end_user=secret)
        assert secret not in str(tagged)
        assert secret not in litellm_payload.without_keys(json.dumps({"a": f"is {secret}"}))


@pytest.mark.parametrize("garbage", [{}, {"id": "x"}, [], None, "x", {"startTime": "yesterday"}])
def test_only_what_is_no_payload_at_all_is_rejected(garbage: Any) -> None:
    with pytest.raises(Rejected, match="not a StandardLoggingPayload"):
        litellm.request(garbage)


ODD = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from([-1, 10**30, 1e308, float("nan"), "\0", "\ud800", "x" * 2000, "sk-abcdefgh"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)
FIELDS = sorted(set(PAYLOADS["plain"]) - {"startTime"})


@settings(max_examples=300)
@given(
    st.sampled_from(sorted(PAYLOADS)),
    st.dictionaries(st.sampled_from(FIELDS), ODD, max_size=4),
    st.dictionaries(st.sampled_from(sorted(PAYLOADS["plain"]["metadata"])), ODD, max_size=4),
)
def test_an_odd_field_never_loses_a_request(
    name: str, odd: dict[str, Any], metadata: dict[str, Any]
) -> None:
    payload = PAYLOADS[name]
    changed = {**payload, "metadata": {**payload["metadata"], **metadata}, **odd}
    Normaliser().mapping(litellm.request(changed))
    Normaliser().mapping(litellm.request(litellm_payload.trimmed(changed, {"litellm_params": odd})))
