"""Tokens of the HTTP service."""

from dataclasses import asdict

import click

from models import SCOPES
from spend import tokens as table
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
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def create(name: str, scopes: tuple[str, ...], *, as_json: bool) -> None:
    """Make a token and print its secret, this once.

    ingest sends events, guard asks before calls, read asks for figures and looks at all the rest;
    budgets, alerts and channels change those, and look at them. Only a hash of the secret is
    stored: who loses it makes another token.

    \b
    Examples:
      spendbeat tokens create litellm-proxy --scope ingest
      SPENDBEAT_TOKEN=$(spendbeat tokens create ci --scope ingest --scope read --json | jq -r .secret)
    """  # noqa: E501 - a line to copy
    with transaction() as session:
        token, secret = table.create(session, name, scopes)
    if as_json:
        print_json({"name": token.name, "scopes": sorted(token.scopes), "secret": secret})
        return
    click.echo(f"Token {token.name} ({', '.join(sorted(token.scopes))}), shown this once:")
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
        ["name", "scopes", "created", "last used", "state"],
        [
            (
                token.name,
                " ".join(sorted(token.scopes)),
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
    return {**found, **times, "scopes": sorted(token.scopes)}


commands = {"tokens": tokens}
