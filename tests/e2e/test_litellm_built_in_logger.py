"""LiteLLM's generic API logger loses calls, in the ways that docs/litellm.md names."""

from typing import Any

import pytest

from tests.support.litellm import calls

ALL = ["a", "b", "c"]


@pytest.fixture(scope="module")
def said() -> dict[str, Any]:
    return calls("built_in_logger.py", {"LITELLM_LOCAL_MODEL_COST_MAP": "True"})


def test_without_retries_one_503_loses_the_batch(said: dict[str, Any]) -> None:
    assert said["503"] == {"taken": [], "asked": 1}


def test_with_retries_it_outlives_a_short_503_and_not_a_long_one(said: dict[str, Any]) -> None:
    assert said["503, retries"] == {"taken": ALL, "asked": 2}
    assert said["503 for long, retries"] == {"taken": [], "asked": 4}


def test_a_timeout_is_tried_again_with_retries_only(said: dict[str, Any]) -> None:
    assert said["timeout"]["asked"] == 1
    assert said["timeout, retries"]["asked"] == 4


def test_a_4xx_is_never_tried_again(said: dict[str, Any]) -> None:
    for kind in ("422, retries", "429, retries"):
        assert said[kind] == {"taken": [], "asked": 1}


def test_what_ends_while_a_batch_is_on_its_way_is_lost(said: dict[str, Any]) -> None:
    """Where this fails, LiteLLM has mended it, and the documentation can say so."""
    assert said["meanwhile"]["taken"] == ALL
