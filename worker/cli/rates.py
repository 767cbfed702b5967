"""Commands about rate limits: how many requests of a scope may pass in a minute."""

from collections.abc import Callable, Sequence

import click

from spend.budgets import guarding, reading
from spend.enforcement import rates as limits
from spend.enforcement.rates import RateLimit
from worker.cli.attribution import who
from worker.cli.options import pairs
from worker.cli.output import print_json, print_table
from worker.database import transaction

_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_SCOPE = click.option(
    "--scope",
    multiple=True,
    metavar="FIELD=VALUE",
    help="What it counts; all of several. Fields are those of attribution, tag, provider, model.",
)


@click.group
def rates() -> None:
    """Rate limits: requests of a scope that guards let pass in a minute."""


@rates.command
@click.argument("name")
@_SCOPE
@click.option("--per-minute", required=True, metavar="N", help="Requests in any minute.")
@_JSON
def add(name: str, *, scope: Sequence[str], per_minute: str, as_json: bool) -> None:
    """Make a rate limit called NAME; without a scope it counts every request.

    \b
    Examples:
      spendbeat rates add batch --scope tag=batch --per-minute 60
      spendbeat rates add key-7 --scope api_key=prod-7 --scope provider=openai --per-minute 300
    """
    most = guarding.per_minute(per_minute, "per-minute")
    with transaction() as session:
        made = limits.add(session, name, _scope(scope) or {}, most, who())
    _tell(made, f"Rate limit {made.name} is made (number {made.id}).", as_json=as_json)


@rates.command("list")
@_JSON
def list_(*, as_json: bool) -> None:
    """List rate limits.

    \b
    Example:
      spendbeat rates list --json
    """
    with transaction("spendbeat_reader") as session:
        found = limits.listed(session)
    if as_json:
        print_json([limit.as_dict() for limit in found])
    elif not found:
        click.echo("There are none; 'spendbeat rates add' makes one.")
    else:
        print_table(
            ["id", "name", "scope", "per minute", "state"],
            [(one.id, one.name, _said(one), f"{one.per_minute:,}", one.state) for one in found],
            numbers=["id", "per minute"],
        )


@rates.command
@click.argument("rate")
@click.option("--name", help="Another name.")
@_SCOPE
@click.option("--per-minute", metavar="N", help="Requests in any minute.")
@_JSON
def edit(
    rate: str, *, name: str | None, scope: Sequence[str], per_minute: str | None, as_json: bool
) -> None:
    """Change RATE (its name or number); what is not given stays. --scope none is everything.

    \b
    Example:
      spendbeat rates edit batch --per-minute 120
    """
    most = None if per_minute is None else guarding.per_minute(per_minute, "per-minute")
    with transaction() as session:
        made = limits.change(session, rate, who(), name=name, scope=_scope(scope), per_minute=most)
    _tell(made, f"Rate limit {made.name} is {_said(made)}: {made.per_minute:,} a minute.",
          as_json=as_json)  # fmt: skip


def _state(state: str, done: str, text: str) -> Callable[..., None]:
    def command(rate: str, *, as_json: bool) -> None:
        with transaction() as session:
            made = limits.change(session, rate, who(), state=state)
        _tell(made, f"Rate limit {made.name} is {done}.", as_json=as_json)

    command.__doc__ = text
    return _JSON(click.argument("rate")(command))


rates.command("pause")(
    _state(
        "paused",
        "paused",
        """Let everything pass RATE (its name or number) for now.

    \b
    Example:
      spendbeat rates pause batch
    """,
    )
)
rates.command("resume")(
    _state(
        "active",
        "active",
        """Let a paused RATE count again.

    \b
    Example:
      spendbeat rates resume batch
    """,
    )
)
rates.command("remove")(
    _state(
        "removed",
        "removed",
        """Remove RATE (its name or number) for good.

    \b
    Example:
      spendbeat rates remove batch
    """,
    )
)


def _scope(given: Sequence[str]) -> dict[str, str] | None:
    if not given:
        return None
    return {} if tuple(given) == ("none",) else reading.scope(pairs(given, "--scope"))


def _said(limit: RateLimit) -> str:
    return " ".join(f"{name}={value}" for name, value in limit.scope.items()) or "everything"


def _tell(limit: RateLimit, sentence: str, *, as_json: bool) -> None:
    if as_json:
        print_json(limit.as_dict())
    else:
        click.echo(sentence)


commands = {"rates": rates}
