import click

from spend import rebuild as repairs
from spend import ticks
from worker.cli.output import zone_named
from worker.cli.verify import show
from worker.database import transaction


@click.group
def rollups() -> None:
    """Recompute rollups, or change the zone of the daily table."""


@rollups.command
@click.option("--provider", help="Only this shard; otherwise every shard, one after another.")
def rebuild(provider: str | None) -> None:
    """Recompute totals from the ledger and the seals, and record what differed.

    Each shard is recomputed under its own lock in one transaction, so readers see the old totals
    or the new ones. After a restore into another Postgres cluster this also makes rollups go on:
    every row is counted once, and new ones from there.

    \b
    Examples:
      spendbeat rollups rebuild
      spendbeat rollups rebuild --provider openai
    """
    with transaction("spendbeat_owner") as session:
        if repairs.is_restored(session):
            click.echo("This database comes from another cluster: counting every row anew.")
            ticks.fence(session)
            provider = None
        names = [provider] if provider else ticks.providers(session)
    for name in names:
        with transaction() as session:
            result = repairs.shard(session, name)
        click.echo(f"{name}: {result.rows:,} rows counted anew. Before that:")
        show(result.before)


@rollups.command
@click.argument("name")
def zone(name: str) -> None:
    """Cut the days of daily_cost_summaries in another time zone, past days included.

    \b
    Example:
      spendbeat rollups zone Europe/Berlin
    """
    zone_named(name)
    with transaction() as session:
        repairs.set_zone(session, name)
    click.echo(f"daily_cost_summaries now holds days of {name}.")


commands = {"rollups": rollups}
