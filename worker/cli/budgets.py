"""Commands about budgets: what they say, how they stand, a file of them."""

import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from spend.budgets import files, reading, saying, standing, store, sums
from spend.budgets.definition import ENFORCE, UNPRICED, UNREACHABLE, Budget
from spend.budgets.store import Kind
from spend.periods import KINDS, WEEKDAYS
from worker.cli import budget_views as views
from worker.cli.attribution import who
from worker.cli.options import pairs
from worker.cli.output import print_json
from worker.database import transaction

_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group
def budgets() -> None:
    """Budgets: limits for what a scope spends in a calendar period."""


def _definition(command: click.decorators.FC) -> click.decorators.FC:
    for option in reversed(
        (
            click.option(
                "--scope",
                multiple=True,
                metavar="FIELD=VALUE",
                help="What it counts; all of several. Fields are those of attribution, tag,"
                " provider, model. Default: everything.",
            ),
            click.option("--period", type=click.Choice(KINDS), help="Default: month."),
            click.option("--zone", help="Time zone of its days. Default: UTC."),
            click.option("--week-start", type=click.Choice(WEEKDAYS), help="Default: monday."),
            click.option("--from", "first", help="Of a range: its first day."),
            click.option("--to", "end", help="Of a range: the first day after it."),
            click.option("--soft-limit", metavar="USD", help="Dollars a period, or none."),
            click.option("--hard-limit", metavar="USD", help="Dollars a period, or none."),
            click.option(
                "--threshold",
                "thresholds",
                multiple=True,
                help="Percent of the limit (80%) or dollars (500), then, after commas, what it"
                " is of and for: actual or forecast, info, warning or critical, channel=NAME"
                " (default: every channel), escalate=30m, escalate-to=NAME. Or none. Default:"
                " 80% and 100%,critical.",
            ),
            click.option(
                "--raise",
                "raise_by",
                metavar="USD",
                help="Dollars on top of both limits until --raise-until, or none.",
            ),
            click.option("--raise-until", metavar="DATE", help="The first day without the raise."),
            click.option("--note", help="For people."),
            click.option(
                "--enforce",
                type=click.Choice(ENFORCE),
                help="What guards do about calls before they are made. Default: alert, nothing.",
            ),
            click.option(
                "--throttle-per-minute",
                metavar="N",
                help="With --enforce throttle: requests that pass above the soft limit.",
            ),
            click.option(
                "--unreachable",
                type=click.Choice(UNREACHABLE),
                help="Whether calls pass while guards cannot ask. Default: open.",
            ),
            click.option(
                "--allowance",
                metavar="USD",
                help="Dollars that each process lets through then. Default: 1 % of the limit.",
            ),
            click.option(
                "--unpriced",
                type=click.Choice(UNPRICED),
                help="What becomes of calls to models without a price. Default: allow.",
            ),
            click.option(
                "--ceiling",
                metavar="USD",
                help="With --unpriced ceiling: the price assumed, per million tokens.",
            ),
        )
    ):
        command = option(command)
    return command


def _said(
    *,
    scope: Sequence[str],
    first: str | None,
    end: str | None,
    thresholds: Sequence[str],
    raise_by: str | None,
    raise_until: str | None,
    **plain: str | None,
) -> dict[str, Any]:
    """The fields of a budget that options say."""
    said: dict[str, Any] = {name: value for name, value in plain.items() if value is not None}
    if scope:
        said["scope"] = pairs(scope, "--scope") if tuple(scope) != ("none",) else None
    said |= {name: value for name, value in (("from", first), ("to", end)) if value is not None}
    if thresholds:
        said["thresholds"] = None if tuple(thresholds) == ("none",) else list(thresholds)
    if raise_by == "none":
        said["raise"] = None
    elif raise_by is not None or raise_until is not None:
        if raise_by is None or raise_until is None:
            raise click.UsageError("A raise needs both --raise and --raise-until.")
        said["raise"] = {"by": raise_by, "until": raise_until}
    return said


@budgets.command
@click.argument("name")
@_definition
@_JSON
def add(name: str, *, as_json: bool, **options: Any) -> None:
    """Make a budget called NAME; what its scope has spent so far is counted at once.

    \b
    Examples:
      spendbeat budgets add everything --hard-limit 5000
      spendbeat budgets add shop --scope project=shop --scope provider=openai \\
        --zone Europe/Berlin --soft-limit 800 --hard-limit 1000 \\
        --threshold 80% --threshold 100%,forecast,critical,channel=ops
      spendbeat budgets add launch --period range --from 2026-11-20 --to 2026-12-05 \\
        --scope tag=launch --hard-limit 300
    """
    said = _said(**options)
    with transaction() as session:
        made = store.add(session, reading.read({**said, "name": name}), who())
    _tell(made, f"Budget {made.name} is made (number {made.id}).", as_json=as_json)


@budgets.command("list")
@click.option("--removed", is_flag=True, help="Also removed ones.")
@_JSON
def list_(*, removed: bool, as_json: bool) -> None:
    """List budgets, by name.

    \b
    Example:
      spendbeat budgets list
    """
    with transaction("spendbeat_reader") as session:
        found = store.load(session, removed=removed)
    if as_json:
        print_json([saying.budget(budget) for budget in found])
    elif not found:
        click.echo("There are none; 'spendbeat budgets add' makes one.")
    else:
        views.show_list(found)


