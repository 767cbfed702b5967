"""`spendbeat events`: the feed in a terminal, straight from Postgres."""

import json
import time
from collections.abc import Iterator, Sequence
from datetime import UTC
from decimal import Decimal
from typing import Any

import click

from models import FEED_KINDS
from spend import feed
from spend.alerts.alert import shown
from spend.amounts import dollars
from spend.feed import Entry
from spend.feed_events import told
from worker.database import transaction

_KINDS = tuple(kind for kind in FEED_KINDS if kind != "reset")
_LOOKS = 1.0
_AT_ONCE = 100
_SHARE = ("organization", "team", "api_key")
_MOST_SHARES = 3


@click.command
@click.option("--kind", "kinds", multiple=True, type=click.Choice(_KINDS), help="Only these.")
@click.option("--json", "as_json", is_flag=True, help="Print a line of JSON for each.")
def events(*, kinds: Sequence[str], as_json: bool) -> None:
    """Say what happens as it happens: spend that is counted, alerts that change.

    Until Ctrl-C. Programs listen to GET /events of the HTTP service instead, which they can
    resume.

    \b
    Examples:
      spendbeat events
      spendbeat events --kind alert --json
    """
    for entry in _follow():
        if entry.kind in _KINDS and entry.kind not in (kinds or _KINDS):
            continue
        data: dict[str, Any] = told(entry, None) or {}
        if as_json:
            click.echo(json.dumps({"event": entry.kind, "position": entry.position, **data}))
        else:
            click.echo(f"{entry.at.astimezone(UTC):%H:%M:%S}  {_words(entry.kind, data)}")


def _follow() -> Iterator[Entry]:
    """Entries from now on; this is one more who gives them positions."""
    last = _number()
    click.echo("What happens from now on; Ctrl-C ends.", err=True)
    while True:
        _number()
        with transaction("spendbeat_reader") as session:
            found = feed.page(session, last, _AT_ONCE)
        yield from found
        if found:
            last = found[-1].position
        if len(found) < _AT_ONCE:
            time.sleep(_LOOKS)


def _number() -> int:
    while True:
        with transaction("spendbeat_reader") as session:
            standing = feed.standing(session)
        if not standing.behind:
            return standing.newest
        with transaction() as session:
            feed.number(session)


def _words(kind: str, data: dict[str, Any]) -> str:
    if kind == "spend":
        unpriced = f", {data['unpriced']:,} unpriced" if data["unpriced"] else ""
        whose = [
            "/".join(
                shown(line[name]) for name in ("organization", "team", "api_key") if line[name]
            )
            for line in data["lines"]
        ]
        named = [one or "(unattributed)" for one in whose[:_MOST_SHARES]]
        more = " ..." if len(whose) > _MOST_SHARES else ""
        return (
            f"spend  {shown(data['provider'])}  {data['requests']:,} requests"
            f"  ${dollars(Decimal(data['total_cost']))}{unpriced}  {', '.join(named)}{more}"
        )
    if kind == "alert":
        limit = f" of ${dollars(Decimal(data['limit']))}" if data["limit"] else ""
        by = f" by {shown(data['by'])}" if data["by"] else ""
        return (
            f"alert  {shown(data['budget'])} {data['threshold']} {data['change']}{by}"
            f"  {data['severity']}  ${dollars(Decimal(data['spend']))}{limit}"
        )
    return "reset  totals were rebuilt"


commands = {"events": events}
