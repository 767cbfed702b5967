from collections.abc import Sequence

import click

from spend import filters, reports, zones
from spend.amounts import dollars, plain
from spend.attribution.caps import OTHER
from spend.errors import BadInputError
from spend.reports import SpendLine
from worker.cli.output import moment, print_json, print_table, total, zone_named
from worker.database import transaction

_FIGURES = ["requests", "input tokens", "output tokens", "unpriced", "cost $"]


@click.command
@click.option("--by", default="provider,model", show_default=True, help="What to group by.")
@click.option("--from", "since", help="From this date or time.")
@click.option("--to", "until", help="Up to, not including, this date or time.")
@click.option("--timezone", default="UTC", show_default=True, help="Zone of days and times.")
@click.option(
    "--only",
    multiple=True,
    metavar="NAME=VALUE",
    help="Only requests like this; several of one name: one of these. Without a value: none.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON; money as text.")
def spend(
    by: str,
    since: str | None,
    until: str | None,
    timezone: str,
    only: Sequence[str],
    *,
    as_json: bool,
) -> None:
    """Show spend, grouped by anything.

    Groups: provider, model, organization, project, sprint, agent, user_id, team, api_key, day,
    tag, or tag:KEY for the values of one key. What is not attributed is a line of its own, so
    that lines add up to the total; but for tags: a request with three tags is in three lines and
    once in the total. --only takes the same names but day, and chooses requests.

    \b
    Examples:
      spendbeat spend
      spendbeat spend --by organization,project --from 2026-11-01
      spendbeat spend --by day,provider --timezone Asia/Kolkata --json
      spendbeat spend --by tag:env
      spendbeat spend --by model --only project=shop --only tag:env=prod
      spendbeat spend --by user_id --only project= --json
    """
    names = [name.strip() for name in by.split(",")]
    zone_named(timezone)
    begin = moment(since, timezone) if since else None
    end = moment(until, timezone) if until else None
    chosen = chosen_by(only)
    with transaction("spendbeat_reader") as session:
        # One moment for the lines, their total and the zone that days are kept in.
        session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
        zones.known(session, timezone)
        lines = reports.spend(session, names, since=begin, until=end, zone=timezone, only=chosen)
        whole = reports.total(session, since=begin, until=end, only=chosen)
    if as_json:
        print_json([_as_dict(names, line) for line in lines])
    else:
        show(names, lines, whole)


def chosen_by(only: Sequence[str]) -> dict[str, list[str | None]]:
    """Filters from NAME=VALUE, as spend.filters takes them. Raises BadInputError."""
    found: dict[str, list[str | None]] = {}
    for said in only:
        name, equals, value = said.partition("=")
        if not equals:
            raise BadInputError(f"--only is NAME=VALUE, such as project=shop, not {said!r:.60}.")
        found.setdefault(name.strip(), []).append(value or None)
    filters.check(found)
    return found


def _as_dict(names: Sequence[str], line: SpendLine) -> dict[str, object]:
    return {
        **dict(zip(names, line.group, strict=True)),
        "requests": line.requests,
        "input_tokens": line.input_tokens,
        "output_tokens": line.output_tokens,
        "unpriced": line.unpriced,
        "total_cost": plain(line.total_cost),
    }


def show(names: Sequence[str], lines: Sequence[SpendLine], whole: SpendLine) -> None:
    """Print spend for a person. whole: all of it, each request once."""
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
    click.echo(f"Total: {total(whole.total_cost, whole.unpriced)}")
    if reports.overlaps(names):
        click.echo("A request with several tags is in several lines, and once in the total.")
    if any(value is not None and value.endswith(OTHER) for line in lines for value in line.group):
        click.echo(
            f"{OTHER}: values beyond the limit of their field; see 'spendbeat attribution limits'."
        )


commands = {"spend": spend}
