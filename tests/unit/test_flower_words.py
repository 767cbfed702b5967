"""What Flower's pages say of a task."""

from types import SimpleNamespace
from typing import Any

import pytest

from worker.celery import app
from worker.flower_words import SENTENCES, described


def shown(name: str, kwargs: str, args: str = "()", result: str | None = None) -> Any:
    return described(SimpleNamespace(name=name, args=args, kwargs=kwargs, result=result))


def test_every_task_has_a_sentence_and_every_sentence_a_task() -> None:
    app.loader.import_default_modules()
    assert {name for name in app.tasks if name.startswith("tasks.")} == SENTENCES.keys()


def test_arguments_are_in_the_sentence_and_what_the_sender_noted_behind_it() -> None:
    said = shown("tasks.rollups.roll_up", "{'provider': 'openai'}", "up to tick 812")
    assert said.args == "Count what is new from openai, up to tick 812"
    assert said.name == "tasks.rollups.roll_up", "Flower filters by it"
    said = shown("tasks.delivery.deliver", "{'lane': 'budget:7/channel:3'}")
    assert said.args == "Send the next message of budget 7 to channel 3"
    assert shown("tasks.ticks.take", "{}").args == "Take a tick"


def test_a_result_says_what_was_found_and_not_what_was_asked_for() -> None:
    result = "{'provider': 'openai', 'outcome': 'moved', 'rows': 12, 'tick_id': 812, 'buckets': 0}"
    said = shown("tasks.rollups.roll_up", "{'provider': 'openai'}", result=result)
    assert said.result == "moved, rows 12, tick id 812"
    assert shown("tasks.ticks.take", "{}", result="{'more': True}").result == "more"
    assert shown("tasks.ticks.take", "{}", result="{'outcome': '', 'rows': 0}").result == "nothing"


@pytest.mark.parametrize(
    ("name", "kwargs"),
    [
        ("tasks.rollups.roll_up", "{'provider': 'a name that was cut ..."),
        ("tasks.rollups.roll_up", ""),
        ("somebody.elses", "{'n': {1}}"),
        ("", "[1, 2]"),
        ("tasks.rollups.roll_up", "{'provider': '{provider!x}'}"),
    ],
)
def test_what_cannot_be_understood_is_no_error(name: str, kwargs: str) -> None:
    """Celery cuts what is long; tasks of others pass by."""
    assert isinstance(shown(name, kwargs, result="{cut").args, str)
    assert shown(name, kwargs, result="{cut").result == "{cut"
