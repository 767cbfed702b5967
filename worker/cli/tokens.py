"""Tokens of the HTTP service."""

from dataclasses import asdict

import click

from models import SCOPES
from spend import tokens as table
from spend.tenancy import Binding
from spend.tokens import Token
from worker.cli.output import print_json, print_table
from worker.database import transaction


@click.group
def tokens() -> None:
    """Bearer tokens of the HTTP service: made, listed, revoked."""


@tokens.command
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    type=click.Choice(SCOPES),
    multiple=True,
    required=True,
    help="What it may do; can be given several times.",
)
@click.option("--organization", help="Show it only what is attributed to this organization.")
@click.option("--team", help="Show it only what is attributed to this team.")
@click.option("--api-key", help="Show it only what is attributed to this key's name or hash.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def create(
    name: str,
    scopes: tuple[str, ...],
    organization: str | None,
    team: str | None,
    api_key: str | None,
    *,
    as_json: bool,
) -> None:
    """Make a token and print its secret, this once.

    ingest sends events, guard asks before calls, read asks for figures and looks at all the rest;
    budgets, alerts and channels change those, and look at them; metrics is for Prometheus. Only a
    hash of the secret is stored: who loses it makes another token.

    A token that is bound to an organization, team or key sees the spend that is attributed to it,
    written exactly so, and nothing else; bound to several, what is attributed to all of them. Its
    scope can be read only.

    \b
    Examples:
      spendbeat tokens create litellm-proxy --scope ingest
      spendbeat tokens create acme-dashboard --scope read --organization acme
      SPENDBEAT_TOKEN=$(spendbeat tokens create ci --scope ingest --scope read --json | jq -r .secret)
    """  # noqa: E501 - a line to copy
    fields = (organization, team, api_key)
    binding = None if fields == (None, None, None) else Binding(*fields)
    with transaction() as session:
        token, secret = table.create(session, name, scopes, binding)
    if as_json:
        bound = {"binding": binding.fields()} if binding else {}
        print_json({"name": token.name, "scopes": sorted(token.scopes), **bound, "secret": secret})
        return
    may = ", ".join(sorted(token.scopes))
    only = f"; sees only {binding}" if binding else ""
    click.echo(f"Token {token.name} ({may}{only}), shown this once:")
    click.echo(secret)


@tokens.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_(*, as_json: bool) -> None:
    """List all tokens, the revoked ones too.

    The time of the last use is right to the minute or so.

    \b
    Examples:
      spendbeat tokens list
      spendbeat tokens list --json
    """
    with transaction("spendbeat_reader") as session:
        found = table.listed(session)
    if as_json:
        print_json([_as_dict(token) for token in found])
        return
    print_table(
        ["name", "scopes", "bound to", "created", "last used", "state"],
        [
            (
                token.name,
                " ".join(sorted(token.scopes)),
                str(token.binding or "nothing"),
                f"{token.created_at:%Y-%m-%d %H:%M}",
                f"{token.last_used_at:%Y-%m-%d %H:%M}" if token.last_used_at else "never",
                f"revoked {token.revoked_at:%Y-%m-%d %H:%M}" if token.revoked_at else "live",
            )
            for token in found
        ],
    )
    if not found:
        click.echo("No tokens; 'spendbeat tokens create NAME --scope ingest' makes one.")


@tokens.command
@click.argument("name")
def revoke(name: str) -> None:
    """End the live token called NAME, for good.

    Web processes notice within two seconds.

    \b
    Example:
      spendbeat tokens revoke litellm-proxy
    """
    with transaction() as session:
        token = table.revoke(session, name)
    click.echo(f"Token {token.name} is revoked; within two seconds it is refused everywhere.")


def _as_dict(token: Token) -> dict[str, object]:
    found: dict[str, object] = asdict(token)
    times = {
        name: moment.isoformat() if moment else None
        for name in ("created_at", "revoked_at", "last_used_at")
        for moment in [getattr(token, name)]
    }
    bound = {"binding": token.binding and token.binding.fields()}
    return {**found, **times, **bound, "scopes": sorted(token.scopes)}


commands = {"tokens": tokens}
