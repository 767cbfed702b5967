"""`spendbeat deliveries`: what waits, what was given up and why, and sending it again."""

import json
from typing import Any

import click
import pytest
from click.testing import CliRunner

from spend.delivery import dispatch
from spend.delivery.channels import Channel
from spend.delivery.outcome import Message, Outcome
from spend.errors import BadInputError
from tests.support import outboxes
from worker.cli.deliveries import deliveries
from worker.database import transaction


def run(*arguments: str) -> str:
    found = CliRunner().invoke(deliveries, arguments, catch_exceptions=False)
    assert found.exit_code == 0, found.output
    return found.output


def as_json(*arguments: str) -> Any:
    return json.loads(run(*arguments, "--json"))


def attempt(outcome: Outcome) -> None:
    def send(channel: Channel, message: Message) -> Outcome:
        return outcome

    with transaction() as session:
        dispatch.deliver(session, "one", send, 0.5)


def test_messages_are_listed_shown_with_their_log_and_sent_again(database: str) -> None:
    channel, quiet = outboxes.channel(), outboxes.channel("quiet")
    first, second = outboxes.put(channel, count=2)
    attempt(Outcome("retry", "failed", 503, 0.25, "try\x1b later"))
    outboxes.due_now()
    attempt(Outcome("delivered", "accepted", 204, 0.125, ""))
    assert [row["id"] for row in as_json("list", "--state", "waiting")] == [second]
    assert {row["id"] for row in as_json("list", "--channel", "ops")} == {first, second}
    assert as_json("list", "--channel", "quiet") == []
    shown = as_json("show", first)
    assert (shown["state"], shown["attempts"], shown["body"]["number"]) == ("delivered", 2, 0)
    assert [(row["result"], row["status"]) for row in shown["log"]] == [
        ("retry", 503),
        ("delivered", 204),
    ]
    assert "try" in run("show", first)
    assert as_json("replay", first) == {"again": 1, "left": 0}
    assert as_json("replay", first) == {"again": 0, "left": 1}
    assert "after others of its lane" in run("list")
    assert as_json("show", first)["attempts"] == 0
    assert quiet


def test_what_was_given_up_is_listed_and_replayed_when_its_channel_is_active(
    database: str,
) -> None:
    channel = outboxes.channel()
    ids = outboxes.put(channel, count=3)
    attempt(Outcome("gone", "gone", 410))
    assert {row["id"] for row in as_json("dead")} == set(ids)
    assert {row["reason"] for row in as_json("dead")} == {"gone", "disabled"}
    assert as_json("replay", "--all-dead") == {"again": 0, "left": 3}
    outboxes.enable(channel)
    assert as_json("replay", "--all-dead", "--channel", "other") == {"again": 0, "left": 0}
    assert "3 messages wait again" in run("replay", "--all-dead", "--channel", "ops")
    assert run("dead") == "There are none.\n"


def test_an_unknown_message_is_said_and_nothing_is_replayed(database: str) -> None:
    (known,) = outboxes.put(outboxes.channel())
    attempt(Outcome("delivered", "accepted", 200))
    with pytest.raises(BadInputError, match="msg_nowhere"):
        run("show", "msg_nowhere")
    with pytest.raises(BadInputError, match="msg_nowhere"):
        run("replay", known, "msg_nowhere")
    assert as_json("show", known)["state"] == "delivered"


@pytest.mark.parametrize("arguments", [(), ("--channel", "ops"), ("msg_1", "--all-dead")])
def test_what_to_replay_is_to_be_said(arguments: tuple[str, ...]) -> None:
    found = CliRunner().invoke(deliveries, ["replay", *arguments], standalone_mode=False)
    assert isinstance(found.exception, click.UsageError)
