"""What was sent to channels, what waits and what was given up."""

from collections.abc import Mapping, Sequence
from typing import Any

import click

from spend.delivery import outbox
from spend.errors import BadInputError
from spend.sql import query
from worker.cli.output import print_json, print_table
from worker.database import transaction

_SHOWN = 60
_STATES = ("waiting", "delivered", "dead")


@click.group
def deliveries() -> None:
    """Messages to channels: what waits, what was delivered, what was given up."""


@deliveries.command("list")
@click.option("--state", type=click.Choice(_STATES), help="Only these.")
@click.option("--channel", default="", help="Only those to this channel.")
@click.option("--limit", default=50, show_default=True, help="The newest so many.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_(*, state: str | None, channel: str, limit: int, as_json: bool) -> None:
    """List messages, the newest first.

    \b
    Examples:
      spendbeat deliveries list
      spendbeat deliveries list --state waiting --channel ops --json
    """
    _print(_find(state or "", channel, limit), as_json=as_json)


@deliveries.command
@click.option("--channel", default="", help="Only those to this channel.")
@click.option("--limit", default=50, show_default=True, help="The newest so many.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def dead(*, channel: str, limit: int, as_json: bool) -> None:
    """List the messages that were given up, the newest first.

    \b
    Examples:
      spendbeat deliveries dead
      spendbeat deliveries dead --channel ops --limit 1000 --json
    """
    _print(_find("dead", channel, limit), as_json=as_json)


@deliveries.command
@click.argument("message_id", metavar="ID")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with what is sent.")
def show(*, message_id: str, as_json: bool) -> None:
    """One message, with each attempt and the start of what the receiver answered.

    \b
    Example:
      spendbeat deliveries show msg_0f8fad5bd9cb469fa16570867728950e
    """
    with transaction("spendbeat_reader") as session:
        row = session.execute(query("outbox", "show"), {"id": message_id}).mappings().first()
        log = session.execute(query("outbox", "attempts"), {"id": message_id}).mappings().all()
    if row is None:
        raise BadInputError(
            f"There is no message {message_id!r}; 'spendbeat deliveries list' shows them."
        )
    found = dict(row)
    if as_json:
        print_json({**found, "log": [dict(one) for one in log]})
        return
    for name in ("id", "type", "channel", "lane", "position", "created_at", "state", "reason"):
        click.echo(f"{name.replace('_', ' '):12}{_text(found[name])}")
    click.echo(f"{'next try':12}{_when(found)}")
    if log:
        click.echo("")
        print_table(
            ["attempt", "at", "result", "reason", "status", "seconds", "answer"],
            [
                (
                    one["attempt"],
                    f"{one['at']:%Y-%m-%d %H:%M:%S}",
                    one["result"],
                    one["reason"],
                    _text(one["status"]),
                    f"{one['seconds']:.3f}",
                    " ".join(one["answer"].split())[:_SHOWN],
                )
                for one in log
            ],
            numbers=["attempt", "status", "seconds"],
        )


@deliveries.command
@click.argument("message_ids", metavar="[ID]...", nargs=-1)
@click.option("--all-dead", is_flag=True, help="All that were given up.")
@click.option("--channel", default="", help="With --all-dead: only those to this channel.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def replay(*, message_ids: Sequence[str], all_dead: bool, channel: str, as_json: bool) -> None:
    """Send messages again: from the first attempt on, with the same id.

    A receiver that has one of them already knows it by its id. What waits in the same lane and is
    newer waits until they are through. Messages to a channel that is not active stay as they are.

    \b
    Examples:
      spendbeat deliveries replay msg_0f8fad5bd9cb469fa16570867728950e
      spendbeat deliveries replay --all-dead --channel ops
    """
    if bool(message_ids) == all_dead or (channel and not all_dead):
        raise click.UsageError("Name messages, or --all-dead with or without --channel.")
    with transaction() as session:
        wanted = list(message_ids)
        if all_dead:
            found = session.execute(query("outbox", "dead_ids"), {"channel": channel})
            wanted = list(found.scalars())
        again = outbox.replay(session, wanted)
    left = len(wanted) - again
    if as_json:
        print_json({"again": again, "left": left})
        return
    click.echo(f"{again:,} messages wait again; a worker sends them within moments.")
    if left:
        click.echo(f"{left:,} stay as they are: they wait already, or their channel is not active.")


def _find(state: str, channel: str, limit: int) -> list[dict[str, Any]]:
    binds = {"state": state, "channel": channel, "limit": limit}
    with transaction("spendbeat_reader") as session:
        return [dict(row) for row in session.execute(query("outbox", "list"), binds).mappings()]


def _print(rows: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        print_json(rows)
        return
    if not rows:
        click.echo("There are none.")
        return
    print_table(
        ["id", "created", "type", "channel", "state", "reason", "attempts", "next try"],
        [
            (
                row["id"],
                f"{row['created_at']:%Y-%m-%d %H:%M:%S}",
                row["type"],
                row["channel"],
                row["state"],
                _text(row["reason"]),
                row["attempts"],
                _when(row),
            )
            for row in rows
        ],
        numbers=["attempts"],
    )


def _when(row: Mapping[str, Any]) -> str:
    if row["state"] != "waiting":
        return ""
    return f"{row['next_at']:%Y-%m-%d %H:%M:%S}" if row["next_at"] else "after others of its lane"


def _text(value: object) -> str:
    return "" if value is None else str(value)


commands = {"deliveries": deliveries}
