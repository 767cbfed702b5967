"""What gateways put into Postgres, and requests whose id was known for something else."""

import json

import click

from spend import inbox as inboxes
from spend.conflicts import newest
from spend.sql import query
from worker.cli.output import print_json, print_table
from worker.database import transaction

_SHOWN = 60


@click.group
def inbox() -> None:
    """Events that gateways put straight into Postgres, until they are booked."""


@inbox.command
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(*, as_json: bool) -> None:
    """How many events wait, since when, and how many could not be booked.

    \b
    Example:
      spendbeat inbox status
    """
    with transaction("spendbeat_reader") as session:
        found = session.execute(query("inbox", "status")).mappings().one()
    if as_json:
        print_json(dict(found))
        return
    since = f", the oldest since {found['oldest']:%Y-%m-%d %H:%M:%S%z}" if found["oldest"] else ""
    click.echo(f"{found['waiting']:,} events wait{since}.")
    click.echo(
        f"{found['rejected']:,} events could not be booked; 'spendbeat inbox rejected' lists them."
    )


@inbox.command
@click.option("--limit", default=100, show_default=True, help="The oldest so many.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with the whole events.")
def rejected(*, limit: int, as_json: bool) -> None:
    """List the events that could not be booked, and why.

    \b
    Example:
      spendbeat inbox rejected --limit 20
    """
    with transaction("spendbeat_reader") as session:
        found = session.execute(query("inbox", "rejected"), {"limit": limit}).mappings().all()
    if as_json:
        print_json([dict(row) for row in found])
        return
    if not found:
        click.echo("There are none.")
        return
    rows = [
        (r["id"], f"{r['arrived_at']:%Y-%m-%d %H:%M}", r["route"], r["reason"], r["body"][:_SHOWN])
        for r in found
    ]
    print_table(["id", "arrived", "route", "reason", "event"], rows, numbers=["id"])


@inbox.command
def retry() -> None:
    """Let the events that could not be booked be tried again, after their cause is gone.

    \b
    Example:
      spendbeat inbox retry
    """
    with transaction() as session:
        count = inboxes.retry(session)
    click.echo(f"{count:,} events wait again; a worker books them with the next tick.")


@click.command
@click.option("--limit", default=100, show_default=True, help="The newest so many.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, with the whole requests.")
def conflicts(*, limit: int, as_json: bool) -> None:
    """List requests whose id was known for something else: the first to come stays booked.

    \b
    Examples:
      spendbeat conflicts
      spendbeat conflicts --limit 1000 --json
    """
    with transaction("spendbeat_reader") as session:
        found = newest(session, limit)
    if as_json:
        print_json([dict(row) for row in found])
        return
    if not found:
        click.echo("There are no conflicts.")
        return
    rows = [
        (
            f"{r['at']:%Y-%m-%d %H:%M:%S}",
            r["route"],
            r["request_id"],
            r["reason"],
            json.dumps(r["said"])[:_SHOWN],
        )
        for r in found
    ]
    print_table(["at", "route", "request", "reason", "said"], rows)


commands = {"inbox": inbox, "conflicts": conflicts}
