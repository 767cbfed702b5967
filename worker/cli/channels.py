"""Channels: where messages go."""

import sys
from dataclasses import asdict
from datetime import UTC, datetime

import click

from models import CHANNEL_KINDS
from spend.delivery import registry, trial
from spend.delivery.channels import LONGEST_OVERLAP, Channel, shown
from spend.delivery.outcome import Message, Outcome
from spend.lengths import length
from worker import sending
from worker.cli.output import print_json, print_table
from worker.database import transaction


@click.group
def channels() -> None:
    """Where messages go: webhooks, Slack, mail."""


@channels.command
@click.argument("name")
@click.argument("kind", type=click.Choice(CHANNEL_KINDS))
@click.argument("address")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def add(name: str, kind: str, address: str, *, as_json: bool) -> None:
    """Add a channel; the secret that a webhook's receiver needs is printed this once.

    ADDRESS is a URL, for email one or several mailboxes separated by commas, or - to read it from
    standard input: the URL of a Slack channel is a password, which other users of a machine can
    see in a list of processes. An address in a network of one's own is refused unless
    SPENDBEAT_WEBHOOK_ALLOWED lists it.

    \b
    Examples:
      spendbeat channels add ops webhook https://example.com/hooks/spend
      pbpaste | spendbeat channels add alerts slack -
      spendbeat channels add finance email cfo@example.com,team@example.com
    """
    if address == "-":
        address = sys.stdin.read().strip()
    with transaction() as session:
        keys = sending.sealing_keys(session, kind)
        added = registry.add(session, name, kind, address, keys, allowed=sending.allowed())
    if as_json:
        print_json({**shown(added.channel), "secret": added.secret})
        return
    click.echo(f"Channel {name} ({kind}) goes to {added.channel.address}")
    if added.channel.address.startswith("http://"):
        click.echo("It is http://, so whoever is on the way there can read the messages.")
    if added.secret:
        click.echo("Its signing secret, shown this once:")
        click.echo(added.secret)
    click.echo(f"Try it: spendbeat channels test {name}")


@channels.command("list")
@click.option("--removed", is_flag=True, help="Those that were removed, too.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_(*, removed: bool, as_json: bool) -> None:
    """List channels, without their secrets.

    \b
    Examples:
      spendbeat channels list
      spendbeat channels list --removed --json
    """
    with transaction("spendbeat_reader") as session:
        found = registry.listed(session, removed=removed)
    if as_json:
        print_json([shown(channel) for channel in found])
        return
    print_table(
        ["name", "kind", "address", "state", "since", "failing since"],
        [
            (
                channel.name,
                channel.kind,
                channel.address,
                channel.state + (f" ({channel.state_reason})" if channel.state_reason else ""),
                f"{channel.state_at:%Y-%m-%d %H:%M}",
                f"{channel.failing_since:%Y-%m-%d %H:%M}" if channel.failing_since else "",
            )
            for channel in found
        ],
    )
    if not found:
        click.echo("No channels; 'spendbeat channels add NAME KIND ADDRESS' makes one.")


@channels.command
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def test(name: str, *, as_json: bool) -> None:
    """Send a real message now and show what came back.

    Works for a disabled channel too, which stays disabled. The message is of type channel.test
    and in no log of deliveries. Exit code 1 where it was not accepted.

    \b
    Example:
      spendbeat channels test ops
    """
    with transaction() as session:
        channel = registry.named(session, name)
    message = trial.message(channel)
    outcome = sending.send(channel, message)
    if as_json:
        print_json({"channel": name, "id": message.id, **asdict(outcome)})
    else:
        _show(channel, message, outcome)
    if outcome.result != "delivered":
        sys.exit(1)


@channels.command
@click.argument("name")
@click.option("--reason", default="by hand", show_default=True, help="Why, for the list.")
def disable(name: str, *, reason: str) -> None:
    """Send nothing to a channel until it is enabled.

    \b
    Example:
      spendbeat channels disable ops --reason "receiver moves on Monday"
    """
    with transaction() as session:
        changed = registry.disable(session, registry.named(session, name).id, reason)
    click.echo(f"Channel {name} is disabled." if changed else f"{name} was disabled before.")


@channels.command
@click.argument("name")
def enable(name: str) -> None:
    """Send to a disabled channel again.

    \b
    Example:
      spendbeat channels enable ops
    """
    with transaction() as session:
        changed = registry.enable(session, registry.named(session, name).id)
    click.echo(f"Channel {name} is enabled." if changed else f"{name} was active already.")


@channels.command("rotate-secret")
@click.argument("name")
@click.option(
    "--overlap",
    default="24h",
    show_default=True,
    help="How long the old one signs too: 30m, 7d, 0.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def rotate_secret(name: str, *, overlap: str, as_json: bool) -> None:
    """Give a webhook a new signing secret, printed this once.

    During the overlap messages carry a signature of each secret, so the receiver can change over
    without losing one. --overlap 0 ends the old secret at once.

    \b
    Examples:
      spendbeat channels rotate-secret ops
      spendbeat channels rotate-secret ops --overlap 0
    """
    span = length(overlap, LONGEST_OVERLAP)
    with transaction() as session:
        channel = registry.named(session, name)
        secret = registry.rotate_secret(session, channel.id, sending.keys(), span)
    if as_json:
        ends = (datetime.now(UTC) + span).isoformat(timespec="seconds")
        print_json({"name": name, "secret": secret, "old_until": ends if span else None})
        return
    olds = f"the old one signs too for {overlap}" if span else "the old one is of no use any more"
    click.echo(f"The new signing secret of {name}, shown this once; {olds}:")
    click.echo(secret)


@channels.command
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
def remove(name: str, *, yes: bool) -> None:
    """Remove a channel for good; its URL and secrets are forgotten, its name is free again.

    \b
    Example:
      spendbeat channels remove ops --yes
    """
    with transaction() as session:
        channel = registry.named(session, name)
    if not yes:
        click.confirm(f"Remove channel {name}, which goes to {channel.address}?", abort=True)
    with transaction() as session:
        registry.remove(session, channel.id)
    click.echo(f"Channel {name} is removed.")


def _show(channel: Channel, message: Message, outcome: Outcome) -> None:
    verdict = "Accepted" if outcome.result == "delivered" else f"Not accepted ({outcome.reason})"
    status = f"status {outcome.status}" if outcome.status is not None else "no answer"
    click.echo(f"{verdict}: {status} after {outcome.seconds:.3f} s, {message.id}")
    click.echo(f"to {channel.address}")
    if outcome.retry_after is not None:
        click.echo(f"It asks to wait for {outcome.retry_after:.0f} s.")
    if outcome.answer:
        click.echo(f"It said: {outcome.answer}" if outcome.status else outcome.answer)


commands = {"channels": channels}