@budgets.command
@click.argument("budget")
@click.option("--periods", default=12, show_default=True, help="How many periods to show.")
@_JSON
def show(budget: str, *, periods: int, as_json: bool) -> None:
    """Show all that BUDGET (its name or number) says, and what it spent in its newest periods.

    \b
    Example:
      spendbeat budgets show shop
    """
    now = datetime.now(UTC)
    with transaction("spendbeat_reader") as session:
        found = store.find(session, budget, removed=True)
        past = standing.past(session, found, periods)
    if as_json:
        print_json({**saying.budget(found), "periods": [saying.period(p) for p in past]})
    else:
        views.show_one(found, past, now)


@budgets.command
@click.argument("budget")
@click.option("--name", help="Another name.")
@_definition
@_JSON
def edit(budget: str, *, as_json: bool, **options: Any) -> None:
    """Change BUDGET; what is not said stays. Right at once, for past periods too.

    --scope, --threshold and --raise replace what there was; 'none' takes it away. Every change is
    a version, see 'spendbeat budgets history'.

    \b
    Examples:
      spendbeat budgets edit shop --hard-limit 1200
      spendbeat budgets edit shop --raise 300 --raise-until 2026-12-01 --note 'launch week'
      spendbeat budgets edit shop --scope none --soft-limit none
    """
    said = _said(**options)
    with transaction() as session:
        sums.hold(session)
        before = store.find(session, budget)
        after = store.change(session, before, reading.read(said, before.definition), who())
    if after == before:
        _tell(after, f"Budget {after.name} says that already.", as_json=as_json)
        return
    _tell(after, f"Budget {after.name} is changed (version {after.version}).", as_json=as_json)


def _state(kind: Kind, done: str, text: str) -> Callable[..., None]:
    def command(budget: str, *, as_json: bool) -> None:
        with transaction() as session:
            found = store.set_state(session, budget, kind, who())
        _tell(found, f"Budget {found.name} is {done}.", as_json=as_json)

    command.__doc__ = text
    return _JSON(click.argument("budget")(command))


budgets.command("pause")(
    _state(
        "paused",
        "paused; it goes on counting and tells nobody",
        """Let BUDGET (its name or number) tell nobody for now; it goes on counting.

    \b
    Example:
      spendbeat budgets pause shop
    """,
    )
)
budgets.command("resume")(
    _state(
        "resumed",
        "active",
        """Let a paused BUDGET tell again.

    \b
    Example:
      spendbeat budgets resume shop
    """,
    )
)
budgets.command("remove")(
    _state(
        "removed",
        "removed; its history stays",
        """Remove BUDGET (its name or number) for good; its history stays.

    \b
    Example:
      spendbeat budgets remove shop
    """,
    )
)


@budgets.command
@click.argument("budget")
@_JSON
def history(budget: str, *, as_json: bool) -> None:
    """Show every change of BUDGET (its name or number): who, when, and what it was before.

    \b
    Example:
      spendbeat budgets history shop
    """
    with transaction("spendbeat_reader") as session:
        found = store.history(session, store.find(session, budget, removed=True))
    if as_json:
        print_json([saying.budget(version) for version in found])
    else:
        views.show_history(found)


@budgets.command
@click.argument("names", nargs=-1, metavar="[BUDGET]...")
@_JSON
def status(names: Sequence[str], *, as_json: bool) -> None:
    """Show what is spent and left of each budget (or those named), and where it is going.

    The forecast is for the end of the period, with the range in which four of five such periods
    end. It needs some days of history before it speaks.

    \b
    Examples:
      spendbeat budgets status
      spendbeat budgets status shop --json
    """
    with transaction("spendbeat_reader") as session:
        ids = [store.find(session, name).id for name in names] if names else None
        found = standing.status(session, datetime.now(UTC), ids)
    if as_json:
        print_json([saying.status(one) for one in found])
    elif not found:
        click.echo("There are none; 'spendbeat budgets add' makes one.")
    else:
        views.show_status(found)


@budgets.command
@click.argument(
    "file", type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path)
)
@click.option("--dry-run", is_flag=True, help="Show what would change, and change nothing.")
@click.option("--remove-others", is_flag=True, help="Remove budgets that are not in the file.")
@_JSON
def apply(file: Path, *, dry_run: bool, remove_others: bool, as_json: bool) -> None:
    """Make budgets what a YAML FILE (- is standard input) says, all or none; says what changes.

    The same file again changes nothing. Budgets that are not in it are left.

    \b
    Example of a file:
      budgets:
        - name: shop
          scope: {project: shop, provider: openai}
          period: month              # day week month quarter year total range
          zone: Europe/Berlin
          soft_limit: 800
          hard_limit: 1000
          thresholds: [80%, "100%,forecast,critical,channel=ops"]
          raise: {by: 300, until: 2026-12-01}

    \b
    Examples:
      spendbeat budgets apply budgets.yaml --dry-run
      spendbeat budgets apply budgets.yaml
    """
    source = sys.stdin.read() if str(file) == "-" else file.read_text(encoding="utf-8")
    wanted = files.parse(source)
    if dry_run:
        with transaction("spendbeat_reader") as session:
            plan = files.plan(session, wanted, remove_others=remove_others)
    else:
        with transaction() as session:
            plan = files.apply(session, wanted, who(), remove_others=remove_others)
    if as_json:
        print_json(saying.plan(plan, applied=not dry_run))
    else:
        views.show_plan(plan, applied=not dry_run)


def _tell(budget: Budget, sentence: str, *, as_json: bool) -> None:
    if as_json:
        print_json(saying.budget(budget))
    else:
        click.echo(sentence)


commands = {"budgets": budgets}
