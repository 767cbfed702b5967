"""The callback alone: it outlives whatever LiteLLM hands it, and knows of calls that never end."""

from pathlib import Path
from typing import Any

import pytest

from tests.support.litellm import calls, environment


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder: Path = tmp_path_factory.mktemp("spool")
    return calls("odd_calls.py", environment("http://127.0.0.1:9", "", folder), str(folder))


def test_nothing_that_it_is_given_makes_it_raise(said: dict[str, Any]) -> None:
    """What it cannot read is counted; a call of which nothing is known is shipped and refused."""
    assert said["swallowed"] > 0
    assert said["waiting"] > 0


def test_calls_that_began_and_never_ended_are_counted(said: dict[str, Any]) -> None:
    ended, still_open, unfinished = said["before"]
    assert (ended, still_open, unfinished) == (1, 2, 0)
    assert said["after"] == [1, 0, 2]
