from collections.abc import Sequence
from decimal import Decimal

import click

from spend import reports
from spend.reports import SpendLine
from worker.cli.output import dollars, moment, print_json, print_table, total, zone_named
from worker.database import transaction

_FIGURES = ["requests", "input tokens", "output tokens", "unpriced", "cost $"]


@click.command
@click.option("--by", default="provider,model", show_default=True, help="What to group by.")
@click.option("--from", "since", help="From this date or time.")
@click.option("--to", "until", help="Up to, not including, this date or time.")
@click.option("--timezone", default="UTC", show_default=True, help="Zone of days and times.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON; money as text.")
def spend(by: str, since: str | None, until: str | None, timezone: str, *, as_json: bool) -> None:
    """Show spend, grouped by anything.

    Groups: provider, model, organization, project, sprint, agent, user_id, team, api_key, day.
    What is not attributed is a line of its own, so that lines always add up to the total.

    \b
    Examples:
      spendbeat spend
      spendbeat spend --by organization,project --from 2026-11-01
      spendbeat spend --by day,provider --timezone Asia/Kolkata --json
    """
    names = [name.strip() for name in by.split(",")]
    zone_named(timezone)
    with transaction("spendbeat_reader") as session:
        lines = reports.spend(
            session,
            names,
            since=moment(since, timezone) if since else None,
            until=moment(until, timezone) if until else None,
            zone=timezone,
        )
    if as_json:
        print_json([_as_dict(names, line) for line in lines])
    else:
        show(names, lines)


def _as_dict(names: Sequence[str], line: SpendLine) -> dict[str, object]:
    return {
        **dict(zip(names, line.group, strict=True)),
        "requests": line.requests,
        "input_tokens": line.input_tokens,
        "output_tokens": line.output_tokens,
        "unpriced": line.unpriced,
        "total_cost": str(line.total_cost),
    }


def show(names: Sequence[str], lines: Sequence[SpendLine]) -> None:
    """Print spend for a person."""
    if not lines:
        click.echo("No spend has been counted for this.")
        return
    print_table(
        [*names, *_FIGURES],
        [
            (
                *("(unattributed)" if value is None else value for value in line.group),
                f"{line.requests:,}",
                f"{line.input_tokens:,}",
                f"{line.output_tokens:,}",
                f"{line.unpriced:,}",
                ("at least " if line.unpriced else "") + dollars(line.total_cost),
            )
            for line in lines
        ],
        numbers=_FIGURES,
    )
    cost = sum((line.total_cost for line in lines), Decimal(0))
    click.echo(f"Total: {total(cost, sum(line.unpriced for line in lines))}")


commands = {"spend": spend}
