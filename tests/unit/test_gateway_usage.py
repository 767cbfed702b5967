"""Usage as providers report it becomes the token fields of the ledger."""

from types import SimpleNamespace

import pytest
from pydantic import BaseModel
from spendbeat_gateway.usage import cost, tokens

CHAT = {
    "prompt_tokens": 1000,
    "completion_tokens": 200,
    "total_tokens": 1200,
    "prompt_tokens_details": {"cached_tokens": 600, "audio_tokens": 50},
    "completion_tokens_details": {"reasoning_tokens": 120, "audio_tokens": 10},
}
CHAT_TOKENS = {
    "input_tokens": 1000,
    "output_tokens": 200,
    "cache_read_tokens": 600,
    "reasoning_tokens": 120,
    "audio_input_tokens": 50,
    "audio_output_tokens": 10,
}


class Details(BaseModel):
    cached_tokens: int = 600
    audio_tokens: int = 50


class Answer(BaseModel):
    reasoning_tokens: int = 120
    audio_tokens: int = 10


class Chat(BaseModel):
    prompt_tokens: int = 1000
    completion_tokens: int = 200
    total_tokens: int = 1200
    prompt_tokens_details: Details = Details()
    completion_tokens_details: Answer = Answer()


def objects(found: object) -> object:
    if isinstance(found, dict):
        return SimpleNamespace(**{name: objects(value) for name, value in found.items()})
    return found


@pytest.mark.parametrize("usage", [CHAT, objects(CHAT), Chat()], ids=["dict", "object", "pydantic"])
def test_a_chat_completion_counts_its_cached_tokens_as_part_of_the_prompt(usage: object) -> None:
    assert tokens(usage) == CHAT_TOKENS


def test_the_responses_api_names_the_same_things_otherwise() -> None:
    usage = {
        "input_tokens": 1000,
        "input_tokens_details": {"cached_tokens": 600},
        "output_tokens": 200,
        "output_tokens_details": {"reasoning_tokens": 120},
        "total_tokens": 1200,
    }
    assert tokens(usage) == {
        "input_tokens": 1000,
        "output_tokens": 200,
        "cache_read_tokens": 600,
        "reasoning_tokens": 120,
    }


def test_anthropics_input_grows_by_what_the_cache_read_and_wrote() -> None:
    """Its input_tokens are only those that no cache had a part in."""
    usage = {
        "input_tokens": 10,
        "cache_read_input_tokens": 700,
        "cache_creation_input_tokens": 300,
        "cache_creation": {"ephemeral_5m_input_tokens": 100, "ephemeral_1h_input_tokens": 200},
        "output_tokens": 42,
        "service_tier": "standard",
    }
    assert tokens(usage) == {
        "input_tokens": 1010,
        "output_tokens": 42,
        "cache_read_tokens": 700,
        "cache_write_tokens": 100,
        "cache_write_1h_tokens": 200,
    }


def test_anthropic_without_the_split_of_its_cache_wrote_for_five_minutes() -> None:
    usage = {
        "input_tokens": 10,
        "cache_read_input_tokens": 0,
        "cache_creation_input_tokens": 300,
        "output_tokens": 1,
    }
    assert tokens(usage) == {"input_tokens": 310, "output_tokens": 1, "cache_write_tokens": 300}


def test_litellms_usage_has_anthropics_names_but_an_inclusive_prompt() -> None:
    usage = {
        "prompt_tokens": 1010,
        "completion_tokens": 42,
        "cache_read_input_tokens": 700,
        "cache_creation_input_tokens": 300,
        "prompt_tokens_details": {
            "cached_tokens": 700,
            "cache_creation_token_details": {"ephemeral_1h_input_tokens": 200},
        },
    }
    assert tokens(usage) == {
        "input_tokens": 1010,
        "output_tokens": 42,
        "cache_read_tokens": 700,
        "cache_write_tokens": 100,
        "cache_write_1h_tokens": 200,
    }


def test_an_embedding_has_no_output() -> None:
    assert tokens({"prompt_tokens": 8, "total_tokens": 8}) == {
        "input_tokens": 8,
        "output_tokens": 0,
    }


def test_reasoning_that_the_total_has_on_top_is_output() -> None:
    """As xAI does: completion_tokens leave it out, and it is billed."""
    usage = {
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "total_tokens": 115,
        "completion_tokens_details": {"reasoning_tokens": 100},
    }
    assert tokens(usage) == {"input_tokens": 10, "output_tokens": 105, "reasoning_tokens": 100}


def test_a_part_is_never_larger_than_its_whole() -> None:
    """The ledger refuses such a row; a provider's slip must not cost the event."""
    usage = {
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "prompt_tokens_details": {"cached_tokens": 20},
        "completion_tokens_details": {"reasoning_tokens": 9},
    }
    assert tokens(usage) == {
        "input_tokens": 10,
        "output_tokens": 5,
        "cache_read_tokens": 10,
        "reasoning_tokens": 5,
    }


@pytest.mark.parametrize(
    "usage", [None, {}, "usage", 7, {"prompt_tokens": "many"}, {"prompt_tokens": True}, object()]
)
def test_what_is_no_usage_is_none(usage: object) -> None:
    assert tokens(usage) is None


def test_a_providers_own_cost_keeps_its_text() -> None:
    assert cost({"cost": 0.0001234}) == 0.0001234
    assert cost({"prompt_tokens": 1}) is None
