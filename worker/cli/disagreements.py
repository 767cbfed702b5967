from dataclasses import asdict
from datetime import UTC

import click

from spend.amounts import dollars
from spend.pricing.disagreements import Disagreement, found
from worker.cli.output import moment, print_json, print_table
from worker.database import transaction


@click.command()
@click.option("--model", help="Only this model.")
@click.option("--since", help="Only requests of this day (UTC) or later.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON; amounts as text.")
def disagreements(model: str | None, since: str | None, *, as_json: bool) -> None:
    """List where the booked cost and another known one differ, the largest first.

    A request may have several costs: ours, the gateway's, the provider's. One is booked; where
    another is more than 1 % and a millionth of a dollar away from it, that is noted.

    \b
    Examples:
      spendbeat prices disagreements
      spendbeat prices disagreements --model gpt-4o --since 2026-11-01 --json
    """
    day = moment(since, "UTC").astimezone(UTC).date() if since else None
    with transaction("spendbeat_reader") as session:
        rows = found(session, model=model, since=day)
    if as_json:
        print_json([asdict(row) for row in rows])
    elif not rows:
        click.echo("There are none.")
    else:
        columns = ["day", "provider", "model", "booked", "other", "requests"]
        print_table(
            [*columns, "booked $", "other $", "apart", "example"],
            [_line(row) for row in rows],
            numbers=["requests", "booked $", "other $", "apart", "example"],
        )


def _line(row: Disagreement) -> tuple[object, ...]:
    names = (row.day, row.provider, row.model, row.booked_source, row.other_source)
    amounts = (dollars(row.booked_usd), dollars(row.other_usd), dollars(row.difference_usd))
    return (*names, f"{row.requests:,}", *amounts, row.example_row_id)


commands = {"disagreements": disagreements}
