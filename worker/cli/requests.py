from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from models import STATUSES
from spend import requests
from spend.amounts import dollars
from spend.ledger_rows import IDS, Request
from spend.ledger_words import as_json, begun_of, detail_as_json, next_place, place_of
from worker.cli.output import moment, print_json, print_table, zone_named
from worker.cli.spend import chosen_by
from worker.database import transaction

_DAYS = timedelta(days=7)
_MOST = 1000


@click.command("requests")
@click.option("--only", multiple=True, metavar="NAME=VALUE", help="As for 'spendbeat spend'.")
@click.option("--from", "since", help="From this date or time; seven days back unless given.")
@click.option("--to", "until", help="Up to, not including, this date or time.")
@click.option("--timezone", default="UTC", show_default=True, help="Zone of times.")
@click.option("--status", type=click.Choice(STATUSES), help="Only these.")
@click.option(
    "--unpriced/--priced", default=None, help="Only those whose cost is not, or is known."
)
@click.option("--request-id", help="With this id of its sender's; of any time.")
@click.option("--trace-id", help="Of this trace.")
@click.option("--session-id", help="Of this session.")
@click.option("--end-user", help="For this customer.")
@click.option("--limit", type=click.IntRange(1, _MOST), default=20, show_default=True)
@click.option("--after", help="Go on where the list before ended.")
@click.option("--id", "row_id", type=click.IntRange(1, 2**63 - 1), help="All about this one.")
@click.option("--json", "as_objects", is_flag=True, help="Print JSON; money as text.")
def list_(row_id: int | None, *, as_objects: bool, **asked: Any) -> None:
    """List requests, the newest first: what a figure of 'spendbeat spend' is made of.

    A request is listed when it is counted. Its cost is net of all corrections.

    \b
    Examples:
      spendbeat requests --only project=shop --unpriced
      spendbeat requests --trace-id 7f3c --from 2026-11-01 --json
      spendbeat requests --id 58102
    """
    if row_id is not None:
        with transaction("spendbeat_reader") as session:
            print_json(detail_as_json(requests.one(session, row_id)))
        return
    zone_named(asked["timezone"])
    begin, end = (
        moment(asked[name], asked["timezone"]) if asked[name] else None
        for name in ("since", "until")
    )
    if begin is None and asked["after"]:
        begin = begun_of(asked["after"])
    if begin is None and not asked["request_id"]:
        begin = (end or datetime.now(UTC)) - _DAYS
    with transaction("spendbeat_reader") as session:
        session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
        found = requests.page(
            session,
            since=begin,
            until=end,
            only=chosen_by(asked["only"]),
            status=asked["status"],
            unpriced=asked["unpriced"],
            ids={name: asked[name] for name in IDS if asked[name]},
            most=asked["limit"],
            after=place_of(asked["after"]) if asked["after"] else None,
        )
    following = found.following and next_place(found.following, begin)
    if as_objects:
        print_json({"data": [as_json(one) for one in found.requests], "next": following})
        return
    _print(found.requests)
    if following:
        click.echo(f"There may be more: --after {following}")


def _print(found: Sequence[Request]) -> None:
    if not found:
        click.echo("No request that was counted fits this.")
        return
    print_table(
        [
            "id",
            "began (UTC)",
            "provider",
            "model",
            "project",
            "user",
            "in",
            "out",
            "cost $",
            "priced by",
        ],
        [
            (
                one.id,
                f"{one.started_at.astimezone(UTC):%Y-%m-%d %H:%M:%S}",
                one.provider,
                one.model + ("" if one.status == "success" else f" ({one.status})"),
                one.project or "(unattributed)",
                one.user_id or "(unattributed)",
                f"{one.input_tokens:,}",
                f"{one.output_tokens:,}",
                "not known" if one.cost_usd is None else dollars(one.cost_usd),
                one.priced_by or "",
            )
            for one in found
        ],
        numbers=["id", "in", "out", "cost $"],
    )


commands = {"requests": list_}
